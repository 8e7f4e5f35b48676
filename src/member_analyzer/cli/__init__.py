"""The command `member-analyzer`: parses arguments, calls other packages, and prints the results.

May import everything but the other programs.
"""
