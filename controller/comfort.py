"""What air conditioners are held at for a while, what a scene sets them to, and words spoken in a room.

Temperature, mode and fan speed are levels: they may be asserted again, and when the time of a hold is over
what was before comes back, offline and after a restart, too. Who changed a part of it by hand meanwhile is
not overruled. A scene sets them once, when it begins. A clip is played at most once and never later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from controller import airs
from controller.holds import ClimateRecord, as_json, from_json
from controller.journal.store import Journal, JournalError
from controller.outcomes import settled
from controller.state import StoreState
from controller.timekeeper import Now, Timekeeper
from firmware_bridge.contract import Aim, Air, Bridge, Capability, Outcome, OutcomeState
from store_link.messages import (
    AckState,
    Action,
    Binding,
    ClimateArgs,
    ClimateBody,
    Command,
    EventKind,
    SayArgs,
)
from store_link.rules import AirAim

log = structlog.get_logger(__name__)

DEADLINE_S = 3.0
AGAIN_S = 5.0  # after a device did not take what should come back
MOST_TRIES = 5
KEPT_AS = "airs"
KEPT_AS_ONCE = "climates"  # by programs that knew temperatures alone
AIRED_AS = "aired"
NOTHING = AirAim()


class Comfort:
    """Call ``look`` at every tick."""

    def __init__(
        self, state: StoreState, journal: Journal, bridge: Bridge, timekeeper: Timekeeper
    ) -> None:
        self._state = state
        self._journal = journal
        self._bridge = bridge
        self._time = timekeeper
        self._locks: dict[str, asyncio.Lock] = {}
        self._again: dict[str, float] = {}  # binding -> line from which it is tried again
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tries: dict[str, tuple[str, int]] = {}  # binding -> for what, and how often in vain

    # ------------------------------------------------------------------------------------- by staff

    def act(self, command: Command, binding: Binding) -> Callable[[], Awaitable[Outcome]] | None:
        """What ``command`` asks of ``binding``, ready to be done; None where it is no such device.

        Raises ValidationError for arguments that are none.
        """
        key = (command.action, binding.capability)
        if key == (Action.CLIMATE, Capability.CLIMATE_SET):
            args = ClimateArgs.model_validate(command.args)
            return partial(self.hold, binding, aim_of(args), args.for_s, command.id)
        if key == (Action.CLEAR, Capability.CLIMATE_SET):
            return partial(self.release, binding)
        if key == (Action.SAY, Capability.SPEAKER_SAY):
            return partial(self.say, binding, SayArgs.model_validate(command.args).clip)
        return None

    async def hold(self, binding: Binding, aim: AirAim, for_s: int, command: str) -> Outcome:
        """Hold ``aim`` for ``for_s`` seconds, and what was held already. What the device did not take is
        not held.
        """
        async with self._lock(binding.id):
            now = self._time.read()
            known = self._state.climates.get(binding.id)
            before = self._is(binding)
            if known is not None:  # what stood before the first of them
                before = merged(before, parts(known.before, of=known.aim))
            record = ClimateRecord(
                binding=binding.id,
                aim=merged(_aim(known), aim),
                before=before,
                until=now.ms + for_s * 1000,
                until_line=now.line + for_s,
                command=command,
                since_line=now.line,
            )
            await self._put(now, record)
            outcome = await self._set(binding, aim, f"override:{command}")
            if settled(outcome)[0] is AckState.FAILED:
                taken = _taken(aim, self._is(binding), before)
                held = known if taken.empty else replace(record, aim=merged(_aim(known), taken))
                await self._put(self._time.read(), held, binding.id)
            return outcome

    async def release(self, binding: Binding) -> Outcome:
        """End what is held now. Done where nothing is."""
        async with self._lock(binding.id):
            record = self._state.climates.get(binding.id)
            if record is None:
                return Outcome(OutcomeState.DONE, detail="nothing was held")
            return await self._bring_back(binding, record)

    async def say(self, binding: Binding, clip: str) -> Outcome:
        """Play a clip, once."""
        return await self._bridge.say(binding.board, clip, DEADLINE_S)

    # ---------------------------------------------------------------------------------- by the clock

    def look(self) -> None:
        """Bring back what was before, where the time is over; no I/O here."""
        now = self._time.read()
        for key, record in self._state.climates.items():
            due = now.line >= record.until_line and now.line >= self._again.get(key, 0.0)
            if due and key not in self._tasks:
                self._spawn(key, self._over(key))
        self._begin(now)

    async def stop(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"climate {key}")
        self._tasks[key] = task
        task.add_done_callback(partial(self._done, key))

    def _done(self, key: str, _task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)

    async def _over(self, key: str) -> None:
        try:
            async with self._lock(key):
                record = self._state.climates.get(key)
                if record is None or self._time.read().line < record.until_line:
                    return
                binding = self._state.bindings.get(key)
                if binding is None:  # it hangs there no more
                    await self._put(self._time.read(), None, key)
                    return
                if self._bridge.board_state(binding.board).state == "online":
                    await self._bring_back(binding, record)
        except JournalError:
            log.exception("journal_refused")
        finally:
            self._again[key] = self._time.read().line + AGAIN_S

    async def _bring_back(self, binding: Binding, record: ClimateRecord) -> Outcome:
        air = await self._bridge.read_air(binding.board, binding.channel, DEADLINE_S)
        if air.setpoint.quality != "ok":
            return Outcome(OutcomeState.FAILED, "device_offline", "the device cannot be read")
        back = _unchanged(record, said(air))
        if back.empty:
            await self._put(self._time.read(), None, binding.id)
            return Outcome(OutcomeState.DONE, detail="left as it is")
        outcome = await self._set(binding, back, f"over:{record.command}")
        if outcome.state is OutcomeState.DONE or self._worn(binding.id, record.command):
            await self._put(self._time.read(), None, binding.id)
        return outcome

    # --------------------------------------------------------------------------------- by the scene

    def _begin(self, now: Now) -> None:
        """Set what the scene of a room that begins wants of its air conditioner, once; no I/O here."""
        for wish in airs.wishes(self._state, now):
            key = wish.binding.id
            due = now.line >= self._again.get(key, 0.0)
            if due and key not in self._tasks:
                self._spawn(key, self._greet(wish))

    async def _greet(self, wish: airs.Wish) -> None:
        binding = wish.binding
        try:
            async with self._lock(binding.id):
                if await self._greeted(wish):
                    aired = {**self._state.aired, binding.id: wish.occasion}
                    async with self._journal.write(self._time.read()) as tx:
                        await tx.put(AIRED_AS, aired)
                    self._state.aired[binding.id] = wish.occasion
        except JournalError:
            log.exception("journal_refused")
        finally:
            self._again[binding.id] = self._time.read().line + AGAIN_S

    async def _greeted(self, wish: airs.Wish) -> bool:
        """Whether nothing is left to be done for this occasion."""
        binding = wish.binding
        aim = able(wish.aim, self._bridge.air(binding.board, binding.channel))
        if aim.empty:
            return True
        if self._bridge.board_state(binding.board).state != "online":
            return False
        held = self._state.climates.get(binding.id)
        if held is not None:  # by hand: it comes after
            await self._put(self._time.read(), replace(held, before=merged(held.before, aim)))
            return True
        outcome = await self._set(binding, aim, wish.why)
        if settled(outcome)[0] is not AckState.FAILED or outcome.reason == "bad_request":
            return True
        return self._worn(binding.id, wish.occasion)

    # -------------------------------------------------------------------------------------- the rest

    def _worn(self, key: str, occasion: str) -> bool:
        """Count a failure; whether it is enough: a device that will not is not told for ever."""
        was, tries = self._tries.get(key, ("", 0))
        self._tries[key] = (occasion, tries + 1 if was == occasion else 1)
        return self._tries[key][1] >= MOST_TRIES

    async def _set(self, binding: Binding, aim: AirAim, why: str) -> Outcome:
        told = Aim(aim.setpoint, aim.mode, aim.fan)
        outcome = await self._bridge.climate(binding.board, binding.channel, told, DEADLINE_S)
        await self._tell(binding, aim, outcome, why)
        return outcome

    def _is(self, binding: Binding) -> AirAim:
        return said(self._bridge.air(binding.board, binding.channel))

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def _put(self, now: Now, record: ClimateRecord | None, key: str = "") -> None:
        """Keep a record, or with None drop the one of ``key``; on the disk first."""

        def changed() -> dict[str, ClimateRecord]:
            kept = dict(self._state.climates)
            if record is None:
                kept.pop(key, None)
            else:
                kept[record.binding] = record
            return kept

        async with self._journal.write(now) as tx:
            await tx.put(KEPT_AS, as_json(changed()))
            await tx.put("clock", self._time.mark().as_json())  # it was given before what follows
            await tx.put(KEPT_AS_ONCE, {})  # what a program of before wrote, and would obey again
        self._state.climates = changed()

    async def _tell(self, binding: Binding, aim: AirAim, outcome: Outcome, why: str) -> None:
        state = settled(outcome)[0]
        words = {AckState.DONE: "done", AckState.UNKNOWN: "unknown"}
        degrees = aim.setpoint or self._is(binding).setpoint or 0
        body = ClimateBody.model_validate(
            {
                "binding": binding.id,
                "setpoint": degrees,
                "mode": aim.mode,
                "fan": aim.fan,
                "outcome": words.get(state, "failed"),
                "why": why,
            }
        )
        log.info("climate", outcome=body.outcome, why=why, binding=binding.id, **aim.model_dump())
        async with self._journal.write(self._time.read()) as tx:
            await tx.event(EventKind.CLIMATE, body)


async def kept(journal: Journal) -> dict[str, ClimateRecord]:
    """What was held when the program ended."""
    return from_json(await journal.get(KEPT_AS, None) or await journal.get(KEPT_AS_ONCE, {}))


def said(air: Air) -> AirAim:
    """What a device says of itself, as far as it can be believed and told again."""
    degrees = air.setpoint.value if air.setpoint.quality == "ok" else None
    return AirAim(
        setpoint=round(degrees)
        if isinstance(degrees, int | float) and 5 <= degrees <= 40
        else None,
        mode=air.mode.value if air.mode.quality == "ok" else None,
        fan=air.fan.value if air.fan.quality == "ok" else None,
    )


def able(aim: AirAim, air: Air) -> AirAim:
    """``aim`` without what the device does not take."""
    return AirAim(
        setpoint=aim.setpoint,
        mode=aim.mode if aim.mode in air.modes else None,
        fan=aim.fan if aim.fan in air.fans else None,
    )


def aim_of(args: ClimateArgs) -> AirAim:
    """What a command asks for."""
    return AirAim(setpoint=args.setpoint, mode=args.mode, fan=args.fan)


def merged(below: AirAim, above: AirAim) -> AirAim:
    """``above``, and of ``below`` what it leaves open."""
    return AirAim.model_validate({**below.model_dump(), **above.model_dump(exclude_none=True)})


def parts(aim: AirAim, *, of: AirAim) -> AirAim:
    """Those parts of ``aim`` that ``of`` names."""
    named = of.model_dump(exclude_none=True)
    return AirAim.model_validate({k: v for k, v in aim.model_dump().items() if k in named})


def _aim(record: ClimateRecord | None) -> AirAim:
    return NOTHING if record is None else record.aim


def _taken(aim: AirAim, now: AirAim, before: AirAim) -> AirAim:
    """Of what was asked for, what the device took although the whole failed: it is so now, and was not."""
    asked, is_, was = aim.model_dump(), now.model_dump(), before.model_dump()
    return AirAim.model_validate(
        {
            name: value
            for name, value in asked.items()
            if value is not None and is_[name] == value and was[name] != value
        }
    )


def _unchanged(record: ClimateRecord, now: AirAim) -> AirAim:
    """What was before, of each part that is still as it was held: the rest somebody chose by hand."""
    held, before, is_ = record.aim.model_dump(), record.before.model_dump(), now.model_dump()
    return AirAim.model_validate(
        {
            name: before[name]
            for name, value in held.items()
            if value is not None and value == is_[name] and before[name] != value
        }
    )
