"""The dead letter topics: list, show and replay what was rejected, and how long it is kept.

May import `landing`, `publishing` and `kafka`.
"""
