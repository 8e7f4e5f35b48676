"""Cassandra: keyspace, tables, live counts, stream progress, and the recount.

May import `records`, `streams` and `spark`.
"""
