"""The cable of the tests carries, can be pulled without a word, and carries again: each kind of it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.faults.wires import ProxyWire, Wire, make_wire

# What stands at the store's end: one word there and back, or nothing.
PROBE = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 2) as line:
        line.settimeout(2)
        line.sendall(b"word")
        print(line.recv(16).decode())
except OSError:
    print("")
"""


@pytest.fixture
def echo() -> Iterator[int]:
    """A server on all addresses that says what it hears."""
    with socket.create_server(("0.0.0.0", 0)) as door:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = door.accept()
                    with line, contextlib.suppress(OSError):
                        line.sendall(line.recv(16))

        threading.Thread(target=serve, daemon=True).start()
        yield int(door.getsockname()[1])
        door.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("kind", [make_wire, ProxyWire], ids=["best", "proxy"])
def test_a_wire_carries_is_cut_and_mended(kind: Callable[[], Wire], echo: int) -> None:
    wire = kind()
    try:
        port = wire.through(echo)

        def word() -> str:
            probe = [*wire.prefix, sys.executable, "-c", PROBE, wire.host, str(port)]
            done = subprocess.run(probe, capture_output=True, text=True, timeout=30, check=True)
            return done.stdout.strip()

        assert word() == "word"
        wire.cut()
        assert word() == ""
        wire.mend()
        assert word() == "word"
    finally:
        wire.close()
