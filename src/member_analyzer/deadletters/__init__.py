"""Dead letter topics: listing, inspection, replay and retention.

May import `landing`, `publishing` and `kafka`.
"""
