"""What distinguishes one stream from the others: its definition, and a folder with the records of each stream.

Pure. May import `records`. Everything else takes a `StreamDefinition` as an argument.
"""
