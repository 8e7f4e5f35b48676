"""HTTP as every program uses it: bounded servers, problem documents, and sessions of clients.

Imports nothing else of this package.
"""
