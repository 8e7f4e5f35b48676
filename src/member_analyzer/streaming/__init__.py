"""Spark Structured Streaming: from a topic to the tables. The transforms are pure; the job connects the servers.

May import `analysis`, `kafka` and `spark`, and all that they import.
"""
