"""Free ports: tests run side by side, so no test may name a port of its own."""

from __future__ import annotations

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on at this moment.

    Somebody else may take it before you do: let servers bind port 0 themselves where they can.
    """
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
