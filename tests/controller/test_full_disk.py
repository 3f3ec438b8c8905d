"""A full disk at the store: doors open while there is a byte to count on, and nothing is lost after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from controller.journal.store import JournalError
from firmware_bridge.contract import Outcome
from store_link.messages import AckState, EventKind, Reason
from tests.controller.cloud import until
from tests.controller.small_disk import SmallDisk
from tests.controller.test_faults import contiguous
from tests.controller.world import LOCK_1, LOCK_2, MINUTE, TABLE_1, World, stay


@pytest.fixture
async def disk(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallDisk]:
    small = SmallDisk(world.state_dir, world, monkeypatch)
    yield small
    try:
        if world.controller is not None:
            await world.stop()
    finally:
        small.close()


async def ready(world: World) -> None:
    """Two rooms, booked now by two guests."""
    await world.run()
    now = world.now()
    await world.want(
        stay("s1", "r1", now - MINUTE, now + 60 * MINUTE),
        stay("s2", "r2", now - MINUTE, now + 60 * MINUTE),
    )
    await world.boards_up()


async def nothing_left(world: World, disk: SmallDisk) -> None:
    """The reserve was given up, and whoever filled the disk took it as well."""
    assert world.controller is not None
    reserve = world.controller.journal.reserve
    while not (reserve.look() and disk.nothing_free):
        await disk.fill()


def entries(world: World) -> list[dict[str, Any]]:
    return [body for body in world.cloud.of(EventKind.ACCESS) if body["outcome"] == "done"]


async def test_the_reserve_carries_a_store_through_a_full_disk(
    world: World, disk: SmallDisk
) -> None:
    await ready(world)
    assert world.controller is not None
    journal = world.controller.journal
    if not disk.real:
        return  # what a file that is given up makes room for is for a real file system to say
    assert journal.reserve.path.stat().st_blocks * 512 >= 8 << 20
    await disk.fill()
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    await world.coil_is(TABLE_1, True, 5)
    await until(lambda: world.cloud.report.outbox.full, 30, "the full disk reported")
    assert not journal.reserve.path.exists()
    world.pass_time(66)
    await world.coil_is(TABLE_1, False, 10)
    usage = await until(lambda: world.cloud.of(EventKind.USAGE))
    assert [body["stay"] for body in usage if body["entered_at"]] == ["s1"]
    assert not [body for body in world.cloud.of(EventKind.POWER) if not body["on"]]  # lesser
    assert journal.left_out > 0
    await disk.empty()
    await until(lambda: not world.cloud.report.outbox.full, 40, "all well reported")
    assert journal.reserve.path.exists()
    assert world.pulses(LOCK_1) == 1
    assert contiguous(world)


async def test_with_nothing_left_no_door_is_opened_uncounted_and_power_still_follows(
    world: World, disk: SmallDisk
) -> None:
    await ready(world)
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    await world.coil_is(TABLE_1, True, 5)
    await world.measuring("s1")
    await nothing_left(world, disk)
    refused = await world.cloud.unlock("d2", "g-s2")
    assert (refused.state, refused.reason) == (AckState.FAILED, Reason.DEVICE_ERROR)
    assert "disk is full" in refused.evidence["detail"]
    assert world.pulses(LOCK_2) == 0
    assert world.coil(TABLE_1)
    world.pass_time(66)  # the paid time and its grace end while nothing can be written
    await world.coil_is(TABLE_1, False, 10)
    assert not world.cloud.of(EventKind.USAGE)
    await disk.empty()
    await until(lambda: world.cloud.of(EventKind.USAGE), 30)
    now = world.now()
    await world.want(stay("s3", "r2", now - MINUTE, now + 60 * MINUTE))
    assert (await world.cloud.unlock("d2", "g-s3")).state is AckState.DONE
    await until(lambda: len(entries(world)) == 2)
    used = [body for body in world.cloud.of(EventKind.USAGE) if body["stay"] == "s1"]
    assert len(used) == 1
    assert abs(used[0]["used_s"] - 3600) < 20
    assert world.pulses(LOCK_2) == 1
    assert contiguous(world)


async def test_a_disk_that_fills_during_the_pulse_keeps_nobody_waiting(
    world: World, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the door was open, and no answer left; the stay began for nobody and its table stayed off."""
    await ready(world)
    assert world.controller is not None
    bridge = world.controller.bridge
    real = bridge.pulse

    async def pulse(*args: Any) -> Outcome:
        outcome = await real(*args)
        await nothing_left(world, disk)
        return outcome

    monkeypatch.setattr(bridge, "pulse", pulse)
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    await world.coil_is(TABLE_1, True, 5)
    await until(lambda: world.cloud.report.outbox.full, 30)
    assert world.controller.journal.in_debt
    assert not entries(world)
    monkeypatch.undo()
    if not disk.real:
        monkeypatch.setattr("controller.journal.reserve.TIGHT", 0)
    await disk.empty()
    await until(lambda: entries(world), 30)
    assert [body["stay"] for body in entries(world)] == ["s1"]
    assert world.cloud.transitions("s1").count("in_use") == 1
    assert world.rows("SELECT uses FROM grant_use WHERE grant = 'g-s1'") == [(1,)]
    assert world.rows("SELECT state FROM command") == [("done",)]
    assert not world.controller.journal.in_debt
    assert world.pulses(LOCK_1) == 1
    assert contiguous(world)


async def test_a_store_starts_on_a_full_disk(world: World, disk: SmallDisk) -> None:
    await ready(world)
    await world.stop()
    await disk.fill()
    if not disk.real:
        await disk.empty()
    await world.run()
    await world.boards_up()
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    assert contiguous(world)


async def test_what_was_refused_is_not_written_later(world: World, disk: SmallDisk) -> None:
    """Bug: a commit that the disk refused stayed open, and the next transaction carried it out."""
    controller = await world.run()
    journal, now = controller.journal, controller.timekeeper.read()
    await nothing_left(world, disk)
    refused = 0
    for _ in range(200):
        try:
            async with journal.write(now) as tx:
                await tx.put("refused", "x" * 20_000)
                await tx.event(EventKind.ACCESS, {"refused": "x" * 20_000})
        except JournalError:
            refused += 1
    assert refused > 100
    await disk.empty()
    async with journal.write(now) as tx:
        await tx.event(EventKind.ACCESS, {"after": True})
    kept = [event for event in await journal.events(0, 10_000) if "refused" in event.body]
    assert len(kept) == 200 - refused
    assert (await journal.get("refused") is None) == (refused == 200)
