"""Clients and files that members and interactions come from.

May import `http`, `records`, and the settings.
"""
