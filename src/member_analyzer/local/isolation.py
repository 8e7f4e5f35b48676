"""Isolates commands for the local platform from unrelated environment variables of the user's shell.

The libraries that a command uses read the environment too: libpq takes addresses and TLS settings from `PG*`,
pydantic-settings our own settings. The servers get a separate environment, see `environment`.
"""

from collections.abc import MutableMapping

from member_analyzer.local.environment import INHERITED, INHERITED_PREFIXES

# For finding programs, downloading, and writing to the terminal.
KEPT = INHERITED | {
    *("PATH", "JAVA_HOME", "PWD", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
}
KEPT_PREFIXES = (*INHERITED_PREFIXES, "LOCAL_", "CLUSTER_")


def isolate(environment: MutableMapping[str, str]) -> None:
    """Remove all variables except those that commands for the local platform use."""
    for name in list(environment):
        if name not in KEPT and not name.startswith(KEPT_PREFIXES):
            del environment[name]
