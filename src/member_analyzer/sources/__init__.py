"""Clients of external APIs that provide members.

May import `http`, and the settings.
"""
