"""Fixtures: a store on the shared broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.controller.world import World
from tests.support.nats import NatsBroker


@pytest.fixture
async def world(tmp_path: Path, nats_broker: NatsBroker) -> AsyncIterator[World]:
    """A store that is not running yet: ``await world.run()`` or ``await world.spawn()``."""
    made = await World(tmp_path, nats_broker.host, nats_broker.mqtt_port).open()
    try:
        yield made
    finally:
        await made.close()
