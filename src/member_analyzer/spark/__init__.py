"""Spark itself: its sessions, and how its jobs are started. Knows of no stream.

May import the settings alone.
"""
