"""A bridge that is always stopped, whatever becomes of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from device_profiles import Catalog
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import BoardConfig

StartBridge = Callable[..., Awaitable[FirmwareBridge]]


@pytest.fixture
async def start_bridge() -> AsyncIterator[StartBridge]:
    """A function that gives a started bridge with boards such as ``{"a": (profile, unit)}``."""
    started: list[FirmwareBridge] = []

    async def start(
        path: str, boards: dict[str, tuple[str, int]], catalog: Catalog | None = None
    ) -> FirmwareBridge:
        bridge = FirmwareBridge({"line": path}, catalog=catalog)
        await bridge.configure(
            [
                BoardConfig(board_id, profile, "line", {"unit_id": unit})
                for board_id, (profile, unit) in boards.items()
            ]
        )
        started.append(bridge)
        await bridge.start()
        return bridge

    yield start
    for bridge in started:
        await bridge.stop()
