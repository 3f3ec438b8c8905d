"""A card that takes no more writes: the store goes on in memory, says so, and comes home afterwards."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.identity import write_private
from controller.inspect import doctor
from store_link.messages import AckState, CommandAck, EventKind
from tests.controller.cloud import until
from tests.controller.dying_disk import DyingDisk
from tests.controller.world import LOCK_1, LOCK_2, MINUTE, TABLE_1, TABLE_2, World, stay


@pytest.fixture
async def disk(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DyingDisk]:
    world.memory = tmp_path / "run"
    dying = DyingDisk(world, tmp_path / "card.img", monkeypatch)
    yield dying
    try:
        if world.controller is not None:
            await world.stop()
    finally:
        dying.close()


async def let_in(world: World, door: str, grant: str) -> list[CommandAck]:
    """Tap until the door opens; what was answered before and then."""
    heard = []
    for _ in range(20):
        heard.append(await world.cloud.unlock(door, grant))
        if heard[-1].state is AckState.DONE:
            return heard
        await asyncio.sleep(0.2)
    raise AssertionError(f"{door} never opened: {heard[-1]}")


def once_and_in_order(world: World) -> bool:
    """No event twice, and time never goes back."""
    events = world.cloud.events
    ids = [event.id for event in events]
    return len(set(ids)) == len(ids) and all(
        one.at <= two.at for one, two in itertools.pairwise(events)
    )


async def test_a_card_that_takes_no_writes_shuts_nobody_out(world: World, disk: DyingDisk) -> None:
    write_private(world.state_dir / "identity.json", world.identity.model_dump_json().encode())
    controller = await world.run()
    now = world.now()
    both = (
        stay("s1", "r1", now - MINUTE, now + 60 * MINUTE),
        stay("s2", "r2", now - MINUTE, now + 60 * MINUTE),
    )
    await world.want(*both)
    await world.boards_up()
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    await world.coil_is(TABLE_1, True)
    on_disk = controller.journal.id
    await disk.die()
    # Whoever comes first may have to tap again; nothing is opened uncounted meanwhile.
    *failed, _ = await let_in(world, "d2", "g-s2")
    assert {ack.state for ack in failed} <= {AckState.FAILED}
    assert world.pulses(LOCK_2) == 1
    await world.coil_is(TABLE_2, True)
    await until(lambda: world.cloud.report.outbox.in_memory, 40, "the dead card reported")
    in_memory = controller.journal.id
    assert in_memory != on_disk
    assert world.memory is not None
    assert controller.journal.path == world.memory / "journal.db"
    findings = [f.text for f in doctor(world.state_dir, {}, world.wire.now()) if not f.good]
    if disk.real:
        assert any("replace the card" in text for text in findings)

    # The program is started again in the same boot: the same journal goes on.
    await world.stop()
    controller = await world.run()
    await world.boards_up()
    assert controller.journal.id == in_memory
    assert world.switched(TABLE_1) == world.switched(TABLE_2) == [True]

    # The power fails: memory is gone, the card is as it was when it died.
    await until(lambda: any(b["door"] == "d2" for b in world.cloud.of(EventKind.ACCESS)))
    await world.stop()
    shutil.rmtree(world.memory)
    controller = await world.run()
    await world.want(*both)
    await world.boards_up()
    assert controller.journal.in_memory
    assert controller.journal.id not in (on_disk, in_memory)
    assert world.switched(TABLE_1) == [True]
    await let_in(world, "d1", "g-s1")
    assert world.pulses(LOCK_1) == 2
    world.pass_time(66)
    await world.coil_is(TABLE_1, False)
    await world.coil_is(TABLE_2, False)
    usage = await until(lambda: len(world.cloud.of(EventKind.USAGE)) >= 2)
    assert usage
    last = controller.journal.id
    await world.stop()

    # A new card, or the old one after a look by fsck: the journal comes home with all it knows.
    disk.repair()
    controller = await world.run()
    assert controller.journal.id == last
    assert not controller.journal.in_memory
    assert not list(world.memory.glob("journal.db*"))
    assert world.rows("SELECT uses FROM grant_use WHERE grant = 'g-s1'") == [(2,)]
    now = world.now()
    await world.want(stay("s3", "r1", now - MINUTE, now + 60 * MINUTE))
    await world.boards_up()
    await let_in(world, "d1", "g-s3")
    await until(lambda: not world.cloud.report.outbox.in_memory)
    told = await until(
        lambda: [b for b in world.cloud.of(EventKind.USAGE) if b["stay"] in ("s1", "s2")]
    )
    assert sorted(body["stay"] for body in told) == ["s1", "s2"]

    def opened() -> list[str]:
        told = world.cloud.of(EventKind.ACCESS)
        return sorted(body["door"] for body in told if body["outcome"] == "done")

    await until(lambda: opened() == ["d1", "d1", "d1", "d2"], 30, "every entry told")
    assert (world.pulses(LOCK_1), world.pulses(LOCK_2)) == (3, 1)
    assert once_and_in_order(world)
