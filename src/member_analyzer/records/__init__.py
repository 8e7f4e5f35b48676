"""Fields, rules, codecs and rejections of any record.

Pure: independent of any stream or server. Imports no other package of the project.
"""
