"""Frees a command for this machine's platform from what a shell happens to hold.

The libraries inside of the command read the environment too: libpq takes the server's address and how it is secured
from `PG*`, pydantic-settings our own settings. The servers get an environment of their own, see `environment`.
"""

from collections.abc import MutableMapping

from member_analyzer.local.environment import INHERITED, INHERITED_PREFIXES

# How the command finds programs and reaches the outside for downloads, and how it writes to the terminal.
KEPT = INHERITED | {
    *("PATH", "JAVA_HOME", "PWD", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
}
KEPT_PREFIXES = (*INHERITED_PREFIXES, "LOCAL_", "CLUSTER_")


def isolate(environment: MutableMapping[str, str]) -> None:
    """Remove every variable but those that a command for this machine's platform is meant to read."""
    for name in list(environment):
        if name not in KEPT and not name.startswith(KEPT_PREFIXES):
            del environment[name]
