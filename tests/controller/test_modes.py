"""A room's mode: obeyed with the cloud away, over at its time, never against a paid stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller import modes
from controller.modes import ModeRecord
from controller.timekeeper import Now
from store_link.messages import AckState, ClockQuality, Desired, Door, EventKind, Reason, Room
from tests.controller.cloud import until
from tests.controller.doors import DoorWorld
from tests.controller.world import LIGHT_1, LOCK_1, MINUTE, TABLE_1, World, stay
from tests.support.nats import NatsBroker

SYNCED, UNTRUSTED = ClockQuality.SYNCED, ClockQuality.UNTRUSTED


def document(mode: str, until_ms: int | None) -> Desired:
    room = Room.model_validate(
        {"id": "r1", "index": 0, "lead_s": 0, "grace_s": 0, "mode": mode, "mode_until": until_ms}
    )
    return Desired(store="s", epoch=1, rev=1, sent_at=0, tz="Asia/Shanghai", rooms=(room,))


def at(line: float, ms: int, quality: ClockQuality = SYNCED) -> Now:
    return Now(line=line, ms=ms, quality=quality)


def test_a_mode_is_over_by_the_clock_or_by_the_line_whichever_is_first():
    known = modes.look(document("open", 60_000), {}, at(100, 0))
    assert modes.in_force(known) == {"r1": "open"}
    assert modes.in_force(modes.look(document("open", 60_000), known, at(101, 60_000))) == {}
    stepped_back = modes.look(document("open", 60_000), known, at(160, 5_000))
    assert modes.in_force(stepped_back) == {}
    # Over is over, also when the clock then says that there is time left.
    again = modes.look(document("open", 60_000), stepped_back, at(161, 6_000))
    assert modes.in_force(again) == {}
    longer = modes.look(document("open", 120_000), again, at(162, 6_000))
    assert modes.in_force(longer) == {"r1": "open"}


def test_what_is_told_of_a_mode():
    none: modes.Records = {}
    held = {"r1": ModeRecord("cleaning", None, None)}
    over = {"r1": ModeRecord("cleaning", 1, 1.0, over=True)}
    (begun,) = modes.changes(none, held)
    assert (begun.was, begun.now, begun.why) == ("normal", "cleaning", "desired")
    (ended,) = modes.changes(held, over)
    assert (ended.was, ended.now, ended.why) == ("cleaning", "normal", "over")
    (taken,) = modes.changes(held, none)
    assert (taken.was, taken.now, taken.why) == ("cleaning", "normal", "desired")
    assert modes.changes(over, none) == []


def test_an_untrusted_clock_opens_no_door_to_all():
    door = Door(id="d", lock="l", rooms=("r1", "r2"))
    held = {"r1": ModeRecord("open", None, None)}
    assert modes.open_to_all(held, door, at(0, 0))
    assert not modes.open_to_all(held, door, at(0, 0, UNTRUSTED))
    assert not modes.open_to_all({"r1": ModeRecord("cleaning", None, None)}, door, at(0, 0))


def test_a_mode_that_this_store_does_not_know_is_none():
    assert document("disco", None).rooms[0].mode == "normal"


@pytest.fixture
async def world(tmp_path: Path, nats_broker: NatsBroker) -> AsyncIterator[DoorWorld]:
    world = await DoorWorld(tmp_path, nats_broker.host, nats_broker.mqtt_port).open()
    assert isinstance(world, DoorWorld)
    try:
        yield world
    finally:
        await world.close()


def rooms(mode: str = "normal", until_ms: int | None = None) -> list[dict[str, Any]]:
    first = {"id": "r1", "index": 0, "lead_s": 600, "grace_s": 300}
    return [
        {**first, "mode": mode, "mode_until": until_ms},
        {"id": "r2", "index": 1, "lead_s": 600, "grace_s": 300},
    ]


def coils(world: World) -> tuple[bool, bool]:
    return world.coil(TABLE_1), world.coil(LIGHT_1)


async def mode_is(world: World, mode: str | None) -> None:
    def told() -> bool:
        return [(m.room, m.mode) for m in world.cloud.report.modes] == (
            [] if mode is None else [("r1", mode)]
        )

    await until(told, 30, f"mode {mode}")


async def test_always_open_powers_the_room_lets_anybody_in_and_ends_offline(
    world: DoorWorld,
) -> None:
    """Set for ten minutes, then the link dies, then the program is killed: at ten minutes it is over."""
    await world.run()
    await world.want()
    await world.boards_up()
    refused = await world.cloud.unlock("d1", by="customer:c1")
    assert (refused.state, refused.reason) == (AckState.REFUSED, Reason.NO_GRANT)
    await world.want(rooms=rooms("open", world.now() + 10 * MINUTE))
    await mode_is(world, "open")
    await until(lambda: coils(world) == (True, True), 30, "power on")
    assert (await world.cloud.unlock("d1", by="customer:c1")).state is AckState.DONE
    other = await world.cloud.unlock("d2", by="customer:c1")
    assert other.reason is Reason.NO_GRANT  # the other room is not open
    before = world.pulses(LOCK_1)
    await asyncio.sleep(0.8)  # the first pulse is over
    world.show("K1:ANYTHING AT ALL")
    await until(lambda: world.pulses(LOCK_1) == before + 1, 30, "a pulse")
    await world.stop()
    world.pass_time(11)
    await world.run()
    await until(lambda: coils(world) == (False, False), 30, "power off")
    await mode_is(world, None)
    assert (await world.cloud.unlock("d1", by="customer:c1")).reason is Reason.NO_GRANT
    told = [(e["now"], e["why"]) for e in world.cloud.of(EventKind.MODE)]
    await until(lambda: len(world.cloud.of(EventKind.MODE)) == 2, 30, "both events")
    told = [(e["now"], e["why"]) for e in world.cloud.of(EventKind.MODE)]
    assert told == [("open", "desired"), ("normal", "over")]


async def test_cleaning_lights_the_room_and_a_paid_stay_stands_above_every_mode(
    world: DoorWorld,
) -> None:
    await world.run()
    await world.want(rooms=rooms("cleaning"))
    await world.boards_up()
    await until(lambda: coils(world) == (False, True), 30, "light alone")
    now = world.now()
    paid = stay("s1", "r1", now + 5 * MINUTE, now + 60 * MINUTE)
    await world.want(paid, rooms=rooms("maintenance"))
    await until(lambda: coils(world) == (False, False), 30, "dark")
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    await until(lambda: coils(world) == (True, True), 30, "the stay's power")
    off = await world.cloud.ask("set", "table1", args={"on": False, "for_s": 60})
    assert off.reason is Reason.STAY_RUNNING
    assert coils(world) == (True, True)
