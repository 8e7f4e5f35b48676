"""Spark sessions and job submission, independent of any stream.

May import only the settings.
"""
