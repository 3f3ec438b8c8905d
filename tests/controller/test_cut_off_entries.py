"""kill -9 of the controller in the middle of an entry at the reader: nobody sits in the dark behind a door that
may have opened, nobody stands before one with a pass that is no longer good, and no stay begins twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.controller.cloud import until
from tests.controller.doors import DoorWorld, new_grant
from tests.controller.world import LOCK_1, MINUTE, TABLE_1, stay
from tests.support.nats import NatsBroker


@pytest.fixture
async def doors(tmp_path: Path, nats_broker: NatsBroker) -> AsyncIterator[DoorWorld]:
    made = DoorWorld(tmp_path, nats_broker.host, nats_broker.mqtt_port)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def kept(doors: DoorWorld) -> list[str]:
    """What the journal holds of entries that are under way."""
    return [row[0] for row in doors.rows("SELECT value FROM kv WHERE key LIKE 'entry.%'")]


def told(body: dict[str, object]) -> tuple[object, ...]:
    return body["by"], body["outcome"], body["reason"], body["stay"]


@pytest.mark.parametrize("cut", ["before the pulse", "before the answer", "after the answer"])
async def test_an_entry_that_a_crash_cut_off_began_its_stay(
    doors: DoorWorld, tmp_path: Path, cut: str
) -> None:
    """Seen: the door opened, the controller died before it had written so. After the restart the entry was
    called unknown and nothing else: the guest sat in the dark until they tapped on their phone, and a
    pass for one entry was used up, also where it had opened nothing.
    """
    points = tmp_path / "points"
    points.mkdir()
    grant, now = new_grant(), doors.now()
    await doors.spawn(points=points)
    await doors.want(
        stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant),
        pins=[doors.pin(grant, "271828")],
    )
    await doors.boards_up()
    match cut:
        case "before the pulse":
            (points / "pulsing.armed").touch()
            doors.show("271828")
            await until((points / "pulsing.reached").exists, 30)
        case "before the answer":
            doors.rig.set_fault("relay", {"slow_ms": 20_000})
            doors.show(doors.make_pass(grant, uses=1))
            await until(lambda: doors.pulses(LOCK_1) == 1, 30)
        case _:
            (points / "pulsed.armed").touch()
            doors.show(doors.make_pass(grant, uses=1))
            await until((points / "pulsed.reached").exists, 30)
            await until(lambda: "opened" in kept(doors)[0], 30)
            assert doors.rows("SELECT state FROM stay WHERE id = 's1'") == [("in_use",)]
    opened = cut == "after the answer"
    pulses = 0 if cut == "before the pulse" else 1
    doors.kill()
    assert len(kept(doors)) == 1
    doors.rig.set_fault("relay", {"slow_ms": 0})
    await doors.spawn()
    first = await doors.access(1)
    by = "pin" if cut == "before the pulse" else "pass"
    assert told(first) == (
        (by, "done", None, "s1") if opened else (by, "unknown", "restarted", "s1")
    )
    assert kept(doors) == []
    await doors.coil_is(TABLE_1, True, 30)
    assert doors.pulses(LOCK_1) == pulses  # no pulse is made up for
    # Whoever still stands before the door shows it once more; one that did open was used.
    doors.show(doors.make_pass(grant, uses=1, expires=now + 59 * MINUTE))
    second = await doors.access(2)
    assert told(second)[:3] == (
        ("pass", "refused", "used_up") if opened else ("pass", "done", None)
    )
    assert doors.pulses(LOCK_1) == (pulses if opened else pulses + 1)
    assert doors.cloud.transitions("s1") == ["open", "in_use"]
    assert doors.rows("SELECT uses FROM grant_use WHERE grant = ?", grant) == [(1,)]


async def test_a_stay_that_was_to_begin_by_its_pass_begins_when_it_was_shown(
    doors: DoorWorld,
) -> None:
    """The document has not heard of it, the machine was off for ten minutes: the pass's own window counts,
    from the moment in which it was shown; the document that names the stay later finds it running.
    """
    grant, shown = new_grant(), doors.now()
    await doors.spawn()
    await doors.want()
    await doors.boards_up()
    doors.rig.set_fault("relay", {"slow_ms": 20_000})
    doors.show(doors.make_pass(grant, expires=shown + 30 * MINUTE))
    await until(lambda: doors.pulses(LOCK_1) == 1, 30)
    doors.kill()
    doors.rig.set_fault("relay", {"slow_ms": 0})
    doors.pass_time(10)
    await doors.spawn()
    assert told(await doors.access(1)) == ("pass", "unknown", "restarted", grant)
    await doors.coil_is(TABLE_1, True, 30)
    ((entered, due, line),) = doors.rows(
        "SELECT entered_at, due - entered, entered FROM stay WHERE grant = ?", grant
    )
    assert shown <= entered <= shown + 30_000
    assert entered + due * 1000 == pytest.approx(shown + 30 * MINUTE, abs=1000)
    assert line >= 0
    await doors.want(stay("claim", "r1", shown - MINUTE, shown + 30 * MINUTE, grant=grant))
    await until(
        lambda: doors.rows("SELECT id, state FROM stay") == [("claim", "in_use")], 30, "renamed"
    )
    assert doors.switched(TABLE_1) == [True]
