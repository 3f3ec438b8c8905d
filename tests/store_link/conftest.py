"""Brokers for the links: a real one per session, one of its own for tests that kill it, a fake."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from store_link.link import Backoff, Endpoint, MqttLink
from tests.store_link.fake_broker import FakeBroker
from tests.support.nats import NatsBroker

QUICK = Backoff(base_s=0.02, cap_s=0.1)
DEADLINE_S = 20.0


async def until(condition: Callable[[], object], what: str = "condition") -> None:
    """Wait for real I/O, with a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"timed out: {what}"
        await asyncio.sleep(0.005)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsBroker]:
    with NatsBroker(tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture
def own_broker(tmp_path) -> Iterator[NatsBroker]:
    with NatsBroker(tmp_path / "nats") as running:
        yield running


@pytest.fixture
async def fake() -> AsyncIterator[FakeBroker]:
    async with FakeBroker() as running:
        yield running


class Recorder:
    """A message handler that remembers."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []

    async def __call__(self, topic: str, payload: bytes, retained: bool) -> None:
        self.messages.append((topic, payload, retained))

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, payload, _ in self.messages]


@pytest.fixture
async def make_link() -> AsyncIterator[Callable[..., MqttLink]]:
    """Links that are stopped at the end of the test; ``at`` has a host's ``mqtt_port`` or ``port``."""
    made: list[MqttLink] = []

    def make(at: NatsBroker | FakeBroker, **options) -> MqttLink:
        port = at.port if isinstance(at, FakeBroker) else at.mqtt_port
        endpoint = Endpoint("127.0.0.1", port, **options.pop("endpoint", {}))
        settings: dict[str, Any] = {"on_message": Recorder(), "backoff": QUICK} | options
        link = MqttLink(endpoint, **settings)
        made.append(link)
        return link

    yield make
    for link in made:
        await link.stop()
