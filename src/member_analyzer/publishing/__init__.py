"""From the transactional outbox to Kafka.

May import `landing` and `kafka`.
"""
