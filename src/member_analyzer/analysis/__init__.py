"""Cassandra: the keyspace, the tables, the live counts, how far a stream came, and the recount.

May import `records`, `streams` and `spark`.
"""
