"""A store without I/O: the real timekeeper, stay machine and plan on a clock that tests move.

The simulation keeps its own books of true time, by which the promises are judged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from controller.plan import Mode, plan, successor
from controller.stay import Evidence, StayRecord, advance, moved, new, unlocked
from controller.timekeeper import Mark, Now, Timekeeper
from store_link.clock import ManualClock, ms
from store_link.messages import ClockQuality, Desired, Stay, StayState

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GRACE_S = 300
TICK_S = 1.0
PROMISE_S = 10.0


def document(stays: dict[str, Stay]) -> Desired:
    binding = {"board": "b", "capability": "switch.set"}
    on = [{"role": role, "on": True} for role in ("table", "ac")]
    return Desired.model_validate(
        {
            "store": "s",
            "epoch": 1,
            "rev": 1,
            "sent_at": 0,
            "tz": "UTC",
            "bindings": [
                {**binding, "id": "t1", "channel": 1, "role": "table", "rooms": ["r1"]},
                {**binding, "id": "t2", "channel": 2, "role": "table", "rooms": ["r2"]},
                {**binding, "id": "ac", "channel": 3, "role": "ac", "rooms": ["r1", "r2"]},
            ],
            "stays": [stay.model_dump() for stay in stays.values()],
            "scenes": {"in_use": on, "grace": on},
        }
    )


@dataclass
class Truth:
    """A stay as it really is, in true seconds since the start."""

    room: str
    starts: float
    ends: float
    entered: bool = False
    stopped: float | None = None

    @property
    def use_end(self) -> float:
        return self.ends if self.stopped is None else min(self.ends, self.stopped)


@dataclass
class Simulation:
    """One store; ``judge`` says after each tick which promise was broken."""

    read: Callable[[Timekeeper], Now] = lambda keeper: keeper.read()
    synced: bool = True
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    boot: int = 1
    true_s: float = 0.0
    stays: dict[str, StayRecord] = field(default_factory=dict)
    paid: dict[str, Stay] = field(default_factory=dict)
    truth: dict[str, Truth] = field(default_factory=dict)
    taken: dict[str, bool | None] = field(default_factory=dict)
    levels: dict[str, bool] = field(
        default_factory=lambda: dict.fromkeys(("t1", "t2", "ac"), False)
    )
    unsure: bool = False
    off_due: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keeper = Timekeeper(self.clock, None, lambda: self.synced, str(self.boot))

    # -- what happens

    def book(self, key: str, room: str, starts: float, length_s: float) -> None:
        at = round(START.timestamp() * 1000)
        self.truth[key] = Truth(room, starts, starts + length_s)
        self.paid[key] = Stay(
            id=key,
            room=room,
            starts=at + round(starts * 1000),
            ends=at + round((starts + length_s) * 1000),
            opens=at + round(starts * 1000),
            grace_s=GRACE_S,
            grant=f"g-{key}",
        )

    def extend(self, key: str, by_s: float) -> None:
        paid = self.paid[key]
        self.paid[key] = paid.model_copy(update={"ends": paid.ends + round(by_s * 1000)})
        self.truth[key].ends += by_s

    def finish(self, key: str) -> None:
        self.paid[key] = self.paid[key].model_copy(update={"finished": True})
        if self.truth[key].stopped is None:
            self.truth[key].stopped = self.true_s

    def unlock(self, key: str) -> bool:
        self.tick()
        stay = self.stays[key]
        if stay.state not in (StayState.OPEN, StayState.IN_USE):
            return False
        self.stays[key] = unlocked(stay, self.read(self.keeper)).stay
        self.truth[key].entered = True
        self.tick()
        return True

    def step(self, by_s: float) -> None:
        self.clock.step(by_s)

    def restart(self) -> None:
        """kill -9: all that is left is what the journal would give back."""
        mark = Mark(**json.loads(json.dumps(self.keeper.mark().as_json())))
        kept = json.loads(json.dumps({key: asdict(stay) for key, stay in self.stays.items()}))
        self.stays = {
            key: StayRecord(
                **{
                    **values,
                    "state": StayState(values["state"]),
                    "anchor": values["anchor"] and ClockQuality(values["anchor"]),
                }
            )
            for key, values in kept.items()
        }
        self.keeper = Timekeeper(self.clock, mark, lambda: self.synced, str(self.boot))

    def power_cut(self, off_s: float, *, clock_survives: bool) -> None:
        """The machine is off for ``off_s``; without a battery its clock wakes up in the past."""
        mark = self.keeper.mark()
        self.true_s += off_s
        self.clock.pass_time(off_s)
        if not clock_survives:
            self.clock.step(-off_s - 3600)
            self.synced = False
            self.unsure = True
        self.boot += 1
        self.keeper = Timekeeper(self.clock, mark, lambda: self.synced, str(self.boot))

    def run(self, seconds: float) -> None:
        while seconds > 0:
            part = min(TICK_S, seconds)
            self.clock.pass_time(part)
            self.true_s += part
            seconds -= part
            self.tick()

    # -- the loop, as reconcile.py runs it

    def tick(self) -> None:
        now = self.read(self.keeper)
        jumps = self.keeper.take_jumps()
        desired = document(self.paid)
        for key, paid in self.paid.items():
            if key not in self.stays:
                self.stays[key] = new(paid, 7200, now)
        self.stays = {key: moved(stay, jumps) for key, stay in self.stays.items()}
        for key in sorted(self.stays, key=lambda k: self.stays[k].starts):
            stay = self.stays[key]
            heir = successor(stay, self.stays.values(), now)
            step = advance(stay, self.paid.get(key), now, self._seen(stay), heir)
            self.stays[key] = step.stay
            over = any(transition.why == "next_stay" for transition in step.transitions)
            if heir is not None and (step.stay.state is StayState.GRACE or over):
                self.stays[heir.id] = replace(self.stays[heir.id], held=True)
        for key, want in plan(desired, self.stays.values(), {}, Mode.RUN, now).items():
            if want.on is not None:
                self.levels[key] = want.on

    def _seen(self, stay: StayRecord) -> Evidence:
        return Evidence(
            presence=self.taken.get(stay.room), power_on=self.levels["t" + stay.room[1]]
        )

    # -- the promises

    def broken(self) -> list[str]:
        """Which promise of I5 does not hold at this instant."""
        wrong = []
        needed = {"t1": False, "t2": False, "ac": False}
        allowed = dict(needed)
        for key, truth in self.truth.items():
            table = "t" + truth.room[1]
            paid_now = truth.entered and self.true_s < truth.use_end - 1
            if truth.entered and self.true_s >= truth.use_end:
                paid_now = any(
                    other.room == truth.room
                    and truth.starts < other.starts <= truth.use_end + GRACE_S - 1
                    and self.true_s < other.use_end - 1
                    for other in self.truth.values()
                )
            if paid_now:
                for device in (table, "ac"):
                    needed[device] = True
                    if not self.levels[device]:
                        wrong.append(f"{device} cut under paid stay {key} at {self.true_s}")
            if truth.starts <= self.true_s <= truth.use_end + GRACE_S + PROMISE_S:
                allowed[table] = allowed["ac"] = True
        for device, on in self.levels.items():
            if on and not allowed[device] and not self.unsure:
                wrong.append(f"{device} still on at {self.true_s}")
        return wrong


def instant(simulation: Simulation) -> int:
    """Business ms by the simulated wall."""
    return ms(simulation.clock.now())


def by_the_wall(keeper: Timekeeper) -> Now:
    """A store that trusts its wall for everything: the guard taken out."""
    at = ms(keeper._clock.now())
    return Now(at / 1000, at, ClockQuality.SYNCED)


def facts(**changes: Any) -> Simulation:
    """A stay of two hours in room r1, entered, ten minutes gone."""
    simulation = Simulation(**changes)
    simulation.book("a", "r1", 0, 7200)
    simulation.run(5)
    assert simulation.unlock("a")
    simulation.run(595)
    return simulation
