"""Clients of the APIs that members are fetched from.

May import `http`, and the settings.
"""
