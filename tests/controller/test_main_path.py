"""A stay from desired to usage, seen at the board's coils and in the cloud's events."""

from __future__ import annotations

import asyncio

from store_link.messages import AckState, EventKind, Reason
from tests.controller.cloud import until
from tests.controller.world import (
    AC_SHARED,
    LIGHT_1,
    LOCK_1,
    LOCK_2,
    MINUTE,
    TABLE_1,
    TABLE_2,
    World,
    stay,
)


async def test_unlock_powers_the_room_and_the_end_takes_it_away(world: World) -> None:
    await world.run()
    now = world.now()
    await world.want(stay("s1", "r1", now + 20 * MINUTE, now + 140 * MINUTE))
    await world.boards_up()
    early = await world.cloud.unlock("d1", "g-s1")
    assert (early.state, early.reason) == (AckState.REFUSED, Reason.TOO_EARLY)
    assert world.pulses(LOCK_1) == 0

    world.pass_time(15)
    other = await world.cloud.unlock("d2", "g-s1")
    assert (other.state, other.reason) == (AckState.REFUSED, Reason.OTHER_ROOM)
    nobody = await world.cloud.unlock("d1", "g-unknown")
    assert (nobody.state, nobody.reason) == (AckState.REFUSED, Reason.NO_GRANT)
    assert world.pulses(LOCK_1) == world.pulses(LOCK_2) == 0

    done = await world.cloud.unlock("d1", "g-s1")
    assert done.state is AckState.DONE, done
    assert world.pulses(LOCK_1) == 1
    for coil in (TABLE_1, LIGHT_1, AC_SHARED):
        await world.coil_is(coil, True, 3)
    assert not world.coil(TABLE_2)
    await world.measuring("s1")

    world.pass_time(125.1)  # to its end
    await world.coil_is(AC_SHARED, False, 5)
    await until(lambda: "grace" in world.cloud.transitions("s1"))
    assert world.coil(TABLE_1)
    world.pass_time(5)  # to the end of grace
    await world.coil_is(TABLE_1, False, 10)
    await world.coil_is(LIGHT_1, False, 10)

    usage = await until(lambda: world.cloud.of(EventKind.USAGE))
    assert len(usage) == 1
    assert abs(usage[0]["used_s"] - 125 * 60) < 15
    assert abs(usage[0]["power_on_s"] - 130 * 60) < 30
    assert usage[0]["overtime_s"] == 0
    assert world.cloud.transitions("s1") == ["open", "in_use", "grace", "ended"]
    over = await world.cloud.unlock("d1", "g-s1")
    assert (over.state, over.reason) == (AckState.REFUSED, Reason.OVER)
    assert world.pulses(LOCK_1) == 1
    assert world.cloud.of(EventKind.OVERRUN) == []


async def test_power_is_never_cut_between_two_stays_that_touch(world: World) -> None:
    await world.run()
    now = world.now()
    await world.want(
        stay("a", "r1", now - MINUTE, now + 60 * MINUTE),
        stay("b", "r1", now + 60 * MINUTE, now + 120 * MINUTE, opens=now + 60 * MINUTE),
    )
    await world.boards_up()
    assert (await world.cloud.unlock("d1", "g-a")).state is AckState.DONE
    await world.coil_is(TABLE_1, True, 3)
    world.pass_time(60.1)
    await until(lambda: "open" in world.cloud.transitions("b"))
    world.pass_time(30)
    await until(lambda: "ended" in world.cloud.transitions("a"))
    world.pass_time(31)
    await until(lambda: "grace" in world.cloud.transitions("b"))
    world.pass_time(5)
    await world.coil_is(TABLE_1, False)
    assert world.switched(TABLE_1) == [True, False]


async def test_an_extension_in_grace_brings_the_stay_back_without_a_cut(world: World) -> None:
    await world.run()
    now = world.now()
    first = stay("s1", "r1", now - MINUTE, now + 60 * MINUTE)
    await world.want(first)
    await world.boards_up()
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    await world.coil_is(TABLE_1, True, 3)
    world.pass_time(62)
    await until(lambda: "grace" in world.cloud.transitions("s1"))
    await world.want({**first, "ends": first["ends"] + 60 * MINUTE})
    await until(lambda: world.cloud.transitions("s1")[-1] == "in_use")
    world.pass_time(50)
    await asyncio.sleep(0.8)  # the first pulse ends in real time
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    assert world.switched(TABLE_1) == [True]
    world.pass_time(20)
    await world.coil_is(TABLE_1, False)
    usage = await until(lambda: world.cloud.of(EventKind.USAGE))
    assert abs(usage[0]["used_s"] - 120 * 60) < 20


async def test_the_shared_device_stays_on_while_one_room_needs_it(world: World) -> None:
    await world.run()
    now = world.now()
    await world.want(
        stay("a", "r1", now - MINUTE, now + 60 * MINUTE),
        stay("b", "r2", now - MINUTE, now + 120 * MINUTE),
    )
    await world.boards_up()
    assert (await world.cloud.unlock("d1", "g-a")).state is AckState.DONE
    assert (await world.cloud.unlock("d2", "g-b")).state is AckState.DONE
    await world.coil_is(AC_SHARED, True, 3)
    world.pass_time(66)
    await world.coil_is(TABLE_1, False)
    assert world.coil(AC_SHARED)
    world.pass_time(60)
    await world.coil_is(AC_SHARED, False)
    assert world.switched(AC_SHARED) == [True, False]


async def test_staff_override_and_finish(world: World) -> None:
    await world.run()
    now = world.now()
    await world.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE))
    await world.boards_up()
    on = await world.cloud.ask("set", "table2", args={"on": True, "for_s": 600}, by="staff:1")
    assert on.state is AckState.DONE
    assert world.coil(TABLE_2)
    assert (await world.cloud.ask("clear", "table2", by="staff:1")).state is AckState.DONE
    await world.coil_is(TABLE_2, False)

    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    await world.coil_is(TABLE_1, True)
    off = {"on": False, "for_s": 60}
    refused = await world.cloud.ask("set", "table1", args=off, by="staff:1")
    assert (refused.state, refused.reason) == (AckState.REFUSED, Reason.STAY_RUNNING)
    assert world.coil(TABLE_1)
    forced = await world.cloud.ask("set", "table1", args={**off, "force": True}, by="staff:1")
    assert forced.state is AckState.DONE
    assert not world.coil(TABLE_1)
    world.pass_time(1.1)
    await world.coil_is(TABLE_1, True)  # the override is over, the stay still runs

    assert (await world.cloud.ask("finish", "s1", by="customer:1")).state is AckState.DONE
    await until(lambda: world.cloud.transitions("s1")[-1] == "grace")
    world.pass_time(5.1)
    await world.coil_is(TABLE_1, False)
