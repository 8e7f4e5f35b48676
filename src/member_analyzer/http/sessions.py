"""HTTP sessions: directly to the platform's own servers, and to the outside as the machine is set up for it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import requests


def direct_session() -> requests.Session:
    """A session with one of the platform's own servers.

    A proxy in the environment is for the outside and cannot reach them; a login of `~/.netrc` would replace the
    Authorization header.
    """
    session = requests.Session()
    session.trust_env = False
    return session


def outside_session(url: str, proxy: str | None = None) -> requests.Session:
    """A session with a server that may lie outside: through `proxy`, or else through what the environment names.

    The environment's certificate authorities count as well; a login of `~/.netrc` does not.
    """
    environment = requests.Session().merge_environment_settings(url, {}, None, None, None)
    session = direct_session()
    session.verify = environment["verify"]
    if not is_loopback(url):
        session.proxies.update({"all": proxy} if proxy else environment["proxies"])
    return session


def find_proxy(url: str) -> str | None:
    """The proxy that the environment names for an address, none for this machine's own."""
    if is_loopback(url):
        return None
    return requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's, which through a proxy would be the proxy's machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
