"""Shards among workers: all are held, by one each, and a worker that dies leaves them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.store_channel import shards
from store_link.clock import ManualClock
from store_link.topics import SHARDS


@pytest.fixture
def wire(cloud: Cloud) -> ManualClock:
    clock = ManualClock(datetime.now(UTC))
    cloud.clocks = Clocks(cloud.clocks.business, clock)
    return clock


async def test_alone_it_holds_all(cloud: Cloud, wire: ManualClock) -> None:
    assert len(await shards.renew(cloud, "a")) == SHARDS
    assert await shards.held(cloud, "a") == await shards.renew(cloud, "a")


async def test_three_share_and_the_dead_ones_go_to_the_living(
    cloud: Cloud, wire: ManualClock
) -> None:
    held: dict[str, frozenset[int]] = {}
    for _ in range(3):
        held = {name: await shards.renew(cloud, name) for name in "abc"}
        wire.pass_time(shards.RENEW_EVERY_S)
    assert sorted(map(len, held.values())) == [20, 22, 22]
    assert frozenset().union(*held.values()) == frozenset(range(SHARDS))
    assert sum(map(len, held.values())) == SHARDS
    for _ in range(8):  # "a" has died: its lease runs out, then two looks share what it had
        held = {name: await shards.renew(cloud, name) for name in "bc"}
        wire.pass_time(shards.RENEW_EVERY_S)
    assert [len(held["b"]), len(held["c"])] == [32, 32]


async def test_who_leaves_hands_over_at_once(cloud: Cloud, wire: ManualClock) -> None:
    await shards.renew(cloud, "a")
    assert await shards.renew(cloud, "b") == frozenset()
    await shards.leave(cloud, "a")
    assert len(await shards.renew(cloud, "b")) == SHARDS
