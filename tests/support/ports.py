"""Free ports: tests run side by side, so no test may name a port of its own."""

from __future__ import annotations

import random
import socket


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on at this moment.

    From below what systems give to outgoing connections: those took ports that a server had left for
    the second of its restart. Let servers bind port 0 themselves where they can.
    """
    for port in (*random.SystemRandom().sample(range(15_000, 32_000), 50), 0):
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("there is no free port")
