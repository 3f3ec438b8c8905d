"""What a store's controller does with much to do: the rate at which a backlog goes up, what a look at 64
devices costs, and whether a month leaves its memory as it was.

    python -m benchmarks edge [--count 1000]
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.bench_controller import memory_mb
from benchmarks.one_store import ANSWER_S, OneStore
from benchmarks.results import Measured
from controller.app import Controller
from controller.journal.store import Journal
from controller.timekeeper import Now
from firmware_bridge.contract import Capability
from firmware_bridge.virtual.rig import Rig, RigFile
from store_link import topics
from store_link.codec import encode
from store_link.messages import (
    AckState,
    ClockQuality,
    Desired,
    EventAck,
    EventBatch,
    EventKind,
    StayState,
)
from store_link.signing import MacKey, Purpose, seal
from tests.controller.cloud import until
from tests.controller.world import MINUTE, RELAY, TABLE_1, TABLE_2, World, stay
from tests.support.nats import NatsBroker

BACKLOG = 4_000
WINDOW = 200  # as the controller sends them
DRAIN_AT_LEAST = 200.0  # events a second
DEVICES, LOOKS = 64, 1_000
LOOK_AT_MOST_MS = 5.0  # half a percent of a core at one look a second
DAYS, STAYS_A_DAY = 30, 6
FLAT = 1.05
TABLES = (TABLE_1, TABLE_2)
BODY = {
    "door": "d1",
    "by": "pass",
    "grant": "01J00000000000000000000000",
    "stay": "01J00000000000000000000001",
    "outcome": "done",
    "reason": None,
}


def measured(count: int | None) -> Iterable[Measured]:
    """``count`` below 1,000 makes backlog, looks and month shorter."""
    share = min(1.0, (count or 1000) / 1000)
    folder = Path(tempfile.mkdtemp(prefix="kaimen-bench-"))
    try:
        yield from _drain(folder / "drain", max(WINDOW * 2, round(BACKLOG * share)))
        yield asyncio.run(_looks(folder / "looks", max(50, round(LOOKS * share))))
        yield asyncio.run(_month(folder / "month", max(4, round(DAYS * share))))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ----------------------------------------------------------------------------------------- backlog


class _Draining(OneStore):
    """Notes when events came, and acknowledges them as any cloud does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ours=1)
        self.came: list[tuple[float, int]] = []

    def _take(self, topic: str, payload: dict[str, Any]) -> None:
        if topic.endswith("/event"):
            self.came.append((time.perf_counter(), payload["events"][-1]["seq"]))
        super()._take(topic, payload)


async def _fill(path: Path, number: int) -> int:
    """Put events into a journal whose controller does not run; the last one's number."""
    journal = await Journal.open(path)
    try:
        for _ in range(0, number, 100):
            async with journal.write(Now(1.0, 1_800_000_000_000, ClockQuality.SYNCED)) as tx:
                for _ in range(100):
                    await tx.event(EventKind.ACCESS, BODY)
        return (await journal.waiting(0))[2]
    finally:
        await journal.close()


def _drain(folder: Path, number: int) -> Iterable[Measured]:
    folder.mkdir(parents=True)
    site = _Draining(folder)
    with site:
        site.start()
        site.settle(1.0)
        site.stop()
        last = asyncio.run(_fill(site.state_dir / "journal.db", number))
        site.came.clear()
        begun = time.perf_counter()
        site.start()
        deadline = time.monotonic() + 10 * ANSWER_S
        while (not site.came or site.came[-1][1] < last) and time.monotonic() < deadline:
            site.settle(0.2)
        first, until_then = site.came[0][0], site.came[-1][0]
        assert site.came[-1][1] >= last, "the backlog did not go up"
        # The first window is on its way when the clock starts, so it does not count.
        rate = (last - site.came[0][1]) / max(1e-6, until_then - first)
        bare = _bare_rate(site, last)
    yield Measured.of(
        "controller, rate at which a backlog of events goes up",
        "events/s",
        [rate],
        [DRAIN_AT_LEAST],
        aim=1.0,
        against=f"at least {DRAIN_AT_LEAST:g} events/s",
        low_is_good=False,
        note=f"{last} events, the first {first - begun:.1f} s after the start; a bare client that sends"
        f" sealed windows and waits for nothing but acks: {bare:.0f} events/s",
    )


def _bare_rate(site: _Draining, number: int) -> float:
    """The wire's own: windows made before, each sent when the one before it came back."""
    site.stop()
    event = {"at": 1_800_000_000_000, "clock": "synced", "kind": "access", "body": BODY}
    mac: MacKey = site.mac
    windows = []
    for begin in range(1, number + 1, WINDOW):
        events = [
            {**event, "seq": seq, "id": f"01J{seq:023d}", "historical": True}
            for seq in range(begin, min(begin + WINDOW, number + 1))
        ]
        batch = EventBatch.model_validate(
            {"store": site.store, "journal": "jbare", "events": events, "oldest": 1}
        )
        windows.append((seal(encode(batch), Purpose.EVENT, site.store, mac), len(events)))
    ack = EventAck(store=site.store, journal="jbare", upto=1)
    sealed = seal(encode(ack), Purpose.EVENT_ACK, site.store, site.command_key)
    assert site._cloud is not None
    topic = topics.event_ack(site.store).replace("/down/", "/up/")
    begun = time.perf_counter()
    for window, _ in windows:
        site._cloud.say(topics.event(site.store), window)
        while not site._cloud.hear()[0].endswith("/event"):
            pass
        site._cloud.say(topic, sealed)
        site._cloud.hear()
    return number / (time.perf_counter() - begun)


# -------------------------------------------------------------------------------------------- looks


async def _looks(folder: Path, count: int) -> Measured:
    """Sixteen rooms in use, a lock and three switched devices each: nothing to change, all to look at."""
    folder.mkdir(parents=True)
    with NatsBroker(folder / "broker") as broker:
        world = World(folder, broker.host, broker.mqtt_port)
        lines = {
            f"rs485-{line}": {
                "boards": [
                    {"id": f"b{line}{unit}", "profile": RELAY, "unit_id": unit}
                    for unit in range(1, 5)
                ]
            }
            for line in (1, 2)
        }
        world.rig = Rig(RigFile.model_validate({"lines": lines}), links=folder / "dev")
        await world.open()
        try:
            await world.run()
            desired = _sixty_four(world)
            await world.cloud.want(desired)
            await until(lambda: world.cloud.report.rev == desired.rev, 30)
            await world.boards_up()
            for one in desired.stays:
                done = await world.cloud.unlock(f"d-{one.room}", one.grant)
                assert done.state is AckState.DONE, done
            controller = world.controller
            assert controller is not None
            switched = [b for b in desired.bindings if b.role != "lock"]

            def as_wanted() -> bool:
                return all(
                    controller.bridge.reading(b.board, Capability.SWITCH_SET, b.channel).value
                    is True
                    for b in switched
                )

            await until(as_wanted, 60, "all devices on")
            await asyncio.sleep(2.0)
            ours, floor = [], []
            for _ in range(count):
                begun = time.perf_counter()
                as_wanted()
                floor.append(1000 * (time.perf_counter() - begun))
                begun = time.perf_counter()
                await controller.reconciler.tick()
                ours.append(1000 * (time.perf_counter() - begun))
                await asyncio.sleep(0)
        finally:
            await world.close()
    values = sorted(floor)[len(floor) // 2]
    return Measured.of(
        f"controller, one look at {DEVICES} devices",
        "ms",
        ours,
        [LOOK_AT_MOST_MS],
        aim=1.0,
        against=f"at most {LOOK_AT_MOST_MS:g} ms",
        note=f"asking the bridge for the values alone takes {values:.2f} ms",
    )


def _sixty_four(world: World) -> Desired:
    now = world.now()
    rooms = [f"r{number}" for number in range(DEVICES // 4)]
    roles = ("lock", "table", "light", "fan")
    bindings = [
        {
            "id": f"{role}-{room}",
            "board": f"b{1 + number % 2}{1 + number // 4}",
            "capability": "lock.pulse" if role == "lock" else "switch.set",
            "channel": 1 + 4 * (number // 2 % 2) + at,
            "role": role,
            "rooms": [room],
        }
        for number, room in enumerate(rooms)
        for at, role in enumerate(roles)
    ]
    boards = [
        {"id": f"b{line}{unit}", "profile": RELAY, "port": f"rs485-{line}",
         "params": {"unit_id": unit}}
        for line in (1, 2)
        for unit in range(1, 5)
    ]  # fmt: skip
    on = [{"role": role, "on": True} for role in roles[1:]]
    return world.document(
        *(stay(f"s-{room}", room, now - MINUTE, now + 600 * MINUTE) for room in rooms),
        rooms=[
            {"id": room, "index": number, "lead_s": 600, "grace_s": 300}
            for number, room in enumerate(rooms)
        ],
        doors=[
            {"id": f"d-{room}", "lock": f"lock-{room}", "rooms": [room], "pulse_ms": 700}
            for room in rooms
        ],
        boards=boards,
        bindings=bindings,
        scenes={"in_use": on, "grace": on},
    )


# -------------------------------------------------------------------------------------------- month


async def _ended(controller: Controller, key: str) -> None:
    await until(lambda: controller.state.stays[key].state is StayState.ENDED, 30, "the stay's end")


async def _month(folder: Path, days: int) -> Measured:
    """Six stays a day with all that belongs to them, and the hourly tidying; this process' memory."""
    folder.mkdir(parents=True)
    sizes: list[float] = []
    with NatsBroker(folder / "broker") as broker:
        world = World(folder, broker.host, broker.mqtt_port)
        await world.open()
        try:
            controller = await world.run()
            for day in range(days):
                for number in range(STAYS_A_DAY):
                    now, key = world.now(), f"s{day}-{number}"
                    room = 1 + number % 2  # by turns: a lock that is held refuses a second pulse
                    await asyncio.sleep(0.5)
                    await world.want(stay(key, f"r{room}", now - MINUTE, now + 180 * MINUTE))
                    await world.boards_up()
                    done = await world.cloud.unlock(f"d{room}", f"g-{key}")
                    assert done.state is AckState.DONE, done
                    await world.coil_is(TABLES[room - 1], True, 30)
                    await world.measuring(key)
                    world.pass_time(186)
                    await world.coil_is(TABLES[room - 1], False, 30)
                    await _ended(controller, key)
                    world.pass_time(54)
                await until(lambda: controller.journal.depth == 0, 30, "all told")
                await controller._prune()
                # What the cloud and the boards of this bench remember is not the controller's.
                world.cloud.events.clear()
                world.cloud.acks.clear()
                gc.collect()
                sizes.append(memory_mb(os.getpid()))
        finally:
            await world.close()
    early = sorted(sizes[len(sizes) // 4 : len(sizes) // 2])
    late = sorted(sizes[-max(1, len(sizes) // 4) :])
    return Measured.of(
        f"controller, memory after {days} days of {STAYS_A_DAY} stays",
        "MB",
        late,
        early,
        aim=FLAT,
        against="the same process in its second week",
        note="with a small cloud and the virtual boards in the same process",
    )
