"""Three days without a network: everything goes on, then all of it arrives once and in order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.journal import store as journal_store
from controller.journal.store import Journal
from controller.timekeeper import Now
from store_link.messages import ClockQuality, EventKind
from tests.controller.cloud import until
from tests.controller.doors import DoorWorld, new_grant
from tests.controller.test_faults import contiguous
from tests.controller.world import LOCK_1, MINUTE, TABLE_1, stay
from tests.support.nats import NatsBroker

HOUR = 60 * MINUTE
SOON_S = 30.0
RUNNING = "SELECT count(*) FROM stay WHERE grant = ? AND power_since IS NOT NULL"
BILLED = "SELECT count(*) FROM outbox WHERE kind = 'usage'"
ANSWERS = """SELECT json_extract(body, '$.by'), json_extract(body, '$.outcome'), json_extract(body, '$.reason')
    FROM outbox WHERE kind = 'access' ORDER BY seq"""


async def counts(world: DoorWorld, number: int, query: str, *values: object) -> None:
    """Wait until the store's journal counts so many."""
    await until(lambda: world.rows(query, *values) == [(number,)], SOON_S, query)


async def test_seventy_two_hours_offline(tmp_path: Path) -> None:
    """Guests whose booking the store knew, and guests who booked since and bring it in their pass."""
    with NatsBroker(tmp_path / "broker") as broker:
        world = DoorWorld(tmp_path, broker.host, broker.mqtt_port)
        await world.open()
        try:
            await world.run()
            now = world.now()
            grants = [new_grant() for _ in range(6)]
            starts = [now + hours * HOUR for hours in (1, 14, 27, 40, 53, 66)]
            known = [
                stay(f"s{n}", "r1", at, at + 2 * HOUR, grant=grant)
                for n, (grant, at) in enumerate(zip(grants, starts, strict=True))
                if at < now + 48 * HOUR  # as far as a document looks ahead
            ]
            await world.want(*known)
            await world.boards_up()
            heard = len(world.cloud.events)
            broker.kill()
            await until(lambda: not world.cloud.side.up)
            for number, (grant, at) in enumerate(zip(grants, starts, strict=True)):
                world.pass_time((at + MINUTE - world.now()) / MINUTE)
                times = {"not_before": at - 10 * MINUTE, "expires": at + 2 * HOUR}
                world.show(world.make_pass(grant, **times))
                await world.coil_is(TABLE_1, True, SOON_S)
                await counts(world, 1, RUNNING, grant)
                if number == 3:
                    await world.stop()
                    await world.run(alone=True)
                    await until(lambda: world.rows("SELECT max(seq) FROM outbox"), SOON_S)
                world.pass_time(121 + 5)
                await world.coil_is(TABLE_1, False, SOON_S)
                await counts(world, number + 1, BILLED)
                await asyncio.sleep(0.8)  # a lock that is held refuses a second pulse
            world.pass_time((now + 72 * HOUR - world.now()) / MINUTE)
            assert len(world.cloud.events) == heard
            size = (world.state_dir / "journal.db").stat().st_size
            broker.start()
            last = world.rows("SELECT max(seq) FROM outbox")[0][0]
            await until(lambda: world.cloud.events[-1].seq >= last, 60, "all of it told")
            assert contiguous(world)
            late = [event for event in world.cloud.events[heard:] if event.seq <= last]
            assert all(event.historical for event in late)
            assert [event.at for event in late] == sorted(event.at for event in late)
            usage = world.cloud.of(EventKind.USAGE)
            assert [abs(body["used_s"] - 2 * 3600 + 60) < 30 for body in usage] == [True] * 6
            entries = [b for b in world.cloud.of(EventKind.ACCESS) if b["outcome"] == "done"]
            assert [body["grant"] for body in entries] == grants
            assert world.pulses(LOCK_1) == 6
            assert size < 1 << 20
        finally:
            await world.close()


async def test_what_was_taken_back_before_the_cut_stays_taken_back(tmp_path: Path) -> None:
    """Cancelled, then cut off, then started anew: neither the pass nor the PIN in the guest's hand opens."""
    with NatsBroker(tmp_path / "broker") as broker:
        world = DoorWorld(tmp_path, broker.host, broker.mqtt_port)
        world.role = "keypad"
        await world.open()
        try:
            await world.run()
            gone, kept, now = new_grant(), new_grant(), world.now()
            ends = now + HOUR
            cancelled = stay("gone", "r1", now - MINUTE, ends, grant=gone)
            await world.want(cancelled, pins=[world.pin(gone, "424242")])
            await world.boards_up()
            held = world.make_pass(gone)
            await world.want(stay("kept", "r1", now - MINUTE, ends, grant=kept), revoked=[gone])
            broker.kill()
            await until(lambda: not world.cloud.side.up)
            await world.stop()
            bridge = (await world.run(alone=True)).bridge
            boards = ("relay", "io", "scan")
            await until(
                lambda: all(bridge.board_state(b).state == "online" for b in boards), SOON_S
            )
            said: list[tuple[str, str, str | None]] = []
            for code, told in (
                (held, ("pass", "refused", "revoked")),
                (world.make_pass(gone, expires=ends - MINUTE), ("pass", "refused", "revoked")),
                ("424242", ("pin", "refused", "wrong_pin")),
                (world.make_pass(kept), ("pass", "done", None)),  # the control: this store opens
            ):
                assert world.pulses(LOCK_1) == 0
                said.append(told)
                world.show(code)
                await until(lambda: len(world.rows(ANSWERS)) == len(said), SOON_S, told[1])
                assert world.rows(ANSWERS) == said
            assert world.pulses(LOCK_1) == 1
        finally:
            await world.close()


async def test_what_waits_is_bounded_and_no_entry_and_no_bill_is_ever_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board that comes and goes every second for days would fill the card with saying so."""
    monkeypatch.setattr(journal_store, "LESSER_WAITING", 50)
    journal = await Journal.open(tmp_path / "journal.db")
    now = Now(1.0, 1_800_000_000_000, ClockQuality.SYNCED)
    try:
        for number in range(200):
            async with journal.write(now) as tx:
                await tx.event(EventKind.DEVICE, {"n": number})
            if number % 10 == 0:
                async with journal.write(now) as tx:
                    await tx.event(EventKind.ACCESS, {"n": number})
                    await tx.event(EventKind.USAGE, {"n": number})
        events = await journal.events(0, 1000)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        for kind in (EventKind.ACCESS, EventKind.USAGE):
            assert [e.body["n"] for e in events if e.kind is kind] == list(range(0, 200, 10))
        lesser = [event for event in events if event.kind is EventKind.DEVICE]
        assert len(lesser) < 50
        assert journal.left_out == 200 - len(lesser)
        journal.depth = 0  # the cloud has heard all of it
        async with journal.write(now) as tx:
            await tx.event(EventKind.DEVICE, {"n": 200})
        assert (await journal.events(len(events), 10))[0].body == {"n": 200}
    finally:
        await journal.close()
    again = await Journal.open(tmp_path / "journal.db")
    assert again.depth == len(events) + 1
    await again.close()
