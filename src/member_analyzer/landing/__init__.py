"""PostgreSQL: accepted records, the transactional outbox, erasures, rejected inputs, and API keys.

May import `records`, `streams` and `sources`.
"""
