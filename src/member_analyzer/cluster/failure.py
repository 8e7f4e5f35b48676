"""Errors that the administrator can resolve."""


class ClusterError(Exception):
    """One line on what failed and how to resolve it; shown without a traceback."""


class ForbiddenError(ClusterError):
    """The user lacks the permission, which says nothing about whether the object exists."""
