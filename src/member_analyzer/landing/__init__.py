"""PostgreSQL: what is accepted, the transactional outbox, erasures, dead letters before Kafka, and API keys.

May import `records`, `streams` and `sources`.
"""
