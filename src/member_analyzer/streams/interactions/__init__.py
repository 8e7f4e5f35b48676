"""The interactions: their record, the requests of tracking SDKs that it is read from, and user agents.

Pure. May import `records`, `streams.definition` and `streams.members`, whose ids and country names it shares.
"""
