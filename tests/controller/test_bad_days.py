"""Bad days of a store that docs/store-computer.md makes promises about: ports, boards, clocks, certificates.

Full disks, dead cards, power loss and clock steps have files of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from controller.identity import Broker, write_private
from controller.inspect import doctor
from firmware_bridge.virtual.rig import Rig, RigFile
from store_link.link import LinkState
from store_link.messages import AckState, EventKind, Reason
from store_link.reports import BoardReport
from tests.brokers.sites import NatsSite
from tests.cloud_api.store_channel.store_side import new_csr
from tests.controller.cloud import until
from tests.controller.doors import DoorWorld, new_grant
from tests.controller.test_faults import contiguous, entered
from tests.controller.world import AC_SHARED, LIGHT_1, LOCK_1, MINUTE, TABLE_1, TABLE_2, World, stay
from tests.support.nats import NatsBroker

PULSE_REST_S = 0.8  # a lock that is held refuses a second pulse
OTHER = "eletechsup.r4d8a08"


@pytest.fixture
async def doors(tmp_path: Path, nats_broker: NatsBroker) -> AsyncIterator[DoorWorld]:
    made = DoorWorld(tmp_path, nats_broker.host, nats_broker.mqtt_port)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def told_of(world: World, board: str) -> list[str]:
    """What the store's events said of a board, one after the other."""
    return [body["state"] for body in world.cloud.of(EventKind.DEVICE) if body["board"] == board]


# ------------------------------------------------------------------------------------- ports, boards


async def test_a_port_that_is_gone_for_an_hour_is_told_and_put_right_when_it_is_back(
    world: World,
) -> None:
    """One stay ends and another begins meanwhile: neither is switched, both are put right."""
    await world.run()
    now = world.now()
    await world.want(
        stay("s1", "r1", now - MINUTE, now + 30 * MINUTE),
        stay("s2", "r2", now - MINUTE, now + 180 * MINUTE),
    )
    await world.boards_up()
    for door, grant, table in (("d1", "g-s1", TABLE_1), ("d2", "g-s2", TABLE_2)):
        assert (await world.cloud.unlock(door, grant)).state is AckState.DONE
        await world.coil_is(table, True)
    await world.measuring("s1")
    world.rig.lines["rs485-1"].close()  # the adapter is pulled out; its boards hold what they have
    await until(lambda: told_of(world, "relay")[-1:] == ["offline"], 30, "the port missed")
    assert told_of(world, "io")[-1:] != ["offline"]
    assert [e["why"] for e in world.cloud.of(EventKind.DEVICE)][-1] == "no_port"
    await asyncio.sleep(PULSE_REST_S)
    refused = await world.cloud.unlock("d2", "g-s2")
    assert (refused.state, refused.reason) == (AckState.FAILED, Reason.DEVICE_OFFLINE)
    world.pass_time(60)
    await until(lambda: world.cloud.transitions("s1")[-1:] == ["ended"])
    assert world.coil(TABLE_1)
    world.rig.lines["rs485-1"].open()
    await world.coil_is(TABLE_1, False, 15)
    overrun = await until(lambda: world.cloud.of(EventKind.OVERRUN))
    assert overrun[0]["stay"] == "s1"
    await until(lambda: told_of(world, "relay")[-1:] == ["online"])
    assert world.switched(TABLE_2) == [True]  # somebody sits there: it was never touched
    assert (await world.cloud.unlock("d2", "g-s2")).state is AckState.DONE
    assert contiguous(world)


async def test_a_wrong_board_is_refused_told_and_not_touched_and_the_right_one_put_right(
    world: World,
) -> None:
    await world.run()
    await entered(world, minutes=30)
    world.rig.lines["rs485-1"].close()
    await until(lambda: told_of(world, "relay")[-1:] == ["offline"], 30)
    wrong = {"boards": [{"id": "wrong", "profile": OTHER, "unit_id": 1}]}
    links = Path(world.ports["rs485-1"]).parent
    other = Rig(RigFile.model_validate({"lines": {"rs485-1": wrong}}), links=links)
    other.open()
    try:
        await until(lambda: told_of(world, "relay")[-1:] == ["refused"], 30, "the wrong board")

        def relay() -> BoardReport:
            return next(board for board in world.cloud.report.boards if board.id == "relay")

        await until(lambda: relay().state == "refused")
        assert relay().detail, "it says what is wrong"
        assert relay().why == "wrong_board"
        await asyncio.sleep(PULSE_REST_S)
        refused = await world.cloud.unlock("d1", "g-s1")
        assert (refused.state, refused.reason) == (AckState.FAILED, Reason.DEVICE_ERROR)
        world.pass_time(36)  # the stay's end comes while the wrong one hangs there
        await until(lambda: world.cloud.transitions("s1")[-1:] == ["ended"])
        await world.cloud.unlock("d2")
        assert not any(event.board == "wrong" for event in other.events_since(0))
        assert all(not coil["on"] for coil in other.board_state("wrong")["coils"])
        reports = {board.id: board.state for board in world.cloud.report.boards}
        assert reports["io"] == "online"
    finally:
        other.close()
    world.rig.lines["rs485-1"].open()
    await world.coil_is(TABLE_1, False, 15)
    assert await until(lambda: world.cloud.of(EventKind.OVERRUN))
    assert contiguous(world)


# ---------------------------------------------------------------------------------------------- time


async def test_a_boot_without_a_clock_keeps_who_is_inside_and_lets_nobody_new_in_until_it_knows(
    doors: DoorWorld,
) -> None:
    """The power fails; the machine has no battery and wakes up twenty years ago."""
    synced = True
    await doors.run(synced=lambda: synced)
    inside, grant, now = new_grant(), new_grant(), doors.now()
    stays = (
        stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=inside),
        stay("s2", "r1", now + 60 * MINUTE, now + 120 * MINUTE, grant=grant),
    )
    await doors.want(*stays)
    await doors.boards_up()
    doors.show(doors.make_pass(inside))
    await doors.coil_is(TABLE_1, True)
    await doors.access(1)
    await doors.stop()
    doors.cloud.reported = None
    doors.boot, doors.wire.stepped_s, synced = "2", -20 * 365 * 86_400.0, False
    controller = await doors.run(synced=lambda: synced)
    await doors.boards_up()
    await until(lambda: doors.cloud.report.clock == "untrusted")
    assert doors.switched(TABLE_1) == [True]
    doors.show(doors.make_pass(inside, expires=doors.now() + 59 * MINUTE))
    assert (await doors.access(2))["reason"] == "clock_untrusted"
    assert (await doors.cloud.unlock("d1")).state is AckState.DONE  # staff, by a fresh command
    pulses = doors.pulses(LOCK_1)
    await asyncio.sleep(PULSE_REST_S)
    # NTP finds the network.
    doors.wire.stepped_s, synced = 0.0, True
    controller.timekeeper._sync_read = None
    await until(lambda: doors.cloud.report.clock == "synced", 40)
    doors.show(doors.make_pass(inside, expires=doors.now() + 58 * MINUTE))
    assert (await doors.access(4))["outcome"] == "done"
    assert doors.pulses(LOCK_1) == pulses + 1
    assert doors.switched(TABLE_1) == [True]
    doors.pass_time(52)
    await asyncio.sleep(0.5)
    assert doors.coil(TABLE_1)
    assert contiguous(doors)


async def test_what_staff_hold_while_nobody_knows_the_time_is_held_to_its_end_and_no_longer(
    world: World,
) -> None:
    """A power cut of 40 minutes, no battery; what was held for 30 before it is over, what is held now is
    counted from now, though the clock jumps by those 40.
    """
    synced = True
    await world.run(synced=lambda: synced)
    await world.want()
    await world.boards_up()
    hold = {"on": True, "for_s": 1800}
    assert (await world.cloud.ask("set", "light1", args=hold)).state is AckState.DONE
    await world.stop()
    world.pass_time(40)
    world.boot, world.wire.stepped_s, synced = "2", -20 * 365 * 86_400.0, False
    controller = await world.run(synced=lambda: synced)
    await world.boards_up()
    await until(lambda: world.cloud.report.clock == "untrusted")
    assert world.coil(LIGHT_1)
    assert (await world.cloud.ask("set", "ac", args={**hold, "for_s": 600})).state is AckState.DONE
    world.wire.stepped_s, synced = 0.0, True
    controller.timekeeper._sync_read = None
    await until(lambda: world.cloud.report.clock == "synced", 40)
    await world.coil_is(LIGHT_1, False)
    await until(lambda: [held.binding for held in world.cloud.report.overrides] == ["ac"])
    (left,) = world.cloud.report.overrides
    assert abs(left.until - world.now() - 600_000) < 60_000
    world.pass_time(8)
    await world.coil_is(AC_SHARED, True)
    world.pass_time(3)
    await world.coil_is(AC_SHARED, False)
    assert world.switched(AC_SHARED) == [True, False]


# --------------------------------------------------------------------------------------- certificates


async def test_a_certificate_that_is_over_stops_the_link_alone_and_a_new_one_heals_it(
    tmp_path: Path,
) -> None:
    """The broker shuts the store out at its next connection. Guests notice nothing; nothing is lost."""
    site = NatsSite(tmp_path / "site")
    site.start()
    host, port = site.address(cloud=False)
    world = World(tmp_path, host, port, site.cloud_endpoint())
    life_s = 4.0
    try:
        tls_broker = Broker(host=host, port=port, tls=True)
        world.identity = world.identity.model_copy(update={"mqtt": tls_broker})
        write_private(world.state_dir / "identity.json", world.identity.model_dump_json().encode())
        write_private(world.state_dir / "ca.pem", site.authority.ca_pem.encode())
        await _certify(site, world, life_s)
        begun = datetime.now(UTC)
        await world.open()
        await world.run()
        await entered(world)
        await asyncio.sleep(max(0.0, life_s + 1 - (datetime.now(UTC) - begun).total_seconds()))
        site.stop()
        site.start()
        assert world.controller is not None
        link = world.controller.uplink.side
        await until(lambda: world.cloud.side.up, 30, "the cloud back")
        await asyncio.sleep(1.0)  # many tries at QUICK's pace
        assert link.link.state is not LinkState.UP
        bad = [f.text for f in doctor(world.state_dir, {}, datetime.now(UTC)) if not f.good]
        assert any("the certificate is over" in text and "enroll" in text for text in bad), bad
        world.pass_time(66)
        await world.coil_is(TABLE_1, False)
        assert not world.cloud.of(EventKind.USAGE)
        # Enrolled anew: other files, the same journal.
        await world.stop()
        await _certify(site, world, 3600)
        await world.run()
        await until(lambda: world.cloud.of(EventKind.USAGE), 30, "what happened meanwhile")
        assert contiguous(world)
        assert world.switched(TABLE_1) == [True, False]
    finally:
        await world.close()
        site.stop()


async def _certify(site: NatsSite, world: World, life_s: float) -> None:
    """Give the store a certificate for ``life_s`` seconds from now."""
    key, csr = new_csr()
    user = f"{new_grant().lower()}.store.kaimen.internal"
    # As the authority issues it, backdated so far that only so much of its life is left.
    now = datetime.now(UTC) + timedelta(seconds=life_s) - timedelta(days=397)
    made = site.authority.issue_store(csr, store_id=world.store, user=user, now=now)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(world.state_dir / "client.key", private)
    write_private(world.state_dir / "client.pem", made.pem.encode())
    await site.admin.ensure_store(user, world.store)
