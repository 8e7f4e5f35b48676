"""Fields, rules, codecs and rejections of any record.

Pure: nothing here knows of a stream or of a server. Imports nothing else of this package.
"""
