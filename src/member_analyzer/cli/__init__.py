"""The command `member-analyzer`: it reads arguments, calls what does the work, and prints the outcome.

May import everything but the other programs.
"""
