"""Free ports for the platforms of the tests."""

import random
import socket
from contextlib import ExitStack, suppress

from member_analyzer.settings import LocalSettings

PORTS = [name for name in LocalSettings.model_fields if name.endswith("_port")]


def choose_ports() -> dict[str, str]:
    """A free port for every server, by environment variable."""
    free = free_ports(len(PORTS))
    return {f"LOCAL_{name.upper()}": str(port) for name, port in zip(PORTS, free, strict=True)}


# Below the ephemeral ports, any of which an outgoing connection could use before the server does.
USABLE_PORTS = range(20_000, 32_768)


def free_ports(count: int) -> list[int]:
    ports: list[int] = []
    with ExitStack() as stack:
        while len(ports) < count:
            port = random.choice(USABLE_PORTS)
            with suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                ports.append(port)
    return ports
