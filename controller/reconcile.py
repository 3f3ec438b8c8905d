"""Every second, and at every event: what should be true now, what is, and act on the difference.

Three rules stand above all. Nothing is switched while no desired document is known. Nothing is
switched on a board that was not read since the start, or since it was last away. And what the plan
leaves is left: a table in use survives a restart because nobody touches it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter

import structlog

from controller import comfort, holds, modes
from controller.journal.store import Journal, JournalError
from controller.journal.tx import Tx
from controller.plan import SWITCH_CAPABILITY, Mode, Want, plan, room_needs, successor, table_needed
from controller.sense import Sense
from controller.state import StoreState
from controller.stay import Advance, StayRecord, advance, moved, new
from controller.timekeeper import Jump, Now, Timekeeper
from firmware_bridge.contract import Bridge, Capability, Outcome, OutcomeState
from store_link.messages import Binding, Desired, DeviceBody, EventKind, PowerBody, Stay, StayState

log = structlog.get_logger(__name__)

SWITCH_DEADLINE_S = 3.0
READ_DEADLINE_S = 3.0
BACKOFF_S = (0.5, 1.0, 2.0, 4.0)
MARK_EVERY_S = 60.0
STALL_S = 2.0
LATE_S = 10.0  # power off later than this after grace is an overrun


@dataclass(slots=True)
class Episode:
    """From the moment a binding is not what it should be until it is."""

    on: bool
    told: str | None = None  # outcome already journaled
    tries: int = 0
    again_at: float = 0.0


@dataclass(slots=True)
class Changes:
    """What one tick found out, to be journaled together."""

    advances: list[Advance] = field(default_factory=list)
    stays: dict[str, StayRecord] = field(default_factory=dict)  # to be written
    seen: dict[str, StayRecord] = field(default_factory=dict)  # all, also those not worth a write
    devices: list[DeviceBody] = field(default_factory=list)
    overruns: list[dict[str, str | int | bool]] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)  # ids under which passes began stays
    modes: modes.Records | None = None  # all of them, where one changed
    moved: bool = False  # the line jumped, and what is held or runs moved along

    def __bool__(self) -> bool:
        return bool(
            self.stays
            or self.devices
            or self.overruns
            or self.expired
            or self.steps
            or self.renamed
            or self.moved
            or self.modes is not None
        )


class Reconciler:
    """Owns the stays and the levels. ``lock`` guards the state and its journal together."""

    def __init__(
        self,
        state: StoreState,
        journal: Journal,
        bridge: Bridge,
        timekeeper: Timekeeper,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.state = state
        self.lock = asyncio.Lock()
        self._journal = journal
        self._bridge = bridge
        self._time = timekeeper
        self._sense = Sense(state, bridge)
        self._on_change = on_change
        self._wake = asyncio.Event()
        self._episodes: dict[str, Episode] = {}
        self._busy: dict[str, asyncio.Task[Outcome]] = {}
        self._reads: dict[str, asyncio.Task[None]] = {}
        self._read: set[str] = set()
        self._boards: dict[str, str] = {}
        self._late: set[str] = set()  # ended stays whose table was seen on after its time
        self._marked: float | None = None
        self._moved = False
        self._plan: dict[str, Want] = {}
        self.on_stall: Callable[[], None] = lambda: None
        self.on_tick: Callable[[], None] = lambda: None
        self.turned = 0  # ticks, for the watchdog

    # ---------------------------------------------------------------------------------- the loop

    def wake(self, board: str = "") -> None:
        """Look again soon; may be given to ``Bridge.on_change``."""
        self._wake.set()

    def changed(self) -> None:
        """Something that is reported changed by a command: tell it, and look again."""
        self._on_change()
        self.wake()

    async def run(self) -> None:
        """Tick whenever woken, until cancelled. The ticker wakes it every second."""
        while True:
            try:
                async with asyncio.timeout(STALL_S):
                    await self._wake.wait()
            except TimeoutError:
                self.on_stall()  # the ticker runs by the wall clock, which may have stepped back
            self._wake.clear()
            try:
                await self.tick()
            except JournalError:
                pass  # the journal has said so; the next tick tries again
            except Exception:
                log.exception("tick_failed")

    async def stop(self) -> None:
        """End what is under way; no board is told anything."""
        tasks = [*self._busy.values(), *self._reads.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def tick(self) -> Now:
        """Bring everything to the present instant; returns it."""
        async with self.lock:
            now, changes = self._look()
            try:
                await self._keep(now, changes)
            except JournalError:
                self._see_again(changes)
                raise
            finally:
                # Should the disk refuse, levels still follow: the stays advance again next time.
                present = self.state.modes if changes.modes is None else changes.modes
                self._drive(now, {**self.state.stays, **changes.seen}, present)
            self.on_tick()
            self.turned += 1
        if changes:
            self._on_change()
        return now

    # --------------------------------------------------------------------------------- what is so

    def _look(self) -> tuple[Now, Changes]:
        now = self._time.read()
        jumps = self._time.take_jumps()
        changes = Changes(steps=self._time.take_steps())
        stays = dict(self.state.stays)
        if jumps:
            self._move(stays, jumps)
        if self._moved:
            changes.moved = True
            changes.stays = {key: stay for key, stay in stays.items() if stay.running}
        self._see_boards(changes)
        if self.state.desired is not None:
            present = modes.look(self.state.desired, self.state.modes, now)
            changes.modes = present if present != self.state.modes else None
            self._hear_of_new(stays, self.state.desired, now, changes)
            self._advance(stays, now, changes)
            self._overruns(stays, now, changes)
        for key, stay in stays.items():
            before = self.state.stays.get(key)
            if before is None or _worth_writing(before, stay):
                changes.stays[key] = stay
        changes.seen = stays
        changes.expired = [
            key for key, override in self.state.overrides.items() if now.line >= override.until_line
        ]
        return now, changes

    def _move(self, stays: dict[str, StayRecord], jumps: list[Jump]) -> None:
        """More time had passed than was known: what was noted since the gap keeps its distance to now."""
        state = self.state
        stays.update({key: moved(stay, jumps) for key, stay in stays.items()})
        state.stays = dict(stays)
        state.overrides = {k: holds.moved(one, jumps) for k, one in state.overrides.items()}
        state.climates = {k: holds.moved(one, jumps) for k, one in state.climates.items()}
        self._moved = True  # until it is on the disk

    def _hear_of_new(
        self, stays: dict[str, StayRecord], desired: Desired, now: Now, changes: Changes
    ) -> None:
        caps = {room.id: room.overtime_cap_s for room in desired.rooms}
        for paid in desired.stays:
            if paid.id in stays:
                continue
            cap_s = caps.get(paid.room, 7200)
            # Begun by a pass before the document knew of it, or sold anew under another id (a change
            # of room or time) while its guests sit there: the same right to enter, the same stay.
            begun = stays.pop(paid.grant, None) or self._sold_anew(stays, paid)
            if begun is None:
                stays[paid.id] = new(paid, cap_s, now)
            else:
                stays[paid.id] = replace(begun, id=paid.id, cap_s=cap_s)
                changes.renamed.append(begun.id)

    def _sold_anew(self, stays: dict[str, StayRecord], paid: Stay) -> StayRecord | None:
        for key, stay in stays.items():
            if stay.grant == paid.grant and stay.running and key not in self.state.paid:
                return stays.pop(key)
        return None

    def _advance(self, stays: dict[str, StayRecord], now: Now, changes: Changes) -> None:
        assert self.state.desired is not None
        keeping = {room.id for room in self.state.desired.rooms if room.overtime == "keep"}
        # Earlier stays first, so that a following one sees how the one before it stands.
        for key in sorted(stays, key=lambda k: stays[k].starts):
            stay = stays[key]
            if stay.state is not StayState.ENDED and stay.keep != (stay.room in keeping):
                stay = replace(stay, keep=stay.room in keeping)
            heir = successor(stay, stays.values(), now)
            step = advance(
                stay,
                self.state.paid.get(key),
                now,
                self._sense.evidence(stay, now),
                heir,
                revoked=stay.grant in self.state.revoked,
            )
            stays[key] = step.stay
            if step.transitions:
                changes.advances.append(step)
            if heir is not None and _passes_power_on(step):
                stays[heir.id] = replace(stays[heir.id], held=True)

    def _overruns(self, stays: dict[str, StayRecord], now: Now, changes: Changes) -> None:
        assert self.state.desired is not None
        held = modes.in_force(self.state.modes)
        needs = room_needs(self.state.desired, stays.values(), now, held)
        for stay in list(stays.values()):
            if stay.state is not StayState.ENDED or stay.off_seen:
                continue
            needed = table_needed(needs.get(stay.room, ()))
            if stay.off_due is None or needed or self._overridden_on(stay.room):
                stays[stay.id] = replace(stay, off_seen=True)
                continue
            on = self._sense.table_on(stay.room)
            if on:
                self._late.add(stay.id)
            elif on is False:
                stays[stay.id] = replace(stay, off_seen=True, unsure_from=None)
                late = round(now.line - stay.off_due)
                if stay.unsure_from is not None:
                    changes.overruns.append(
                        {
                            "stay": stay.id,
                            "overrun_s": round(now.line - stay.unsure_from),
                            "exact": False,
                            "why": "clock_unknown",
                        }
                    )
                elif late > LATE_S and stay.id in self._late:
                    changes.overruns.append(
                        {"stay": stay.id, "overrun_s": late, "exact": True, "why": "switched_late"}
                    )

    def _overridden_on(self, room: str) -> bool:
        return any(
            override.on
            for key, override in self.state.overrides.items()
            if (binding := self.state.bindings.get(key)) is not None and room in binding.rooms
        )

    def _see_boards(self, changes: Changes) -> None:
        if self.state.desired is None:
            return
        for board in self.state.desired.boards:
            seen = self._bridge.board_state(board.id)
            if seen.state == "starting" or self._boards.get(board.id) == seen.state:
                continue
            self._boards[board.id] = seen.state
            body = DeviceBody(board=board.id, state=seen.state, detail=seen.detail, why=seen.why)
            changes.devices.append(body)

    def _see_again(self, changes: Changes) -> None:
        """What was seen once and could not be written is seen again by the next tick."""
        for device in changes.devices:
            self._boards.pop(device.board, None)
        self._time.give_back_steps(changes.steps)

    # ------------------------------------------------------------------------------ what is kept

    async def _keep(self, now: Now, changes: Changes) -> None:
        due = self._marked is None or now.line - self._marked >= MARK_EVERY_S
        if not changes and not due and not self._journal.in_debt:
            self.state.stays.update(changes.seen)
            return
        async with self._journal.write(now) as tx:
            await self._write(tx, changes)
            await tx.put("clock", self._time.mark().as_json())
        self._marked, self._moved = now.line, False
        self.state.modes = self.state.modes if changes.modes is None else changes.modes
        self.state.stays.update(changes.seen)
        self._late = {
            key for key in self._late if key in changes.seen and not changes.seen[key].off_seen
        }
        for key in changes.renamed:
            self.state.stays.pop(key, None)
        for key in changes.expired:
            self.state.overrides.pop(key, None)

    async def _write(self, tx: Tx, changes: Changes) -> None:
        for step in changes.steps:
            await tx.event(EventKind.CLOCK_STEP, {"by_ms": step})
        for device in changes.devices:
            await tx.event(EventKind.DEVICE, device)
        await tx.drop_stays(changes.renamed)
        for stay in changes.stays.values():
            await tx.put_stay(stay)
        for done in changes.advances:
            for transition in done.transitions:
                await tx.event(EventKind.STAY, transition)
            if done.usage is not None:
                await tx.event(EventKind.USAGE, done.usage)
        for overrun in changes.overruns:
            await tx.event(EventKind.OVERRUN, overrun)
        if changes.moved:
            for override in self.state.overrides.values():
                await tx.put_override(override)
            await tx.put(comfort.KEPT_AS, holds.as_json(self.state.climates))
        for key in changes.expired:
            await tx.drop_override(key)
        await modes.keep(tx, self.state.modes, changes.modes)

    async def finish(self, stay_id: str) -> None:
        """End a stay's use now (staff or guest); grace follows as after its paid end."""
        async with self.lock:
            now = self._time.read()
            finished = replace(self.state.stays[stay_id], finished=True)
            async with self._journal.write(now) as tx:
                await tx.put_stay(finished)
            self.state.stays[stay_id] = finished
        await self.tick()

    # -------------------------------------------------------------------------------- what is done

    def _drive(self, now: Now, stays: dict[str, StayRecord], present: modes.Records) -> None:
        mode = Mode.HOLD if self.state.desired is None else Mode.RUN
        held = modes.in_force(present)
        self._plan = plan(self.state.desired, stays.values(), self.state.overrides, mode, now, held)
        for key, want in self._plan.items():
            binding = self.state.bindings[key]
            if self._bridge.board_state(binding.board).state != "online":
                self._read.discard(binding.board)
                self._episodes.pop(key, None)  # when it is back it is tried at once
            elif binding.board not in self._read:
                self._read_first(binding.board)
            elif want.on is not None:
                self._level(binding, want, now)

    def _level(self, binding: Binding, want: Want, now: Now) -> None:
        assert want.on is not None
        reading = self._sense.reading(binding)
        if reading.quality != "ok":
            return
        if reading.value == want.on:
            self._episodes.pop(binding.id, None)
            return
        episode = self._episodes.get(binding.id)
        if episode is None or episode.on != want.on:
            episode = self._episodes[binding.id] = Episode(want.on)
        if binding.id not in self._busy and now.line >= episode.again_at:
            _ = self._start(binding, want.on, want.why, episode)

    def _start(
        self, binding: Binding, on: bool, why: str, episode: Episode
    ) -> asyncio.Task[Outcome]:
        task = asyncio.create_task(
            self._switch(binding, on, why, episode), name=f"switch {binding.id}"
        )
        self._busy[binding.id] = task
        task.add_done_callback(lambda _: self._busy.pop(binding.id, None))
        return task

    async def _switch(self, binding: Binding, on: bool, why: str, episode: Episode) -> Outcome:
        outcome = await self._bridge.switch(binding.board, binding.channel, on, SWITCH_DEADLINE_S)
        done = outcome.state is OutcomeState.DONE
        line = self._time.read().line
        episode.again_at = line + BACKOFF_S[min(episode.tries, len(BACKOFF_S) - 1)]
        episode.tries += 1
        told = _told(outcome)
        if told != episode.told:
            episode.told = told
            log.info("switched", binding=binding.id, on=on, outcome=told, why=why)
            body = PowerBody.model_validate(
                {"binding": binding.id, "on": on, "outcome": told, "why": why}
            )
            async with self.lock:
                await self._journal.keep(
                    self._time.read(), lambda tx: tx.event(EventKind.POWER, body)
                )
        if done:
            self._on_change()
        self.wake()
        return outcome

    async def switch_now(self, binding: Binding, on: bool, why: str) -> Outcome:
        """Assert a level at once for staff, whatever the back-off; returns the device's word."""
        running = self._busy.get(binding.id)
        if running is not None:
            await asyncio.wait({running})
        episode = self._episodes[binding.id] = Episode(on)
        return await asyncio.shield(self._start(binding, on, why, episode))

    def _read_first(self, board: str) -> None:
        if board not in self._reads:
            task = asyncio.create_task(self._read_board(board), name=f"read {board}")
            self._reads[board] = task
            task.add_done_callback(lambda _: self._reads.pop(board, None))

    async def _read_board(self, board: str) -> None:
        """The real state of a board, before anything is asked of it."""
        for binding in list(self.state.bindings.values()):
            if binding.board == board and binding.capability == SWITCH_CAPABILITY:
                reading = await self._bridge.read(
                    board, Capability.SWITCH_SET, binding.channel, READ_DEADLINE_S
                )
                if reading.quality != "ok":
                    return
        self._read.add(board)
        self.wake()


_QUIET = {"taken_last", "opened_last", "door_blind", "energy_last", "energy_wh"}
_LOUD = attrgetter(*(one.name for one in fields(StayRecord) if one.name not in _QUIET))


def _worth_writing(before: StayRecord, after: StayRecord) -> bool:
    """A sign of presence every second is not: flash wears. One a minute is."""
    if before is after:
        return False
    if _LOUD(before) != _LOUD(after):
        return True
    if before.energy_wh is None and after.energy_wh is not None:
        return True  # from here it is counted, whatever happens to this process
    if after.taken_last is None:
        return False
    return before.taken_last is None or after.taken_last - before.taken_last >= MARK_EVERY_S


def _passes_power_on(step: Advance) -> bool:
    """Whether a stay in its grace, or just over for the next one, hands power to its successor."""
    return step.stay.state is StayState.GRACE or any(
        transition.why == "next_stay" for transition in step.transitions
    )


def _told(outcome: Outcome) -> str:
    match outcome.state:
        case OutcomeState.DONE:
            return "done"
        case OutcomeState.UNKNOWN:
            return "unknown"
    return "failed"
