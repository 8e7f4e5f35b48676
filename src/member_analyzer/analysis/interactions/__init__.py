"""Cassandra: what is counted of the interactions: tables, changes, live counts, the readers of the API, and retention.

It may import what `analysis` may import, and `analysis`.
"""
