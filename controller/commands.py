"""Commands: what is asked of the store now. Each acts at most once, and never after it expired.

The order of the checks is part of the contract: size, retained, signature, store, expiry, nonce,
seen before, then the rules of the action. A command is written down before it is answered, and a
pulse is written down as executing before its frame leaves: a crash in between is reported as
unknown and never run again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from pydantic import ValidationError

from controller.access import may_enter
from controller.journal.store import Journal, JournalError, Tx
from controller.outcomes import settled, write_outcome
from controller.plan import SWITCH_CAPABILITY, OverrideRecord, paid_under, room_needs
from controller.pulsing import PULSE_DEADLINE_S, Pulsing
from controller.reconcile import Reconciler
from controller.state import StoreState
from controller.stay import StayRecord, unlocked
from controller.timekeeper import Timekeeper
from firmware_bridge.contract import Bridge, Outcome, OutcomeState
from store_link.clock import Clock, ms
from store_link.codec import CodecError, decode
from store_link.messages import (
    AckState,
    Action,
    Binding,
    Command,
    CommandAck,
    Door,
    EventKind,
    Reason,
    SetArgs,
    UnlockArgs,
)
from store_link.signing import EnvelopeError, Purpose, open_signed

log = structlog.get_logger(__name__)

MAX_LIFE_MS = 120_000  # a command that wants to live longer is none
SWITCH_SETTLED = {OutcomeState.DONE: AckState.DONE, OutcomeState.UNKNOWN: AckState.UNKNOWN}
SPARE_ACKS = 20  # refusals of what could not be verified, in 10 s


class Uplink(Protocol):
    """What commands need of the link."""

    @property
    def nonce(self) -> str | None:
        """Of the present connection; None while there is none."""
        ...

    async def send_ack(self, instance: str, ack: CommandAck) -> None:
        """The fast path to the process that waits; lost if the link is."""
        ...


class Refused(Exception):
    """A command that will not be carried out."""

    def __init__(self, reason: Reason, state: AckState = AckState.REFUSED) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.state = state
        self.evidence: dict[str, Any] = {}


class Commands:
    """Checks and carries out. Use ``receive`` for each envelope."""

    def __init__(
        self,
        *,
        state: StoreState,
        journal: Journal,
        bridge: Bridge,
        reconciler: Reconciler,
        timekeeper: Timekeeper,
        wire: Clock,
        business_ahead_ms: Callable[[], int],
        uplink: Callable[[], Uplink],
        pulsing: Pulsing,
    ) -> None:
        self._state = state
        self._journal = journal
        self._bridge = bridge
        self._reconciler = reconciler
        self._time = timekeeper
        self._wire = wire
        self._ahead_ms = business_ahead_ms
        self._uplink = uplink
        self._pulsing = pulsing
        self._cloud: tuple[int, float] | None = None  # the cloud's time at least, and when heard
        self._spare = (0.0, 0)
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------------------- receiving

    def receive(self, envelope: bytes, retained: bool) -> None:
        """Take an envelope from the link; returns at once."""
        task = asyncio.create_task(
            self._handle(envelope, retained, self._wire.monotonic()), name="command"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, timeout_s: float) -> None:
        """Let commands that are under way end, within ``timeout_s``."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_s)

    async def _handle(self, envelope: bytes, retained: bool, arrived: float) -> None:
        try:
            command = await self._open(envelope, retained)
            if command is not None:
                await self._run(command, arrived)
        except JournalError:
            log.exception("journal_refused")
        except Exception:
            log.exception("command_failed")

    async def _open(self, envelope: bytes, retained: bool) -> Command | None:
        """The command in ``envelope``, or None where it cannot be believed."""
        reason = Reason.RETAINED
        try:
            if len(envelope) > Purpose.COMMAND.max_bytes:
                raise EnvelopeError(Reason.BAD_MESSAGE)
            if not retained:
                payload = open_signed(
                    envelope, Purpose.COMMAND, self._state.store, self._state.keys
                )
                return decode(payload, Command)
        except (EnvelopeError, CodecError) as error:
            reason = error.reason
        log.warning("command_refused", reason=reason.value)
        await self._refuse_unverified(envelope, reason)
        return None

    async def _refuse_unverified(self, envelope: bytes, reason: Reason) -> None:
        """Tell who seems to wait, but not the journal: nobody may fill our disk by shouting."""
        since, count = self._spare
        now = self._wire.monotonic()
        self._spare = (now, 1) if now - since > 10 else (since, count + 1)
        if self._spare[1] > SPARE_ACKS:
            return
        with contextlib.suppress(CodecError):
            command = decode(envelope.partition(b"\n")[2], Command)
            await self._ack(command, AckState.REFUSED, reason, {}, now)

    async def _run(self, command: Command, arrived: float) -> None:
        evidence: dict[str, Any] = {}
        grant = command.args.get("grant")
        try:
            self._check_envelope(command, arrived)
        except Refused as refusal:
            if await self._take(command, grant):
                await self._finish(command, refusal.state, refusal.reason, {}, arrived)
            else:
                await self._duplicate(command, arrived)
            return
        self._time.hint(command.iat + self._ahead_ms())
        if not await self._take(command, grant):
            await self._duplicate(command, arrived)
            return
        await self._ack(command, AckState.ACCEPTED, None, {}, arrived)
        act = {
            Action.UNLOCK: self._unlock,
            Action.SET: self._set,
            Action.CLEAR: self._clear,
            Action.FINISH: self._finish_stay,
        }[command.action]
        try:
            await act(command, arrived)
        except Refused as refusal:
            evidence = refusal.evidence
            await self._finish(command, refusal.state, refusal.reason, evidence, arrived)
        except (ValidationError, CodecError):
            await self._finish(command, AckState.REFUSED, Reason.BAD_MESSAGE, evidence, arrived)

    def _check_envelope(self, command: Command, arrived: float) -> None:
        if command.store != self._state.store:
            raise Refused(Reason.OTHER_STORE)
        if not 0 < command.exp - command.iat <= MAX_LIFE_MS:
            raise Refused(Reason.BAD_MESSAGE)
        if self._left_ms(command, arrived) <= 0:
            raise Refused(Reason.EXPIRED, AckState.EXPIRED)
        nonce = self._uplink().nonce
        if nonce is None or command.nonce != nonce:
            raise Refused(Reason.OTHER_CONNECTION)

    def _left_ms(self, command: Command, arrived: float) -> float:
        """Milliseconds until ``command`` expires: by the clock, by what signed messages prove the
        time to be at least, and by its age since it arrived; whichever is least.
        """
        mono = self._wire.monotonic()
        if self._cloud is None or command.iat > self._cloud[0] + (mono - self._cloud[1]) * 1000:
            self._cloud = (command.iat, mono)
        proven = self._cloud[0] + (mono - self._cloud[1]) * 1000
        aged = command.exp - command.iat - (mono - arrived) * 1000
        left = min(command.exp - proven, aged)
        now = self._time.read()
        if now.quality.value != "untrusted":
            left = min(left, command.exp - (now.ms - self._ahead_ms()))
        return left

    async def _take(self, command: Command, grant: Any) -> bool:
        now = self._time.read()
        async with self._journal.write(now) as tx:
            return await tx.take_command(
                command, grant if isinstance(grant, str) else None, ms(self._wire.now())
            )

    async def _duplicate(self, command: Command, arrived: float) -> None:
        """Its id was seen: say how it ended, do nothing."""
        first = await self._journal.command(command.id)
        evidence: dict[str, Any] = {}
        if first is not None:
            evidence["first"] = {
                "state": first.state,
                "reason": first.reason and first.reason.value,
                "evidence": first.evidence,
            }
        reason = None if first is None else first.reason
        await self._ack(command, AckState.DUPLICATE, reason, evidence, arrived)

    # -------------------------------------------------------------------------------- the actions

    async def _unlock(self, command: Command, arrived: float) -> None:
        args = UnlockArgs.model_validate(command.args)
        now = await self._reconciler.tick()
        door = self._state.doors.get(command.target)
        lock = None if door is None else self._state.lock_of(door)
        if door is None or lock is None:
            raise Refused(Reason.UNKNOWN_TARGET)
        stay: StayRecord | None = None
        if args.grant is not None:
            stay, reason = may_enter(self._state, door, args.grant, now)
            if reason is not None:
                raise Refused(reason)
        elif command.by.startswith("customer:"):
            raise Refused(Reason.NO_GRANT)
        if not self._pulsing.take(door):
            raise Refused(Reason.PULSE_RUNNING, AckState.DUPLICATE)
        outcome = await self._pulse(command, door, lock, arrived)
        self._pulsing.ended(door, outcome)
        state, reason = settled(outcome)
        await self._finish(command, state, reason, _evidence(outcome), arrived, stay=stay)
        if state is AckState.DONE:
            self._reconciler.wake()

    async def _pulse(self, command: Command, door: Door, lock: Binding, arrived: float) -> Outcome:
        try:
            async with self._journal.write(self._time.read()) as tx:
                await tx.command_executing(command.id)
        except JournalError:
            self._pulsing.give_back(door)
            raise
        deadline_s = min(self._left_ms(command, arrived) / 1000, PULSE_DEADLINE_S)
        if deadline_s <= 0:
            return Outcome(OutcomeState.EXPIRED, "deadline", "expired before it was sent")
        return await self._bridge.pulse(lock.board, lock.channel, door.pulse_ms, deadline_s)

    async def _set(self, command: Command, arrived: float) -> None:
        args = SetArgs.model_validate(command.args)
        binding = self._switchable(command)
        async with self._reconciler.lock:
            now = self._time.read()
            desired = self._state.desired
            assert desired is not None
            needs = room_needs(desired, self._state.stays.values(), now)
            if not args.on and not args.force and paid_under(binding, needs) is not None:
                raise Refused(Reason.STAY_RUNNING)
            override = OverrideRecord(
                binding=binding.id,
                on=args.on,
                force=args.force,
                until=now.ms + args.for_s * 1000,
                until_line=now.line + args.for_s,
                command=command.id,
            )
            async with self._journal.write(now) as tx:
                await tx.put_override(override)
                await tx.command_executing(command.id)
            before = self._state.overrides.get(binding.id)
            self._state.overrides[binding.id] = override
        if self._left_ms(command, arrived) <= 0:
            outcome = Outcome(OutcomeState.EXPIRED, "deadline", "expired before it was sent")
        else:
            why = f"override:{command.id}"
            outcome = await self._reconciler.switch_now(binding, args.on, why)
        state, reason = settled(outcome)
        await self._finish(
            command,
            state,
            reason,
            _evidence(outcome),
            arrived,
            undo=None if state is AckState.DONE else (override, before),
        )
        self._reconciler.wake()

    async def _clear(self, command: Command, arrived: float) -> None:
        binding = self._switchable(command)
        async with self._reconciler.lock:
            now = self._time.read()
            async with self._journal.write(now) as tx:
                await tx.drop_override(binding.id)
                await write_outcome(tx, command, AckState.DONE, None, {})
            self._state.overrides.pop(binding.id, None)
        await self._ack(command, AckState.DONE, None, {}, arrived)
        self._reconciler.wake()

    async def _finish_stay(self, command: Command, arrived: float) -> None:
        await self._reconciler.tick()
        if command.target not in self._state.stays:
            raise Refused(Reason.UNKNOWN_TARGET)
        await self._reconciler.finish(command.target)
        await self._finish(command, AckState.DONE, None, {}, arrived)
        self._reconciler.wake()

    def _switchable(self, command: Command) -> Binding:
        """The binding to switch; a lock is none: it can only be pulsed."""
        binding = self._state.bindings.get(command.target)
        if binding is None or binding.capability != SWITCH_CAPABILITY or binding.role == "lock":
            raise Refused(Reason.UNKNOWN_TARGET)
        return binding

    # -------------------------------------------------------------------------------- the outcome

    async def _finish(
        self,
        command: Command,
        state: AckState,
        reason: Reason | None,
        evidence: dict[str, Any],
        arrived: float,
        *,
        stay: StayRecord | None = None,
        undo: tuple[OverrideRecord, OverrideRecord | None] | None = None,
    ) -> None:
        """Write the outcome, what follows from it and the events, all in one; then answer."""
        async with self._reconciler.lock:
            now = self._time.read()
            entered = None
            if stay is not None and state is AckState.DONE:
                entered = unlocked(self._state.stays[stay.id], now)
            async with self._journal.write(now) as tx:
                await write_outcome(
                    tx, command, state, reason, evidence, None if stay is None else stay.id
                )
                if entered is not None:
                    assert stay is not None
                    await tx.use_grant(stay.grant)
                    for transition in entered.transitions:
                        await tx.put_stay(entered.stay)
                        await tx.event(EventKind.STAY, transition)
                    await tx.put("clock", self._time.mark().as_json())
                if undo is not None:
                    await _undo(tx, *undo)
            if entered is not None:
                self._state.stays[entered.stay.id] = entered.stay
            if undo is not None:
                self._restore(*undo)
        if entered is not None and entered.transitions:
            self._reconciler.wake()
        await self._ack(command, state, reason, evidence, arrived)

    def _restore(self, failed: OverrideRecord, before: OverrideRecord | None) -> None:
        if before is None:
            self._state.overrides.pop(failed.binding, None)
        else:
            self._state.overrides[failed.binding] = before

    async def _ack(
        self,
        command: Command,
        state: AckState,
        reason: Reason | None,
        evidence: dict[str, Any],
        arrived: float,
    ) -> None:
        ack = CommandAck(
            store=self._state.store,
            id=command.id,
            state=state,
            reason=reason,
            at=ms(self._wire.now()),
            took_ms=round((self._wire.monotonic() - arrived) * 1000),
            evidence=evidence,
        )
        log.info("command", id=command.id, state=state.value, reason=reason and reason.value)
        await self._uplink().send_ack(command.reply_to, ack)


async def _undo(tx: Tx, failed: OverrideRecord, before: OverrideRecord | None) -> None:
    """A level that was not reached now is not reached later either: the override goes."""
    if before is None:
        await tx.drop_override(failed.binding)
    else:
        await tx.put_override(before)


def _evidence(outcome: Outcome) -> dict[str, Any]:
    evidence = dict(outcome.evidence)
    if outcome.detail:
        evidence["detail"] = outcome.detail
    return evidence
