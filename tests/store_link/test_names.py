"""The broker's name does not resolve, resolves slowly, or leads to a dead address first.

The operating system's lookup is put in our hands; sockets, link and broker are real. A lookup blocks whoever
asks, for as long as name servers are silent: it may never run where the doors are served.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from store_link.link import Backoff, Endpoint, LinkState, MqttLink
from tests.store_link.conftest import Recorder, until
from tests.store_link.fake_broker import FakeBroker

NAME = "broker.kaimen.test"
DEAD = "127.0.0.2"  # nobody listens there, and nothing is said about it
QUICK = Backoff(base_s=0.02, cap_s=0.1, patience_s=0.2)


class Names:
    """What the operating system says of ``NAME``: ``answer`` gives its addresses, after a while or never."""

    def __init__(self) -> None:
        self.answer: Callable[[], list[str]] = self.unknown
        self.asked = 0
        self.on_loop = 0  # lookups that held up everything else
        self._loop_thread = threading.get_ident()
        self._real = socket.getaddrinfo

    @staticmethod
    def unknown() -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def look_up(self, host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if host != NAME:
            return self._real(host, port, *more, **options)
        self.asked += 1
        self.on_loop += threading.get_ident() == self._loop_thread
        return [found for one in self.answer() for found in self._real(one, port, *more, **options)]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.look_up)
    return made


@pytest.fixture
def silence() -> Iterator[int]:
    """The port of a machine that takes a connection's first packet and never says anything: its queue is full."""
    with socket.socket() as full:
        full.bind((DEAD, 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex((DEAD, port))
        yield port
        for one in waiting:
            one.close()


def to(port: int, timeout_s: float = 5.0, backoff: Backoff = QUICK) -> MqttLink:
    endpoint = Endpoint(NAME, port, connect_timeout_s=timeout_s)
    return MqttLink(endpoint, on_message=Recorder(), backoff=backoff)


async def test_a_name_that_is_unknown_is_asked_again_and_found(
    fake: FakeBroker, names: Names
) -> None:
    link = to(fake.port)
    await link.start()
    await until(lambda: names.asked >= 3, "it asks again")
    assert link.state is not LinkState.UP
    names.answer = lambda: ["127.0.0.1"]
    await link.wait_up(60)
    assert names.on_loop == 0
    await link.stop()


async def test_a_name_that_is_found_slowly_is_waited_for_and_nobody_else_waits(
    fake: FakeBroker, names: Names
) -> None:
    """Bug: dialling was given as long as the broker's welcome, ten seconds at most. A router whose first two
    name servers are dead takes ten for each lookup: the store never came back, though its network was well.
    """
    slow = threading.Event()

    def answer() -> list[str]:
        slow.wait(0.8)  # as long as two dead name servers beside a time-out of 0.4 s
        return ["127.0.0.1"]

    names.answer = answer
    link = to(fake.port, timeout_s=0.3)  # a welcome is waited for 0.6 s at most
    await link.start()
    await link.wait_up(60)
    assert names.on_loop == 0
    await link.stop()


async def test_a_lookup_that_never_ends_holds_up_neither_the_end_nor_a_second_try(
    fake: FakeBroker, names: Names
) -> None:
    released = threading.Event()

    def answer() -> list[str]:
        released.wait(60)
        return Names.unknown()

    names.answer = answer
    link = to(fake.port)
    await link.start()
    await until(lambda: names.asked >= 2, "another try beside the one that hangs")
    began = time.monotonic()
    await link.stop()
    assert time.monotonic() - began < 20
    assert names.on_loop == 0
    released.set()
    await until(lambda: not any("mqtt-dial" in one.name for one in threading.enumerate()))
    assert fake.lives == []


async def test_an_address_that_is_dead_stands_before_one_that_lives(
    fake: FakeBroker, names: Names, silence: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: as above, where a host has two addresses that are dead (both protocols of a line that was moved)."""
    real = names._real

    def addresses(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if host != NAME:
            return real(host, port, *more, **options)
        names.asked += 1
        names.on_loop += threading.get_ident() == names._loop_thread
        dead = real(DEAD, silence, *more, **options)
        return [*dead, *dead, *real("127.0.0.1", fake.port, *more, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", addresses)
    link = to(fake.port, timeout_s=0.3)
    await link.start()
    await link.wait_up(60)
    assert names.on_loop == 0
    assert len(fake.lives) >= 1
    await link.stop()
