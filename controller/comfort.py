"""Temperatures that staff hold for a while, and words that they have spoken in a room.

A temperature is a level: it may be asserted again, and when its time is over what was aimed at before
comes back, offline and after a restart, too. Who changed it by hand meanwhile is not overruled. A clip
is played at most once and never later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import structlog

from controller.journal.store import Journal, JournalError
from controller.outcomes import settled
from controller.plan import ClimateRecord
from controller.state import StoreState
from controller.timekeeper import Now, Timekeeper
from firmware_bridge.contract import Bridge, Capability, Outcome, OutcomeState
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

log = structlog.get_logger(__name__)

DEADLINE_S = 3.0
AGAIN_S = 5.0  # after a device did not take what should come back
KEPT_AS = "climates"


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

    # ------------------------------------------------------------------------------------- by staff

    def act(self, command: Command, binding: Binding) -> Callable[[], Awaitable[Outcome]] | None:
        """What ``command`` asks of ``binding``, ready to be done; None where it is no such device.

        Raises ValidationError for arguments that are none.
        """
        key = (command.action, binding.capability)
        if key == (Action.CLIMATE, Capability.CLIMATE_SET):
            args = ClimateArgs.model_validate(command.args)
            return partial(self.hold, binding, args.setpoint, args.for_s, command.id)
        if key == (Action.CLEAR, Capability.CLIMATE_SET):
            return partial(self.release, binding)
        if key == (Action.SAY, Capability.SPEAKER_SAY):
            return partial(self.say, binding, SayArgs.model_validate(command.args).clip)
        return None

    async def hold(self, binding: Binding, setpoint: int, for_s: int, command: str) -> Outcome:
        """Aim at ``setpoint`` °C for ``for_s`` seconds. What the device did not take is not held."""
        async with self._lock(binding.id):
            now = self._time.read()
            known = self._state.climates.get(binding.id)
            before = known.before if known is not None else self._aimed_at(binding)
            record = ClimateRecord(
                binding=binding.id,
                setpoint=setpoint,
                before=before,
                until=now.ms + for_s * 1000,
                until_line=now.line + for_s,
                command=command,
            )
            await self._put(now, record)
            outcome = await self._bridge.climate(
                binding.board, binding.channel, setpoint, DEADLINE_S
            )
            await self._tell(binding.id, setpoint, outcome, f"override:{command}")
            if settled(outcome)[0] is AckState.FAILED:
                await self._put(self._time.read(), known, binding.id)
            return outcome

    async def release(self, binding: Binding) -> Outcome:
        """End a temperature now. Done where none is held."""
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
                task = asyncio.create_task(self._over(key), name=f"climate {key}")
                self._tasks[key] = task
                task.add_done_callback(partial(self._done, key))

    async def stop(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        reading = await self._bridge.read(
            binding.board, Capability.CLIMATE_SET, binding.channel, DEADLINE_S
        )
        if reading.quality != "ok":
            return Outcome(OutcomeState.FAILED, "device_offline", "the device cannot be read")
        before = record.before
        if before is None or reading.value != record.setpoint or before == record.setpoint:
            await self._put(self._time.read(), None, binding.id)
            return Outcome(OutcomeState.DONE, detail="left as it is")
        outcome = await self._bridge.climate(binding.board, binding.channel, before, DEADLINE_S)
        await self._tell(binding.id, before, outcome, f"over:{record.command}")
        if outcome.state is OutcomeState.DONE:
            await self._put(self._time.read(), None, binding.id)
        return outcome

    # -------------------------------------------------------------------------------------- the rest

    def _aimed_at(self, binding: Binding) -> int | None:
        reading = self._bridge.reading(binding.board, Capability.CLIMATE_SET, binding.channel)
        value = reading.value
        return round(value) if reading.quality == "ok" and isinstance(value, int | float) else None

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def _put(self, now: Now, record: ClimateRecord | None, key: str = "") -> None:
        """Keep a record, or with None drop the one of ``key``; on the disk first."""
        kept = dict(self._state.climates)
        if record is None:
            kept.pop(key, None)
        else:
            kept[record.binding] = record
        async with self._journal.write(now) as tx:
            await tx.put(KEPT_AS, as_json(kept))
        self._state.climates = kept

    async def _tell(self, key: str, setpoint: int, outcome: Outcome, why: str) -> None:
        state = settled(outcome)[0]
        words = {AckState.DONE: "done", AckState.UNKNOWN: "unknown"}
        body = ClimateBody.model_validate(
            {
                "binding": key,
                "setpoint": setpoint,
                "outcome": words.get(state, "failed"),
                "why": why,
            }
        )
        log.info("climate", binding=key, setpoint=setpoint, outcome=body.outcome, why=why)
        async with self._journal.write(self._time.read()) as tx:
            await tx.event(EventKind.CLIMATE, body)


def as_json(records: dict[str, ClimateRecord]) -> dict[str, Any]:
    """For the journal."""
    return {key: asdict(record) for key, record in records.items()}


def from_json(kept: dict[str, Any]) -> dict[str, ClimateRecord]:
    """From the journal."""
    return {key: ClimateRecord(**record) for key, record in kept.items()}
