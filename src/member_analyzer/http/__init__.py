"""HTTP for every program: a bounded server, problem documents, and client sessions.

Imports nothing else of this package.
"""
