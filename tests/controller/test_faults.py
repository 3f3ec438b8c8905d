"""What must survive: kill -9, dead boards, broker restarts, lost acks, clock steps."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from controller.journal.store import JournalError, Write
from controller.timekeeper import Now
from store_link.messages import AckState, Event, EventAck, EventKind, Reason
from tests.controller.cloud import until
from tests.controller.world import LOCK_1, LOCK_2, MINUTE, TABLE_1, World, stay
from tests.support.nats import NatsBroker


def contiguous(world: World) -> bool:
    return [event.seq for event in world.cloud.events] == list(
        range(1, len(world.cloud.events) + 1)
    )


async def entered(world: World, minutes: int = 60) -> dict[str, object]:
    """A stay in use, its table on."""
    now = world.now()
    doc = stay("s1", "r1", now - MINUTE, now + minutes * MINUTE)
    await world.want(doc)
    await world.boards_up()
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    await world.coil_is(TABLE_1, True, 3)
    await world.measuring("s1")
    return doc


async def test_kill_9_of_the_controller_leaves_a_table_in_use_on(world: World) -> None:
    process = await world.spawn()
    await entered(world)
    rss = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096 / 1e6
    assert rss < 80, f"{rss} MB"
    world.kill()
    world.pass_time(10)
    await world.spawn()
    await world.boards_up()
    await until(lambda: world.cloud.reported and world.cloud.reported.stays[0].state == "in_use")
    assert world.switched(TABLE_1) == [True]
    assert world.pulses(LOCK_1) == 1
    world.kill()
    world.pass_time(60)  # past the end and its grace, with nobody there to see it
    await world.spawn()
    await world.coil_is(TABLE_1, False, 10)
    overrun = await until(lambda: world.cloud.of(EventKind.OVERRUN))
    assert overrun[0]["stay"] == "s1"
    assert 200 < overrun[0]["overrun_s"] < 400
    usage = await until(lambda: world.cloud.of(EventKind.USAGE))
    assert abs(usage[0]["used_s"] - 3600) < 15
    assert world.terminate() == 0
    assert contiguous(world)


async def test_a_board_that_is_dead_at_the_end_is_switched_off_when_it_is_back(
    world: World,
) -> None:
    await world.run()
    await entered(world)
    world.rig.set_fault("relay", {"dead": True})
    await until(lambda: any(b["state"] == "offline" for b in world.cloud.of(EventKind.DEVICE)), 30)
    failed = await world.cloud.unlock("d1", "g-s1")
    assert failed.state in (AckState.FAILED, AckState.UNKNOWN)
    world.pass_time(66)
    await until(lambda: world.cloud.transitions("s1")[-1] == "ended")
    assert world.coil(TABLE_1)
    world.rig.set_fault("relay", {"dead": False})
    await world.coil_is(TABLE_1, False, 10)
    assert await until(lambda: world.cloud.of(EventKind.OVERRUN))


async def test_a_board_that_lost_power_gets_its_table_back_on(world: World) -> None:
    await world.run()
    await entered(world)
    world.rig.power_cycle("relay")
    await until(lambda: world.switched(TABLE_1) == [True, False, True], 30)


async def test_a_broker_restart_loses_no_event(tmp_path: Path) -> None:
    with NatsBroker(tmp_path / "broker") as broker:
        world = await World(tmp_path, broker.host, broker.mqtt_port).open()
        try:
            await world.run()
            await entered(world)
            broker.kill()
            await until(lambda: not world.cloud.side.up)
            world.pass_time(66)  # the end comes while nobody listens
            await world.coil_is(TABLE_1, False, 10)
            broker.start()
            await until(lambda: world.cloud.of(EventKind.USAGE), 30)
            assert contiguous(world)
            late = [e for e in world.cloud.events if e.kind is EventKind.USAGE]
            assert late[0].historical
        finally:
            await world.close()


async def test_a_lost_ack_makes_events_come_again_and_none_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.uplink.ACK_WITHIN_S", 1.0)
    monkeypatch.setattr("controller.uplink.ACK_WITHIN_MAX_S", 2.0)
    world.cloud.acking = False
    controller = await world.run()
    await entered(world)
    await until(lambda: world.cloud.events)
    assert controller.uplink.acked == 0
    await until(lambda: world.cloud.batches >= 2, 60, "the window sent again")
    world.cloud.acking = True
    await until(lambda: controller.uplink.acked > 0, 60)
    await until(lambda: any(b["now"] == "in_use" for b in world.cloud.of(EventKind.STAY)))
    assert contiguous(world)
    assert world.cloud.gaps == 0


async def test_a_cloud_that_takes_nothing_for_a_while_is_not_stormed(world: World) -> None:
    """An event's effect failed, and the cloud said where it stands: the store sent the window again at
    once, and heard the same again, hundreds of times a second until the cloud's back-off was over.
    """
    world.cloud.taking = False
    await world.run()
    await until(lambda: world.cloud.batches >= 1)
    await asyncio.sleep(1.0)
    assert world.cloud.batches <= 2
    world.cloud.taking = True
    await until(lambda: world.cloud.events, 30, "the window sent again")
    assert contiguous(world)


async def test_a_restored_cloud_can_ask_again(world: World) -> None:
    controller = await world.run()
    await entered(world)
    await until(lambda: len(world.cloud.events) >= 5)
    before = [event.id for event in world.cloud.events]
    journal = controller.journal.id
    world.cloud.events.clear()
    world.cloud.upto[journal] = 0
    async with controller.journal.write(controller.timekeeper.read()) as tx:
        await tx.event(EventKind.CLOCK_STEP, {"by_ms": 0})
    await until(lambda: len(world.cloud.events) > len(before), 30)
    assert [event.id for event in world.cloud.events][: len(before)] == before


async def test_a_clock_step_of_a_day_back_cuts_nothing_and_stretches_nothing(
    world: World,
) -> None:
    await world.run(synced=lambda: False)
    await entered(world)
    world.wire.stepped_s = -86_400.0
    step = await until(lambda: world.cloud.of(EventKind.CLOCK_STEP))
    assert abs(step[0]["by_ms"] + 86_400_000) < 1000
    await until(lambda: world.cloud.reported and world.cloud.reported.clock == "untrusted")
    world.pass_time(59)
    await until(lambda: world.cloud.of(EventKind.CLOCK_STEP))
    assert world.switched(TABLE_1) == [True]
    world.pass_time(7)
    await world.coil_is(TABLE_1, False, 10)
    usage = await until(lambda: world.cloud.of(EventKind.USAGE))
    assert abs(usage[0]["used_s"] - 3600) < 15


async def test_overtime_is_measured_while_somebody_is_seen(world: World) -> None:
    await world.run()
    await entered(world)
    world.rig.set_input("io", 1, True)
    await until(lambda: world.cloud.report.values["seen1"].value is True)
    world.pass_time(66)
    await until(lambda: world.cloud.transitions("s1")[-1] == "overtime")
    await world.coil_is(TABLE_1, False, 10)
    world.pass_time(10)
    await until(lambda: world.rows("SELECT taken_last - over_since FROM stay")[0][0] > 590)
    world.rig.set_input("io", 1, False)
    await until(lambda: world.cloud.report.values["seen1"].value is False)
    world.pass_time(1.1)
    usage = await until(lambda: world.cloud.of(EventKind.USAGE))
    assert 590 < usage[0]["overtime_s"] < 690
    assert world.cloud.of(EventKind.STAY)[-1]["why"] == "vacated"


async def test_a_corrupt_journal_is_kept_aside_and_the_store_goes_on(world: World) -> None:
    controller = await world.run()
    first = controller.journal.id
    await entered(world)
    await world.stop()
    path = world.state_dir / "journal.db"
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 20_000)
    controller = await world.run()
    assert controller.journal.id != first
    assert list(world.state_dir.glob("journal.db.bad-*"))
    # The broker brings desired again; the room's paid time runs, so its table is left on.
    await until(lambda: world.cloud.report.rev == world.rev)
    await world.boards_up()
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    assert world.switched(TABLE_1) == [True]


async def test_an_unknown_profile_is_reported_and_the_other_board_works(world: World) -> None:
    await world.run()
    now = world.now()
    desired = world.document(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE))
    boards = [board.model_dump() for board in desired.boards]
    boards[1]["profile"] = "nobody.knows"
    await world.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE), boards=boards)
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    reports = {board.id: board for board in world.cloud.report.boards}
    assert reports["io"].state == "refused"
    refused = await world.cloud.unlock("d9", None)
    assert (refused.state, refused.reason) == (AckState.REFUSED, Reason.UNKNOWN_TARGET)


async def test_events_go_on_after_the_journal_could_not_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: one unreadable moment of the journal ended the sender, and nobody began it again.

    The store went on recording and reported itself online, but no event reached the cloud until
    somebody restarted the program (I6).
    """
    controller = await world.run()
    journal, tries = controller.uplink._journal, 0
    real = journal.events

    async def events(after: int, most: int) -> list[Event]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise JournalError("the disk had a moment")
        return await real(after, most)

    monkeypatch.setattr(journal, "events", events)
    await entered(world)
    await until(lambda: any(b["now"] == "in_use" for b in world.cloud.of(EventKind.STAY)), 30)
    assert tries > 1
    assert contiguous(world)


async def test_a_cloud_without_memory_is_told_where_the_journal_begins(world: World) -> None:
    """Bug: a new cloud waited for ever for events that the store had let go of long ago.

    It asks by an ack of 0 while nothing is under way, and gets what there is from the oldest on.
    """
    controller = await world.run()
    await entered(world)
    journal = controller.journal
    await until(lambda: len(world.cloud.events) >= 5 and controller.uplink.acked >= 5)
    assert world.cloud.oldest == 1
    now = controller.timekeeper.read()
    acked = controller.uplink.acked
    await journal.prune(acked, now)
    await journal.prune(acked, replace(now, ms=now.ms + 8 * 86_400_000))
    kept = await journal.events(0, 1000)
    assert kept[0].seq > 1
    world.cloud.events.clear()
    world.cloud.upto[journal.id] = kept[0].seq - 1  # it would take the gap now
    ack = EventAck(store=world.store, journal=journal.id, upto=0)
    await world.cloud.side.send_event_ack(ack, world.cloud.command_key)
    ids = [event.id for event in kept]  # the store goes on and may say more meanwhile
    await until(lambda: [event.id for event in world.cloud.events[: len(ids)]] == ids, 30)
    await until(lambda: world.cloud.oldest == kept[0].seq)  # what was on its way said another


async def test_an_ack_of_events_that_are_anothers_lets_go_of_nothing(world: World) -> None:
    """Bug: a copied card hears what the cloud says to the one that it was copied from. It took an ack of
    the other's events for one of its own under the same numbers, and never told what it had recorded.
    """
    controller = await world.run()
    uplink, journal = controller.uplink, controller.journal
    await until(lambda: uplink.acked >= 1)
    world.cloud.acking = False
    await entered(world)
    *_, earlier, latest = await journal.events(uplink.acked, 100)
    others = EventAck(store=world.store, journal=journal.id, upto=latest.seq, last=earlier.id)
    old = EventAck(store=world.store, journal=journal.id, upto=earlier.seq)  # of an older cloud
    own = others.model_copy(update={"last": latest.id})
    with capture_logs() as said:
        await world.cloud.side.send_event_ack(others, world.cloud.command_key)
        await until(lambda: any(one["event"] == "ack_of_other_events" for one in said), 30)
    assert uplink.acked < earlier.seq
    await world.cloud.side.send_event_ack(old, world.cloud.command_key)
    await until(lambda: uplink.acked == earlier.seq, 30)
    await world.cloud.side.send_event_ack(own, world.cloud.command_key)
    await until(lambda: uplink.acked == latest.seq, 30)


async def test_a_guest_hears_what_the_journal_holds_and_staff_do_not_wait_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest who heard that the door is open has a stay, whatever dies then; staff have none to lose."""
    controller = await world.run()
    now = world.now()
    await world.want(stay("s1", "r2", now - MINUTE, now + 60 * MINUTE))
    await world.boards_up()
    journal, may = controller.journal, asyncio.Event()
    keep = journal.keep

    async def slow(at: Now, write: Write) -> bool:
        await may.wait()
        return await keep(at, write)

    monkeypatch.setattr(journal, "keep", slow)
    staff = await world.cloud.unlock("d1")
    assert staff.state is AckState.DONE
    left = await journal.unfinished()
    assert [(one.id, one.state) for one in left] == [(staff.id, "executing")]
    may.set()
    await until(lambda: [body["outcome"] for body in world.cloud.of(EventKind.ACCESS)] == ["done"])
    may.clear()
    guest = asyncio.create_task(world.cloud.unlock("d2", "g-s1"))
    await until(lambda: world.pulses(LOCK_2) == 1)
    for _ in range(20):
        await asyncio.sleep(0.01)
        assert not guest.done()
    may.set()
    assert (await guest).state is AckState.DONE
    await until(lambda: len(world.cloud.of(EventKind.ACCESS)) == 2)
