"""Draws the analysis tables, and finds the latest drawings.

May import `analysis`.
"""
