"""The error that a person can mend."""


class LocalError(Exception):
    """What happened, to what, and what to do about it, in one line; shown without a traceback."""
