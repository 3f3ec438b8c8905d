"""Overtime by meter and door contact where no sensor sees people, on virtual boards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.stay import Evidence, advance, new, unlocked
from controller.timekeeper import Now
from firmware_bridge.virtual.rig import Rig, RigFile
from store_link.messages import AckState, ClockQuality, Desired, EventKind, Stay, StayState
from tests.controller.cloud import until
from tests.controller.world import IO, MINUTE, RELAY, TABLE_1, World, stay
from tests.support.nats import NatsBroker

METER = "eastron.sdm120"
BOARDS = {"rs485-1": ("relay", RELAY), "rs485-2": ("io", IO), "rs485-3": ("meter", METER)}
CONTACT = 2  # input of the board; closed at rest


def measured(desired: Desired) -> Desired:
    """The document with a meter and a door contact for r1 in place of its presence sensor."""
    plain = desired.model_dump()
    plain["boards"] += ({"id": "meter", "profile": METER, "port": "rs485-3"},)
    kept = [one for one in plain["bindings"] if one["capability"] != "presence"]
    more: list[dict[str, Any]] = [
        {"id": "w1", "board": "meter", "capability": "power.w", "role": "meter"},
        {"id": "wh1", "board": "meter", "capability": "energy.wh", "role": "meter"},
        {"id": "door1", "board": "io", "capability": "door.contact", "channel": CONTACT}
        | {"role": "door_contact"},
    ]
    plain["bindings"] = [*kept, *({**one, "rooms": ["r1"]} for one in more)]
    return Desired.model_validate(plain)


@pytest.fixture
async def world(tmp_path: Path, nats_broker: NatsBroker) -> Any:
    made = World(tmp_path, nats_broker.host, nats_broker.mqtt_port)
    lines = {line: {"boards": [{"id": b, "profile": p}]} for line, (b, p) in BOARDS.items()}
    made.rig = Rig(RigFile.model_validate({"lines": lines}), links=tmp_path / "dev")
    await made.open()
    yield made
    await made.close()


async def entered(world: World) -> int:
    """A guest is in r1 for an hour: 12,500 Wh are counted, 200 W are drawn. Returns its end."""
    await world.run()
    world.rig.measure("meter", "power", 200.0)
    now = world.now()
    paid = stay("s1", "r1", now - MINUTE, now + 60 * MINUTE)
    await world.cloud.want(measured(world.document(paid)))
    await until(lambda: world.cloud.reported and len(world.cloud.report.boards) == 3)
    await world.boards_up()
    await until(lambda: world.cloud.report.values["wh1"].value == 12_500.0)
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    await until(lambda: world.rows("SELECT energy_wh FROM stay")[0][0] is not None, 30)
    await world.measuring("s1")
    return now + 60 * MINUTE


async def grace_over(world: World, ends: int) -> None:
    """The moment in which power is cut."""
    world.pass_time((ends + 301_000 - world.now()) / MINUTE)
    await world.coil_is(TABLE_1, False, 10)


async def test_what_draws_power_after_the_cut_shows_who_stayed(world: World) -> None:
    ends = await entered(world)
    world.rig.set_input("io", CONTACT, True)  # somebody comes back in: the contact proves nothing
    await until(lambda: world.cloud.report.values["door1"].value is True)
    world.pass_time(20)
    world.rig.set_input("io", CONTACT, False)
    await until(lambda: world.cloud.report.values["door1"].value is False)
    await grace_over(world, ends)
    await until(lambda: world.cloud.transitions("s1")[-1] == "overtime", 30)
    world.pass_time(10)
    await until(lambda: world.rows("SELECT taken_last - over_since FROM stay")[0][0] > 590)
    world.rig.measure("meter", "power", 3.0)
    await until(lambda: world.cloud.report.values["w1"].value == 3.0)
    world.pass_time(1.1)
    usage = (await until(lambda: world.cloud.of(EventKind.USAGE)))[0]
    assert 590 < usage["overtime_s"] < 720
    assert usage["energy_wh"] == 0  # it stood still; how it is counted is shown below
    assert usage["evidence"]["signs"][0][1] == "power"
    window = usage["evidence"]["overtime"]
    assert abs(window["until"] - window["from"] - usage["overtime_s"] * 1000) <= 500
    assert world.cloud.of(EventKind.STAY)[-1]["why"] == "no_evidence"


async def test_a_meter_at_rest_ends_the_stay_without_overtime(world: World) -> None:
    """The control: the same evening, and only a charger draws when the power is off."""
    ends = await entered(world)
    world.rig.set_input("io", CONTACT, True)
    await until(lambda: world.cloud.report.values["door1"].value is True)
    world.pass_time(20)
    world.rig.measure("meter", "power", 9.0)
    await until(lambda: world.cloud.report.values["w1"].value == 9.0)
    await grace_over(world, ends)
    usage = (await until(lambda: world.cloud.of(EventKind.USAGE), 30))[0]
    assert usage["overtime_s"] == 0
    assert "overtime" not in world.cloud.transitions("s1")


async def through_the_door(world: World) -> None:
    """It opens and shuts, and the store sees both."""
    world.rig.set_input("io", CONTACT, True)
    await until(lambda: world.cloud.report.values["door1"].value is True)
    world.rig.set_input("io", CONTACT, False)
    await until(lambda: world.cloud.report.values["door1"].value is False)


async def test_a_door_never_opened_holds_the_guests_inside_until_it_is(world: World) -> None:
    ends = await entered(world)
    await through_the_door(world)
    world.rig.measure("meter", "power", 0.0)
    await grace_over(world, ends)
    await until(lambda: world.cloud.transitions("s1")[-1] == "overtime")
    world.pass_time(7)
    await until(lambda: world.rows("SELECT taken_last - over_since FROM stay")[0][0] > 410)
    await through_the_door(world)
    world.pass_time(1.1)
    usage = (await until(lambda: world.cloud.of(EventKind.USAGE)))[0]
    assert 410 < usage["overtime_s"] < 500
    assert [sign for _, sign in usage["evidence"]["signs"]][-1].endswith("door_used")
    assert world.cloud.of(EventKind.STAY)[-1]["why"] == "vacated"


async def test_a_door_that_nobody_was_seen_to_go_through_holds_nobody_inside(world: World) -> None:
    """Seen: a contact that always says "shut" (its magnet was lost, or the controller was away while the
    guests went in) made the empty room of each guest a taken one, and overtime was charged up to its cap.
    """
    ends = await entered(world)
    world.rig.measure("meter", "power", 0.0)
    await until(lambda: world.cloud.report.values["w1"].value == 0.0)
    await grace_over(world, ends)
    usage = (await until(lambda: world.cloud.of(EventKind.USAGE), 30))[0]
    assert usage["overtime_s"] == 0
    assert "overtime" not in world.cloud.transitions("s1")


async def test_a_meter_does_not_speak_for_a_sensor_that_was_not_read_yet(world: World) -> None:
    """Seen: the controller was started again at the end of grace, and the power was off before the input
    board was read for the first time. The meter of a fridge said that somebody was inside, which the sensor
    of people would have denied: the order went into overtime, and the next guest was put off.
    """
    ends = await entered(world)
    seen = world.document(stay("s1", "r1", ends - 61 * MINUTE, ends)).model_dump()
    more = measured(Desired.model_validate(seen)).model_dump()
    more["bindings"] += tuple(one for one in seen["bindings"] if one["capability"] == "presence")
    await world.cloud.want(Desired.model_validate(more))
    await until(lambda: "seen1" in world.cloud.report.values)
    await world.stop()
    world.rig.set_fault("io", {"slow_ms": 3_000})
    world.pass_time((ends + 290_000 - world.now()) / MINUTE)
    await world.run()
    await until(lambda: world.cloud.report.values["w1"].value == 200.0)
    await until(lambda: world.cloud.report.values["table1"].value is True)
    await grace_over(world, ends)
    await until(lambda: world.cloud.report.values["table1"].value is False)
    assert "overtime" not in world.cloud.transitions("s1")
    world.rig.set_fault("io", {"slow_ms": 0})
    usage = (await until(lambda: world.cloud.of(EventKind.USAGE), 30))[0]
    assert usage["overtime_s"] == 0
    assert "overtime" not in world.cloud.transitions("s1")


def at(second: float) -> Now:
    """A trusted instant, ``second`` after the first unlock."""
    return Now(second, 1_795_000_000_000 + round(second * 1000), ClockQuality.SYNCED)


@given(
    st.lists(st.floats(0, 500), max_size=20),
    st.lists(st.booleans(), min_size=20, max_size=20),
    st.integers(0, 19),
)
def test_energy_is_what_the_counter_went_on_by(
    steps: list[float], readable: list[bool], exchanged: int
) -> None:
    """Whatever readings are missed, and also where the meter is exchanged: then it begins at zero."""
    start = at(0)
    paid = Stay(
        id="s1", room="r1", starts=start.ms, ends=start.ms + 3_600_000, opens=start.ms,
        grace_s=300, grant="g1",
    )  # fmt: skip
    record = advance(new(paid, 7200, start), paid, start).stay
    record = unlocked(record, start).stay
    counter, spent = 90_000.0, 0.0
    record = advance(record, paid, at(1), Evidence(energy_wh=counter)).stay
    for second, more in enumerate(steps, 2):
        if second - 2 == exchanged:
            record = advance(record, paid, at(second), Evidence(energy_wh=counter)).stay
            counter = 0.0
        counter, spent = counter + more, spent + more
        seen = counter if readable[second - 2] else None
        record = advance(record, paid, at(second), Evidence(energy_wh=seen)).stay
    record = advance(record, paid, at(3000), Evidence(energy_wh=counter)).stay
    ended = advance(replace(record, finished=True), paid, at(4000), Evidence(energy_wh=counter))
    assert ended.stay.state is StayState.ENDED
    assert ended.usage is not None
    assert ended.usage.energy_wh == pytest.approx(spent, abs=1)


@pytest.mark.parametrize(
    ("heard_at", "state"),
    [(6000, StayState.IN_USE), (6700, StayState.GRACE), (7500, StayState.OVERTIME)],
)
def test_an_extension_heard_in_overtime_is_not_paid_a_second_time(
    heard_at: int, state: StayState
) -> None:
    """Bug: more time that was paid for while its own end went by left overtime running from the first end: the
    guest paid the same half hour twice, and the rest of its grace was dark. Here the hour ends at 3600 s and
    is made longer by 3000 s; grace is 300 s.
    """
    start = at(0)
    paid = Stay(
        id="s1", room="r1", starts=start.ms, ends=start.ms + 3_600_000, opens=start.ms,
        grace_s=300, grant="g1",
    )  # fmt: skip
    record = unlocked(advance(new(paid, 7200, start), paid, start).stay, start).stay
    inside = Evidence(presence=True)
    for second in (1, 3600, 3899, 3900, heard_at - 1):
        record = advance(record, paid, at(second), inside).stay
    assert (record.state, record.over_since) == (StayState.OVERTIME, 3900)
    longer = paid.model_copy(update={"ends": paid.ends + 3_000_000})
    record = advance(record, longer, at(heard_at), inside).stay
    assert record.state is state
    for second in (*range(heard_at, 7500, 50), 7500):
        record = advance(record, longer, at(second), inside).stay
    ended = advance(record, longer, at(7600), Evidence(presence=False))
    assert ended.stay.state is StayState.ENDED
    assert ended.usage is not None
    assert ended.usage.overtime_s == 600  # from 6900 s on: its new end and grace
