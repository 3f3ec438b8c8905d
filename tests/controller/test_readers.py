"""Passes and PINs at a reader: what opens, what does not, and that nothing opens twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import qrcode
import zxingcpp

from controller.readers import Shown
from store_link.messages import AckState, EventKind
from store_link.signing import SigningKey
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


def outcome(body: dict[str, object]) -> tuple[object, object, object]:
    return body["by"], body["outcome"], body["reason"]


async def test_a_pass_opens_the_door_and_begins_the_stay(doors: DoorWorld) -> None:
    await doors.run()
    grant, now = new_grant(), doors.now()
    await doors.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant))
    await doors.boards_up()
    doors.show(doors.make_pass(grant))
    body = await doors.access(1)
    assert outcome(body) == ("pass", "done", None)
    assert (body["grant"], body["stay"], body["code"]) == (grant, "s1", None)
    assert doors.pulses(LOCK_1) == 1
    await doors.coil_is(TABLE_1, True, 3)
    assert doors.rows("SELECT uses FROM grant_use WHERE grant = ?", grant) == [(1,)]
    assert doors.rows("SELECT key FROM kv WHERE key LIKE 'entry.%'") == []
    assert doors.cloud.transitions("s1")[-1] == "in_use"


async def test_one_rule_for_taps_and_passes(doors: DoorWorld) -> None:
    """Early, other room, revoked, over: a pass is judged by the stays as a tap is."""
    await doors.run()
    soon, elsewhere, gone, now = new_grant(), new_grant(), new_grant(), doors.now()
    await doors.want(
        stay("soon", "r1", now + 30 * MINUTE, now + 60 * MINUTE, grant=soon),
        stay("else", "r2", now - MINUTE, now + 60 * MINUTE, grant=elsewhere),
        revoked=[gone],
    )
    await doors.boards_up()
    for number, (code, reason) in enumerate(
        (
            (doors.make_pass(soon), "too_early"),
            (doors.make_pass(elsewhere), "other_room"),
            (doors.make_pass(elsewhere, rooms=[1]), "other_room"),
            (doors.make_pass(gone), "revoked"),
            (doors.make_pass(new_grant(), not_before=now - 90 * MINUTE, expires=now - 60 * MINUTE), "over"),
            (doors.make_pass(new_grant(), expires=now - 1000, not_before=now - MINUTE), "over"),
            (doors.make_pass(new_grant(), not_before=now + 10 * MINUTE), "too_early"),
            (doors.make_pass(new_grant(), store=new_grant()), "other_store"),
            (doors.make_pass(new_grant(), key=SigningKey.generate("p9", "pass")), "unknown_key"),
            (doors.make_pass(new_grant(), key=SigningKey.generate("p1", "pass")), "bad_signature"),
        ),
        1,
    ):  # fmt: skip
        doors.show(code)
        body = await doors.access(number)
        assert outcome(body) == ("pass", "refused", reason)
        assert len(body["code"]) == 16
        assert code not in str(doors.cloud.events)
    assert doors.pulses(LOCK_1) == 0
    assert doors.rows("SELECT * FROM grant_use") == []


async def test_a_pass_the_store_never_heard_of_begins_a_stay_within_its_window(
    doors: DoorWorld,
) -> None:
    """Booked while the store was cut off: power follows, and ends with the pass's own window."""
    await doors.run()
    await doors.want()
    await doors.boards_up()
    grant, now = new_grant(), doors.now()
    doors.show(doors.make_pass(grant, expires=now + 30 * MINUTE))
    assert (await doors.access(1))["stay"] == grant
    await doors.coil_is(TABLE_1, True, 3)
    await doors.measuring(grant)
    # Then the document brings the stay under the claim's id: it is the same one, and longer.
    paid = stay("claim", "r1", now - MINUTE, now + 40 * MINUTE, grant=grant)
    await doors.want(paid)
    await until(lambda: [s.id for s in doors.cloud.report.stays] == ["claim"])
    assert doors.rows("SELECT id FROM stay") == [("claim",)]
    doors.pass_time(31)
    await asyncio.sleep(0.5)
    assert doors.coil(TABLE_1)
    doors.pass_time(15)
    await doors.coil_is(TABLE_1, False)
    assert doors.switched(TABLE_1) == [True, False]
    usage = await until(lambda: doors.cloud.of(EventKind.USAGE))
    assert [body["stay"] for body in usage] == ["claim"]
    doors.show(doors.make_pass(grant))
    assert outcome(await doors.access(2)) == ("pass", "refused", "over")


async def test_a_stay_begun_by_pass_ends_with_the_pass_and_outlives_a_restart(
    doors: DoorWorld,
) -> None:
    await doors.run()
    await doors.want()
    await doors.boards_up()
    grant, now = new_grant(), doors.now()
    doors.show(doors.make_pass(grant, expires=now + 30 * MINUTE))
    await doors.coil_is(TABLE_1, True, 5)
    await doors.access(1)
    await doors.stop()
    await doors.run()
    await doors.boards_up()
    assert doors.coil(TABLE_1)
    doors.pass_time(36)
    await doors.coil_is(TABLE_1, False)
    usage = await until(lambda: doors.cloud.of(EventKind.USAGE))
    assert (usage[0]["stay"], usage[0]["room"]) == (grant, "r1")
    assert doors.switched(TABLE_1) == [True, False]


async def test_a_single_use_pass_opens_once_and_two_doors_cannot_race(doors: DoorWorld) -> None:
    await doors.run()
    grant, now = new_grant(), doors.now()
    await doors.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant))
    await doors.boards_up()
    readers = doors.controller
    assert readers is not None
    door, reader = readers.state.doors["d1"], readers.state.bindings["reader1"]
    code = doors.make_pass(grant, uses=1)
    # Past the reader's own sense of the same code: eight at once, and a renewed one.
    await asyncio.gather(*(readers.readers.read(door, reader, Shown(code)) for _ in range(8)))
    await asyncio.sleep(0.8)
    renewed = doors.make_pass(grant, uses=1, expires=now + 59 * MINUTE)
    await readers.readers.read(door, reader, Shown(renewed))
    assert doors.pulses(LOCK_1) == 1
    await doors.access(9)
    reasons = [body["reason"] for body in doors.accesses()]
    assert reasons.count("used_up") == 8
    assert doors.accesses()[-1]["reason"] == "used_up"


async def test_a_use_that_opened_nothing_is_given_back(doors: DoorWorld) -> None:
    """A single-use pass before a lock whose adapter is pulled out is not used up by that."""
    await doors.run()
    grant, now = new_grant(), doors.now()
    await doors.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant))
    await doors.boards_up()
    code = doors.make_pass(grant, uses=1)
    doors.rig.lines["rs485-1"].close()
    doors.show(code)
    assert outcome(await doors.access(1)) == ("pass", "failed", "device_offline")
    assert doors.rows("SELECT uses FROM grant_use") == [(0,)]


async def test_nonsense_is_slowed_down_but_a_good_pass_is_not(doors: DoorWorld) -> None:
    await doors.run()
    grant, now = new_grant(), doors.now()
    await doors.want(
        stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant),
        pins=[doors.pin(grant, "424242")],
    )
    await doors.boards_up()
    for number in range(5):
        doors.show(f"00000{number}")
    await until(lambda: any(b["reason"] == "too_many" for b in doors.accesses()))
    reasons = [body["reason"] for body in doors.accesses()]
    assert reasons == ["wrong_pin"] * 5 + ["too_many"]
    doors.show("424242")  # right, but nobody may try PINs now
    doors.show("K1:nonsense")
    await asyncio.sleep(0.5)
    assert doors.pulses(LOCK_1) == 0
    assert len(doors.accesses()) == 6
    doors.show(doors.make_pass(grant))
    assert outcome(await doors.access(7)) == ("pass", "done", None)
    doors.pass_time(0.6)
    await asyncio.sleep(0.8)
    assert doors.controller is not None
    door, reader = doors.controller.state.doors["d1"], doors.controller.state.bindings["reader1"]
    await doors.controller.readers.read(door, reader, Shown("424242"))  # the pause is over
    assert outcome(await doors.access(8)) == ("pin", "done", None)
    assert doors.pulses(LOCK_1) == 2
    assert "424242" not in str(doors.cloud.events)


async def test_a_pin_opens_only_its_own_door_in_its_own_time(doors: DoorWorld) -> None:
    await doors.run()
    here, there, soon, now = new_grant(), new_grant(), new_grant(), doors.now()
    await doors.want(
        stay("here", "r1", now - MINUTE, now + 20 * MINUTE, grant=here),
        stay("there", "r2", now - MINUTE, now + 60 * MINUTE, grant=there),
        stay("soon", "r1", now + 40 * MINUTE, now + 60 * MINUTE, grant=soon),
        pins=[doors.pin(here, "111111"), doors.pin(there, "222222"), doors.pin(soon, "333333")],
    )
    await doors.boards_up()
    for number, (typed, said) in enumerate(
        (
            ("222222", ("pin", "refused", "other_room")),
            ("333333", ("pin", "refused", "too_early")),
            ("12345", ("pass", "refused", "bad_message")),
            ("1111111", ("pass", "refused", "bad_message")),
            ("111111", ("pin", "done", None)),
        ),
        1,
    ):
        doors.show(typed)
        assert outcome(await doors.access(number)) == said
    assert doors.pulses(LOCK_1) == 1


async def test_a_kept_pass_needs_the_pin_while_the_store_is_online(doors: DoorWorld) -> None:
    doors.role = "keypad"
    await doors.run()
    grant, now = new_grant(), doors.now()
    await doors.want(
        stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant),
        pins=[doors.pin(grant, "424242")],
    )
    await doors.boards_up()
    kept = doors.make_pass(grant, rotating=False)
    old = doors.make_pass(grant, not_before=now - 10 * MINUTE)
    doors.show(kept)
    assert outcome(await doors.access(1)) == ("pass", "refused", "pin_needed")
    doors.show(old)
    assert outcome(await doors.access(2)) == ("pass", "refused", "pin_needed")
    doors.show("424242")
    assert outcome(await doors.access(3)) == ("pin", "done", None)
    await asyncio.sleep(0.8)
    # The line is cut: now the kept pass is all there is.
    assert doors.controller is not None
    doors.controller.readers._link_up = lambda: False
    doors.show(doors.make_pass(grant, rotating=False, expires=now + 59 * MINUTE))
    assert outcome(await doors.access(4)) == ("pass", "done", None)


async def test_without_keys_a_renewed_pass_counts_for_its_window(doors: DoorWorld) -> None:
    await doors.run()
    grant, now = new_grant(), doors.now()
    await doors.want(stay("s1", "r1", now - 20 * MINUTE, now + 60 * MINUTE, grant=grant))
    await doors.boards_up()
    doors.show(doors.make_pass(grant, rotating=False))
    assert outcome(await doors.access(1)) == ("pass", "refused", "pin_needed")
    doors.show(doors.make_pass(grant, not_before=now - 10 * MINUTE))
    assert outcome(await doors.access(2)) == ("pass", "done", None)


async def test_an_extension_comes_with_the_pass_when_the_store_is_cut_off(
    doors: DoorWorld,
) -> None:
    """Extended while the store was offline: power is not cut at the old end, also after a restart."""
    await doors.run()
    grant, now = new_grant(), doors.now()
    paid = stay("s1", "r1", now - 20 * MINUTE, now + 20 * MINUTE, grant=grant)
    await doors.want(paid, sent_at=now - 5 * MINUTE)
    await doors.boards_up()
    assert doors.controller is not None
    doors.controller.readers._link_up = lambda: False
    old = doors.make_pass(grant, not_before=now - 10 * MINUTE, expires=now + 90 * MINUTE)
    doors.show(old)  # made before the document: the document knows better
    await doors.access(1)
    assert doors.controller.state.paid["s1"].ends == paid["ends"]
    await asyncio.sleep(0.8)
    doors.show(doors.make_pass(grant, expires=now + 80 * MINUTE))
    assert outcome(await doors.access(2)) == ("pass", "done", None)
    await doors.coil_is(TABLE_1, True, 3)
    await doors.stop()
    await doors.run()
    await doors.boards_up()
    doors.pass_time(70)
    await asyncio.sleep(1.0)
    assert doors.coil(TABLE_1)
    doors.pass_time(16)
    await doors.coil_is(TABLE_1, False)
    assert doors.switched(TABLE_1) == [True, False]


async def test_an_untrusted_clock_lets_nobody_new_in(doors: DoorWorld) -> None:
    await doors.run(synced=lambda: False)
    grant, now = new_grant(), doors.now()
    await doors.want(
        stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant),
        pins=[doors.pin(grant, "424242")],
    )
    await doors.boards_up()
    doors.wire.stepped_s += 3600
    await until(lambda: doors.cloud.of(EventKind.CLOCK_STEP))
    doors.show(doors.make_pass(grant))
    assert outcome(await doors.access(1)) == ("pass", "refused", "clock_untrusted")
    doors.show("424242")
    assert outcome(await doors.access(2)) == ("pin", "refused", "clock_untrusted")
    assert doors.pulses(LOCK_1) == 0


async def test_a_tap_and_a_pass_at_once_are_one_pulse(doors: DoorWorld) -> None:
    await doors.run()
    grant, now = new_grant(), doors.now()
    await doors.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant))
    await doors.boards_up()
    doors.show(doors.make_pass(grant))
    ack = await doors.cloud.unlock("d1", grant)
    await doors.access(2)
    assert doors.pulses(LOCK_1) == 1
    assert ack.state in (AckState.DONE, AckState.DUPLICATE)


async def test_the_picture_on_the_phone_opens_the_door(doors: DoorWorld) -> None:
    """A pass drawn as a QR code, read by an independent decoder, as bytes on the reader's line."""
    await doors.run()
    grant, now = new_grant(), doors.now()
    await doors.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant))
    await doors.boards_up()
    text = doors.make_pass(grant)
    picture = qrcode.make(text, error_correction=qrcode.constants.ERROR_CORRECT_M)
    found = zxingcpp.read_barcodes(picture.get_image().convert("L"))
    assert [code.text for code in found] == [text]
    doors.raw(found[0].bytes + b"\r")
    assert outcome(await doors.access(1)) == ("pass", "done", None)
    assert doors.pulses(LOCK_1) == 1
