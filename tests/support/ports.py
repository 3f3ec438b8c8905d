"""Free ports: tests run side by side, so no test may name a port of its own."""

from __future__ import annotations

import os
import random
import re
import socket
from collections import deque

# Below what systems give to outgoing connections: those took ports that a server had left for the
# second of its restart. The demonstration looks for its own from 15,000 to 32,000 (demo/processes.py).
_FROM, _EACH, _WORKERS = 10_000, 600, 8

# What was given may not be bound yet, and would be given again.
_given: deque[int] = deque(maxlen=_EACH // 2)


def ports_of(worker: str) -> range:
    """Those of one of xdist's workers (``gw0``): two would find the same port free before either binds it."""
    number = int(found[0]) if (found := re.search(r"\d+$", worker)) else 0
    first = _FROM + number % _WORKERS * _EACH
    return range(first, first + _EACH)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on at this moment, and nobody else of the tests is given now.

    Let servers bind port 0 themselves where they can.
    """
    mine = [one for one in ports_of(os.environ.get("PYTEST_XDIST_WORKER", "")) if one not in _given]
    for port in (*random.SystemRandom().sample(mine, 50), 0):
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            _given.append(port)
            return int(probe.getsockname()[1])
    raise OSError("there is no free port")
