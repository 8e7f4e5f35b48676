"""Spark Structured Streaming: from a topic to the tables. The transforms are pure; the job connects to the servers.

May import `analysis`, `kafka` and `spark`, and their imports.
"""
