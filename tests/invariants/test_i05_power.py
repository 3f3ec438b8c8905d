"""I5: power follows paid time, by properties without I/O and on virtual boards with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from store_link.messages import AckState, StayState
from tests.controller import simulation
from tests.controller.cloud import until
from tests.controller.simulation import GRACE_S, PROMISE_S, Simulation, by_the_wall, facts
from tests.controller.world import MINUTE, TABLE_1, World, stay
from tests.support.nats import NatsBroker


class PowerFollowsPaidTime(RuleBasedStateMachine):
    """Two rooms, any order of entering, extending, finishing, restarts and steps of the clock."""

    @initialize(gap_s=st.sampled_from([0, 60, 900]), enter=st.booleans())
    def book(self, gap_s: int, enter: bool) -> None:
        self.store = Simulation()
        self.store.book("a", "r1", 0, 1200)
        self.store.book("b", "r1", 1200 + gap_s, 900)
        self.store.book("c", "r2", 300, 1500)
        self.store.run(1)
        if enter:  # left to chance, a room is seldom in use when its end comes
            assert self.store.unlock("a")

    @rule(seconds=st.one_of(st.integers(1, 60), st.integers(200, 700)))
    def time_passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.store.run(1)
            assert self.store.broken() == []

    @rule(key=st.sampled_from("abc"))
    def unlock(self, key: str) -> None:
        truth = self.store.truth[key]
        opened = self.store.unlock(key)
        inside = truth.starts + 1 < self.store.true_s < truth.use_end - 1
        assert opened or not inside or truth.stopped is not None

    @rule(key=st.sampled_from("bc"), by_s=st.integers(60, 900))
    def extend(self, key: str, by_s: int) -> None:
        state = self.store.stays[key].state
        if state in (StayState.IN_USE, StayState.GRACE) and self.store.truth[key].stopped is None:
            self.store.extend(key, by_s)
            self.store.tick()

    @precondition(lambda self: self.store.truth["c"].entered)
    @rule()
    def finish(self) -> None:
        self.store.finish("c")
        self.store.tick()

    @rule()
    def kill_and_start(self) -> None:
        self.store.restart()
        self.store.tick()

    @rule(by_s=st.sampled_from([-86_400, -600, 30, 3600]))
    def clock_is_stepped_and_not_believed(self, by_s: int) -> None:
        self.store.synced = False
        self.store.keeper._sync_read = None
        self.store.step(by_s)
        self.store.tick()

    @rule(off_s=st.integers(1, 500))
    def power_cut_with_a_battery(self, off_s: int) -> None:
        if self.store.synced and not self.store.unsure:
            self.store.power_cut(off_s, clock_survives=True)
            self.store.run(1)

    @invariant()
    def promises_hold(self) -> None:
        if hasattr(self, "store"):
            assert self.store.broken() == []


PowerFollowsPaidTime.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestPowerFollowsPaidTime = PowerFollowsPaidTime.TestCase


@pytest.mark.parametrize("by_s", [-86_400.0, 3600.0, 315_360_000.0])
def test_a_step_of_the_clock_neither_cuts_nor_stretches(by_s: float) -> None:
    store = facts()
    store.synced = False
    store.keeper._sync_read = None
    store.step(by_s)
    while store.true_s < 7200 + GRACE_S + 30:
        store.run(1)
        assert store.broken() == []
    assert store.levels == {"t1": False, "t2": False, "ac": False}


def test_control_a_store_that_goes_by_the_wall_cuts_and_stretches() -> None:
    cut = facts(read=by_the_wall)
    cut.step(7200)
    cut.run(GRACE_S + 20)
    assert any("cut" in wrong for wrong in cut.broken())
    stretched = facts(read=by_the_wall)
    stretched.step(-86_400)
    stretched.run(7200 - 600 + GRACE_S + PROMISE_S + 60)
    assert any("still on" in wrong for wrong in stretched.broken())


def test_where_elapsed_time_is_unknown_nothing_is_cut_and_the_overrun_is_bounded() -> None:
    store = facts()
    off_s = 1800
    store.power_cut(off_s, clock_survives=False)
    store.run(2)
    assert store.stays["a"].unsure_from is not None
    while store.true_s < 7200 + GRACE_S + off_s - 5:
        store.run(1)
        assert store.levels["t1"]  # it cannot know that the machine was off for half an hour
        assert store.broken() == []
    store.run(5 + PROMISE_S)
    assert not store.levels["t1"]  # and the overrun is no longer than it was off


def test_when_the_true_time_is_known_again_what_is_over_is_cut_at_once() -> None:
    store = facts()
    store.power_cut(9000, clock_survives=False)
    store.run(5)
    assert store.levels["t1"]
    store.clock.step(9000 + 3600)
    store.synced = True
    store.keeper._sync_read = None
    store.run(PROMISE_S)
    assert store.broken() == []
    assert not store.levels["t1"]


def test_every_tick_of_grace_ends_within_the_promise() -> None:
    for length in (60, 599, 3601):
        store = simulation.Simulation()
        store.book("a", "r1", 0, length)
        store.run(2)
        assert store.unlock("a")
        while store.true_s < length + GRACE_S - 1:
            store.run(1)
            assert store.levels["t1"]
        store.run(PROMISE_S)
        assert not store.levels["t1"]


async def in_use(world: World) -> None:
    now = world.now()
    await world.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE))
    await world.boards_up()
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    await world.coil_is(TABLE_1, True, 3)


async def test_with_cloud_and_broker_gone_a_killed_controller_still_keeps_and_cuts(
    tmp_path: Path,
) -> None:
    with NatsBroker(tmp_path / "broker") as broker:
        world = await World(tmp_path, broker.host, broker.mqtt_port).open()
        try:
            await world.spawn()
            await in_use(world)
            world.kill()
            broker.kill()
            world.cloud.presence = None
            process = await world.spawn(wait=False)
            booted = "SELECT max(seq) FROM outbox WHERE kind = 'boot'"
            await until(lambda: world.rows(booted)[0][0] > 1, 30)
            world.pass_time(59)
            await asyncio.sleep(3)
            assert world.coil(TABLE_1)
            assert world.switched(TABLE_1) == [True]
            world.pass_time(7)
            await world.coil_is(TABLE_1, False, 10)
            assert process.running
        finally:
            await world.close()


async def test_control_with_no_controller_the_table_stays_on(
    tmp_path: Path, nats_broker: NatsBroker
) -> None:
    world = await World(tmp_path, nats_broker.host, nats_broker.mqtt_port).open()
    try:
        await world.spawn()
        await in_use(world)
        world.kill()
        world.pass_time(66)
        with pytest.raises(AssertionError, match="not within"):
            await world.coil_is(TABLE_1, False, 3)
    finally:
        await world.close()


async def test_a_store_without_desired_touches_nothing(
    tmp_path: Path, nats_broker: NatsBroker
) -> None:
    world = await World(tmp_path, nats_broker.host, nats_broker.mqtt_port).open()
    try:
        world.rig.lines["rs485-1"].locked(lambda board: board._set(TABLE_1 - 1, True), "relay")
        await world.run()
        for _ in range(3):
            assert world.controller is not None
            await world.controller.reconciler.tick()
        assert world.coil(TABLE_1)
        await world.want()  # an applied document that knows of no stay: now it may be cut
        await world.coil_is(TABLE_1, False, 10)
    finally:
        await world.close()
