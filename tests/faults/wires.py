"""The cable between a store and the rest of the world: one that can be pulled.

Where this machine lets us, the controller lives in a network namespace of its own and the cable is a
veth pair whose end is set down: packets vanish, nobody is told. Elsewhere (no root, no Linux) it is
a TCP proxy that ends what it carries and lets nobody in until it is mended.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from typing import Protocol

import psutil

from tests.support import debian


class Wire(Protocol):
    """``host`` is this machine as the store sees it; ``prefix`` begins the controller's command."""

    host: str
    prefix: list[str]

    def through(self, port: int) -> int:
        """The port at ``host`` by which the store reaches ``port`` of this machine."""
        ...

    def cut(self) -> None:
        """Nothing comes through any more."""
        ...

    def mend(self) -> None:
        """Everything does again."""
        ...

    def close(self) -> None:
        """Take it away."""
        ...


def make_wire() -> Wire:
    """A namespace where there may be one, else a proxy."""
    if sys.platform == "linux" and os.geteuid() == 0:
        if shutil.which("ip") is None and debian.can_install():
            debian.install(["iproute2"])
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            return NamespaceWire()
    return ProxyWire()


class NamespaceWire:
    """A namespace ``km-<pid>-…`` joined by a veth pair, in the range kept for benchmarks (RFC 2544)."""

    def __init__(self) -> None:
        _forget_the_dead()
        self.name = f"km-{os.getpid()}-{secrets.token_hex(2)}"
        net = f"198.18.{secrets.randbelow(256)}.{secrets.randbelow(64) * 4}"
        first, _, last = net.rpartition(".")
        self.host, inside = f"{first}.{int(last) + 1}", f"{first}.{int(last) + 2}"
        self.prefix = ["ip", "netns", "exec", self.name]
        self._end = f"km{secrets.token_hex(4)}"
        _ip("netns", "add", self.name)
        try:
            _ip(
                "link", "add", self._end, "type", "veth", "peer", "name", "eth0", "netns", self.name
            )
            _ip("addr", "add", f"{self.host}/30", "dev", self._end)
            _ip("link", "set", self._end, "up")
            for words in (
                ("addr", "add", f"{inside}/30", "dev", "eth0"),
                ("link", "set", "eth0", "up"),
                ("link", "set", "lo", "up"),
            ):
                _ip("-n", self.name, *words)
            # A cable that is out for long: TCP of this store gives up within seconds, not minutes.
            retries = ["sysctl", "-q", "-w", "net.ipv4.tcp_retries2=3"]
            subprocess.run([*self.prefix, *retries], check=False, capture_output=True)
        except subprocess.CalledProcessError:
            self.close()
            raise

    def through(self, port: int) -> int:
        """The same: the store's side sees all ports."""
        return port

    def cut(self) -> None:
        """The cable is out."""
        _ip("link", "set", self._end, "down")

    def mend(self) -> None:
        """The cable is in."""
        _ip("link", "set", self._end, "up")

    def close(self) -> None:
        """The namespace takes its end of the pair along."""
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self.name)


class ProxyWire:
    """A proxy on loopback for each port that was asked for."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.prefix: list[str] = []
        self._ports: dict[int, int] = {}
        self._doors: list[socket.socket] = []
        self._pairs: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._out = False

    def through(self, port: int) -> int:
        """A port of ours that leads there."""
        if port not in self._ports:
            door = socket.create_server((self.host, 0))
            self._doors.append(door)
            self._ports[port] = int(door.getsockname()[1])
            threading.Thread(target=self._serve, args=(door, port), daemon=True).start()
        return self._ports[port]

    def cut(self) -> None:
        """End all connections, refuse new ones."""
        with self._guard:
            self._out = True
            for one in self._pairs:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let them in again."""
        self._out = False

    def close(self) -> None:
        """Nobody is let in any more."""
        self.cut()
        for door in self._doors:
            door.close()

    def _serve(self, door: socket.socket, port: int) -> None:
        while True:
            try:
                near, _ = door.accept()
            except OSError:
                return
            with self._guard:
                if self._out:
                    near.close()
                    continue
                try:
                    far = socket.create_connection((self.host, port), 5)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pairs |= {near, far}
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while some := source.recv(65536):
                target.sendall(some)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._guard:
            self._pairs.discard(source)
        source.close()


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=10)
    return done.stdout


def _forget_the_dead() -> None:
    """Namespaces of test runs that were killed."""
    for name in re.findall(r"^(km-(?:\d+)-\w+)", _ip("netns", "list"), re.MULTILINE):
        if not psutil.pid_exists(int(name.split("-")[1])):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "del", name)
