"""The errors of the local platform."""


class LocalError(Exception):
    """An error that the user can fix: one line with what failed and what to do, shown without a traceback."""
