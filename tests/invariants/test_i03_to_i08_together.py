"""I3 to I8 at once: whatever happens to cloud, broker, controller, boards and clock, in whatever order."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from controller.commands import Commands
from controller.freshness import Freshness
from controller.journal.tx import Tx
from tests.controller.world import TABLE_1
from tests.invariants.together import SOON_S, Together
from tests.support.nats import NatsBroker

ROOMS = st.integers(0, 1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[NatsBroker]:
    with NatsBroker(tmp_path / "broker") as started:
        yield started
        if not started.running:
            started.start()


class AnyOrder(RuleBasedStateMachine):
    """Each example is a store of its own, on one broker.

    Every rule may come at any time, and does nothing where there is nothing to do: whether it may must not
    hang on how far real parts have got, or the same choices would make another life.
    """

    broker: ClassVar[NatsBroker]
    folder: ClassVar[Path]
    numbers: ClassVar[Iterator[int]]

    def do(self, act: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(act)

    @initialize(rooms=st.permutations([0, 1]), minutes=st.integers(30, 90))
    def begin(self, rooms: list[int], minutes: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.all = Together(self.folder / str(next(self.numbers)), self.broker)
        self.do(self.all.open())
        self.do(self.all.book(rooms[0], 0, minutes))
        self.do(self.all.tap(rooms[0]))

    @rule(room=ROOMS, ahead=st.sampled_from([0, 0, 5, 20]), minutes=st.integers(10, 60))
    def book(self, room: int, ahead: int, minutes: int) -> None:
        self.do(self.all.book(room, ahead, minutes))

    @rule(room=ROOMS, copies=st.sampled_from([1, 1, 3]))
    def tap(self, room: int, copies: int) -> None:
        self.do(self.all.tap(room, copies))

    @rule(stranger=st.sampled_from([False, False, True]))
    def scan(self, stranger: bool) -> None:
        self.do(self.all.scan(stranger=stranger))

    @rule(room=ROOMS, how=st.sampled_from(["expired", "other connection", "forged"]))
    def misuse(self, room: int, how: str) -> None:
        self.do(self.all.misuse(room, how))

    @rule(room=ROOMS)
    def hold(self, room: int) -> None:
        self.all.hold(room)

    @rule()
    def deliver(self) -> None:
        self.do(self.all.deliver())

    @rule(minutes=st.sampled_from([1, 4, 9, 20, 35]))
    def time_passes(self, minutes: int) -> None:
        self.all.pass_time(minutes)
        self.do(asyncio.sleep(0.2))

    @rule()
    def crash_and_start(self) -> None:
        self.do(self.all.crash())
        self.do(self.all.start())

    @rule()
    def cut_cable(self) -> None:
        self.do(self.all.cut_cable())

    @rule()
    def mend_cable(self) -> None:
        self.do(self.all.mend_cable())

    @rule(lost=st.booleans())
    def acks_are_lost(self, lost: bool) -> None:
        self.all.world.cloud.acking = not lost

    @rule(dead=st.booleans())
    def board_dies_or_comes_back(self, dead: bool) -> None:
        self.all.board(dead=dead)

    @rule(by_s=st.sampled_from([-86_400.0, 3600.0, 315_360_000.0]))
    def clock_is_set(self, by_s: float) -> None:
        self.all.step_clock(by_s)

    @rule()
    def clock_is_right_again(self) -> None:
        self.all.right_clock()

    @rule()
    def fire(self) -> None:
        self.do(self.all.fire())

    @invariant()
    def nothing_that_must_never_be(self) -> None:
        if hasattr(self, "all"):
            self.all.check()

    def teardown(self) -> None:
        if not hasattr(self, "all"):
            return
        try:
            self.do(self.all.settle())
        finally:
            self.do(self.all.close())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()


@pytest.mark.parametrize(
    ("examples", "steps"),
    [
        pytest.param(4, 14, id="some"),
        pytest.param(60, 40, id="many", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
    ],
)
def test_any_order(examples: int, steps: int, broker: NatsBroker, tmp_path: Path) -> None:
    """The same ones each day, so that what passes today passes tomorrow; the soak takes new ones."""

    class Lives(AnyOrder):
        pass

    Lives.broker, Lives.folder, Lives.numbers = broker, tmp_path / "stores", itertools.count()
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=examples < 10,
            database=None,
            phases=[Phase.generate],  # real parts do not shrink: the steps are printed
            suppress_health_check=list(HealthCheck),
        ),
    )


# --------------------------------------------------------------------------- controls: it can fail


async def store(tmp_path: Path, broker: NatsBroker) -> Together:
    together = Together(tmp_path / "stores" / "control", broker)
    await together.open()
    await together.book(0, 0, 60)
    await together.tap(0)
    return together


async def test_control_what_is_wrong_is_seen(
    broker: NatsBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each guard taken away in turn, each promise broken by hand: the books find it."""
    found = await store(tmp_path, broker)
    try:
        await found.settle()
        found.check()
        # A store that forgets what it has done obeys a copy.
        command = found._command(0)
        assert command is not None

        async def forget(self: Tx, *_: Any) -> bool:
            return True

        with monkeypatch.context() as patch:
            patch.setattr(Tx, "take_command", forget)
            found.asked[0] += 1
            for _ in range(2):
                await found._rest()
                found.world.cloud.acks.clear()
                await found.world.cloud.send(command)
                await found.world.cloud.outcome(command, SOON_S)
                found._pulsed()
        with pytest.raises(AssertionError, match="I4"):
            found.check()
        found.asked[0] += 1
        # One that does not look at what a command says of itself.
        with monkeypatch.context() as patch:
            patch.setattr(Commands, "_check_envelope", lambda self, command, arrived: None)
            patch.setattr(Freshness, "left_ms", lambda self, command, arrived: 5000)
            with pytest.raises(AssertionError, match="obeyed what was other connection"):
                await found.misuse(0, "other connection")
        found.asked[0] += 1
        # Somebody switches a table off under a guest.
        found.check()
        assert found.world.controller is not None
        await found.world.controller.bridge.switch("relay", TABLE_1, False, 5)
        with pytest.raises(AssertionError, match="I5"):
            found.check()
        found._seen = found.world.rig.events_since(0)[-1].seq  # that one is dealt with
        # An event is lost on the way, and a guest whom nobody knows is let in.
        await found.settle()
        lost = found.world.cloud.events.pop(3)
        with pytest.raises(AssertionError, match="I6"):
            found.books()
        found.world.cloud.events.insert(3, lost)
        guest = found.guests.pop()
        with pytest.raises(AssertionError, match="I7"):
            found.books()
        found.guests.append(guest)
    finally:
        await found.close()
