"""The errors that a person can mend."""


class ClusterError(Exception):
    """What happened, to what, and what to do about it, in one line; shown without a traceback."""


class ForbiddenError(ClusterError):
    """The cluster does not let this person do it, which says nothing about what is there."""
