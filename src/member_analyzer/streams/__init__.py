"""Stream definitions, and a package with the records of each stream.

Pure. May import `records`. All other code takes a `StreamDefinition` as an argument.
"""
