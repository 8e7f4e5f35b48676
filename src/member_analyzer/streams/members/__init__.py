"""The members stream: its record, input formats and dimensions.

Pure. May import `records` and `streams.definition`.
"""
