"""Ports for a platform of the tests, beside any other one."""

import socket
from contextlib import ExitStack

from member_analyzer.settings import LocalSettings

PORTS = [name for name in LocalSettings.model_fields if name.endswith("_port")]


def choose_ports() -> dict[str, str]:
    """A free port for every server, by the setting that gives it."""
    free = free_ports(len(PORTS))
    return {f"LOCAL_{name.upper()}": str(port) for name, port in zip(PORTS, free, strict=True)}


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
