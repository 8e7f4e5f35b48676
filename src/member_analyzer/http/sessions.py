"""HTTP sessions: direct ones for the platform's own servers, and proxied ones for external servers."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import requests


def direct_session() -> requests.Session:
    """A session with one of the platform's own servers.

    It ignores the environment: a proxy could not reach these servers, and `~/.netrc` would replace the Authorization
    header.
    """
    session = requests.Session()
    session.trust_env = False
    return session


def external_session(url: str, proxy: str | None = None) -> requests.Session:
    """A session with a server that may be external, through `proxy` or the environment's proxy.

    It uses the environment's certificate authorities, but not the logins in `~/.netrc`.
    """
    environment = requests.Session().merge_environment_settings(url, {}, None, None, None)
    session = direct_session()
    session.verify = environment["verify"]
    if not is_loopback(url):
        session.proxies.update({"all": proxy} if proxy else environment["proxies"])
    return session


def find_proxy(url: str) -> str | None:
    """The environment's proxy for a URL; None for loopback addresses."""
    if is_loopback(url):
        return None
    return requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine; through a proxy it would name the proxy's machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
