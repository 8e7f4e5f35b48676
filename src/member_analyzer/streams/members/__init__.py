"""The stream of members: its record, the forms in which members come, and what they are counted by.

Pure. May import `records` and `streams.definition`.
"""
