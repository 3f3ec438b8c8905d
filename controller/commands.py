"""Commands: what is asked of the store now. Each acts at most once, and never after it expired.

The order of the checks is part of the contract: size, retained, signature, store, expiry, nonce,
seen before, then the rules of the action. A command is written down before it is answered, and a
pulse is written down as executing before its frame leaves: a crash in between is reported as
unknown and never run again. What cannot be written down is not done. What was done is answered at
once, also where there is no room left to write how it ended: that is owed to the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from pydantic import ValidationError

from controller.access import may_enter, too_often
from controller.answering import Uplink
from controller.comfort import Comfort
from controller.freshness import Freshness
from controller.holds import OverrideRecord
from controller.journal.store import Journal, JournalError
from controller.journal.tx import Tx
from controller.modes import open_to_all
from controller.outcomes import (
    Refused,
    evidence_of,
    grant_of,
    settled,
    undo_override,
    write_entry,
    write_outcome,
)
from controller.plan import SWITCH_CAPABILITY, paid_under, room_needs
from controller.pulsing import PULSE_DEADLINE_S, Pulsing
from controller.reconcile import Reconciler
from controller.state import StoreState
from controller.stay import StayRecord, unlocked
from controller.timekeeper import Now, Timekeeper
from firmware_bridge.contract import Bridge, Capability, Outcome, OutcomeState
from store_link.clock import Clock, ms
from store_link.codec import CodecError, decode
from store_link.messages import (
    AckState,
    Action,
    Binding,
    Command,
    CommandAck,
    DiagnoseArgs,
    Door,
    Reason,
    SetArgs,
    UnlockArgs,
)
from store_link.signing import EnvelopeError, Purpose, open_signed

log = structlog.get_logger(__name__)

MAX_LIFE_MS = 120_000  # a command that wants to live longer is none
UNCOUNTED = {"detail": "nothing was done: the disk is full, so it could not be written down"}
SLOW_S = 0.1  # a board that takes longer: who waits hears that the command has arrived
SPARE_ACKS = 20  # refusals of what could not be verified, in 10 s


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
        comfort: Comfort,
        send_bundle: Callable[[str], Awaitable[tuple[bool, str]]],
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
        self._comfort = comfort
        self._send_bundle = send_bundle
        self._fresh = Freshness(wire, timekeeper, business_ahead_ms)
        self._spare = (0.0, 0)
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------------------- receiving

    def receive(self, envelope: bytes, retained: bool) -> None:
        """Take an envelope from the link; returns at once."""
        self._spawn(self._handle(envelope, retained, self._wire.monotonic()), "command")

    async def drain(self, timeout_s: float) -> None:
        """Let commands that are under way end, within ``timeout_s``."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_s)

    async def _handle(self, envelope: bytes, retained: bool, arrived: float) -> None:
        try:
            command = await self._open(envelope, retained)
            if command is None:
                return
            try:
                await self._run(command, arrived)
            except JournalError:  # before the act: nothing was done
                await self._ack(
                    command, AckState.FAILED, Reason.DEVICE_ERROR, dict(UNCOUNTED), arrived
                )
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
        try:
            self._check_envelope(command, arrived)
        except Refused as refusal:
            await self._refuse(command, refusal, arrived)
            return
        self._time.hint(command.iat + self._ahead_ms())
        try:
            if command.action is Action.UNLOCK:
                await self._unlock(command, arrived)
            else:
                await self._other(command, arrived)
        except (ValidationError, CodecError):
            await self._refuse(command, Refused(Reason.BAD_MESSAGE), arrived)
        except Refused as refusal:
            await self._refuse(command, refusal, arrived)

    async def _other(self, command: Command, arrived: float) -> None:
        """What is not a pulse is written down first and looked at then."""
        if not await self._take(command, "received"):
            await self._duplicate(command, arrived)
            return
        self._say(command, AckState.ACCEPTED, {}, arrived)
        act = {
            Action.SET: self._set,
            Action.CLEAR: self._clear,
            Action.FINISH: self._finish_stay,
            Action.CLIMATE: self._direct,
            Action.SAY: self._direct,
            Action.DIAGNOSE: self._diagnose,
        }
        try:
            await act[command.action](command, arrived)
        except Refused as refusal:
            await self._finish(command, refusal.state, refusal.reason, {}, arrived)
        except (ValidationError, CodecError):
            await self._finish(command, AckState.REFUSED, Reason.BAD_MESSAGE, {}, arrived)

    async def _refuse(self, command: Command, refusal: Refused, arrived: float) -> None:
        """Write down at once that it came and that it was refused, unless it was seen before."""
        now = self._time.read()
        async with self._journal.write(now) as tx:
            new = await tx.take_command(command, grant_of(command), ms(self._wire.now()))
            if new:
                await write_outcome(tx, command, refusal.state, refusal.reason, {})
        if new:
            await self._ack(command, refusal.state, refusal.reason, {}, arrived)
        else:
            await self._duplicate(command, arrived)

    def _check_envelope(self, command: Command, arrived: float) -> None:
        if command.store != self._state.store:
            raise Refused(Reason.OTHER_STORE)
        if not 0 < command.exp - command.iat <= MAX_LIFE_MS:
            raise Refused(Reason.BAD_MESSAGE)
        if self._fresh.left_ms(command, arrived) <= 0:
            raise Refused(Reason.EXPIRED, AckState.EXPIRED)
        nonce = self._uplink().nonce
        if nonce is None or command.nonce != nonce:
            raise Refused(Reason.OTHER_CONNECTION)

    async def _take(self, command: Command, state: str) -> bool:
        now, at = self._time.read(), ms(self._wire.now())
        return await self._journal.take(now, command, grant_of(command), at, state)

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
        """A transaction before the pulse, one when the board answered, then the answer; one afterwards.

        A guest who hears that the door is open goes in and taps no more: their stay has begun by then, whatever
        becomes of this computer.
        """
        door, lock, stay = await self._may_unlock(command)
        try:
            new = await self._take(command, "executing")
        except BaseException:
            self._pulsing.give_back(door)
            raise
        if not new:
            self._pulsing.give_back(door)
            await self._duplicate(command, arrived)
            return
        opened: list[asyncio.Task[None]] = []

        def answered(outcome: Outcome) -> None:
            patience.cancel()
            opened.append(asyncio.create_task(self._let_in(command, stay, outcome, arrived)))

        patience = asyncio.get_running_loop().call_later(
            SLOW_S, self._say, command, AckState.ACCEPTED, {}, arrived
        )
        deadline_s = min(self._fresh.left_ms(command, arrived) / 1000, PULSE_DEADLINE_S)
        if deadline_s > 0:
            outcome = await self._bridge.pulse(
                lock.board, lock.channel, door.pulse_ms, deadline_s, answered
            )
        else:
            outcome = Outcome(OutcomeState.EXPIRED, "deadline", "expired before it was sent")
        patience.cancel()
        self._pulsing.ended(door, outcome)
        state, reason = settled(outcome)
        evidence = evidence_of(outcome)
        if opened:
            await opened[0]
        await self._finish(command, state, reason, evidence, arrived, stay=stay, told=bool(opened))
        if state is AckState.DONE:
            self._reconciler.wake()

    async def _let_in(
        self, command: Command, stay: StayRecord | None, outcome: Outcome, arrived: float
    ) -> None:
        """Write down that the door opened and for whom, then say so. What the board shows comes later.

        Where nobody's stay hangs on it (staff, a door open to all) it is said first: a crash in between
        leaves an outcome that is not known here, and what was said stands.
        """
        if stay is None:
            self._say(command, AckState.DONE, evidence_of(outcome), arrived)
            await asyncio.sleep(0)  # it leaves before the disk is asked
        async with self._reconciler.lock:
            now = self._time.read()
            entered = None if stay is None else unlocked(self._state.present(stay) or stay, now)

            async def write(tx: Tx) -> None:
                await tx.command_opened(command.id)
                await write_entry(tx, entered, self._time)

            await self._journal.keep(now, write)
            if entered is not None:
                self._state.stays[entered.stay.id] = entered.stay
        if stay is not None:
            await self._ack(command, AckState.DONE, None, evidence_of(outcome), arrived)

    async def _may_unlock(self, command: Command) -> tuple[Door, Binding, StayRecord | None]:
        """The door and its lock, which is ours from then on, and the stay that enters."""
        args = UnlockArgs.model_validate(command.args)
        now = await self._present()
        door = self._state.doors.get(command.target)
        lock = None if door is None else self._state.lock_of(door)
        if door is None or lock is None:
            raise Refused(Reason.UNKNOWN_TARGET)
        stay: StayRecord | None = None
        anybody = open_to_all(self._state.modes, door, now)
        if args.grant is not None:
            stay, reason = may_enter(self._state, door, args.grant, now)
            if stay is not None:
                reason = await too_often(self._state, self._journal, args.grant, now)
            if reason is not None and not anybody:
                raise Refused(reason)
        elif command.by.startswith("customer:") and not anybody:
            raise Refused(Reason.NO_GRANT)
        if not self._pulsing.take(door):
            raise Refused(Reason.PULSE_RUNNING, AckState.DUPLICATE)
        return door, lock, stay

    async def _present(self) -> Now:
        """Bring the stays to this instant. A full disk does not keep them from being judged."""
        try:
            return await self._reconciler.tick()
        except JournalError:
            return self._time.read()

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
                since_line=now.line,
            )
            async with self._journal.write(now) as tx:
                await tx.put_override(override)
                await tx.put(
                    "clock", self._time.mark().as_json()
                )  # it was given before what follows
                await tx.command_executing(command.id)
            before = self._state.overrides.get(binding.id)
            self._state.overrides[binding.id] = override
        if self._fresh.left_ms(command, arrived) <= 0:
            outcome = Outcome(OutcomeState.EXPIRED, "deadline", "expired before it was sent")
        else:
            why = f"override:{command.id}"
            outcome = await self._reconciler.switch_now(binding, args.on, why)
        state, reason = settled(outcome)
        await self._finish(
            command,
            state,
            reason,
            evidence_of(outcome),
            arrived,
            undo=None if state is AckState.DONE else (override, before),
        )
        self._reconciler.wake()

    async def _direct(self, command: Command, arrived: float) -> None:
        """What is no switch: a temperature, the end of one, words."""
        binding = self._state.bindings.get(command.target)
        act = None if binding is None else self._comfort.act(command, binding)
        if act is None:
            raise Refused(Reason.UNKNOWN_TARGET)
        async with self._journal.write(self._time.read()) as tx:
            await tx.command_executing(command.id)
        if self._fresh.left_ms(command, arrived) <= 0:
            raise Refused(Reason.EXPIRED, AckState.EXPIRED)
        outcome = await act()
        state, reason = settled(outcome)
        await self._finish(command, state, reason, evidence_of(outcome), arrived)
        self._reconciler.changed()

    async def _clear(self, command: Command, arrived: float) -> None:
        known = self._state.bindings.get(command.target)
        if known is not None and known.capability == Capability.CLIMATE_SET:
            await self._direct(command, arrived)
            return
        binding = self._switchable(command)
        async with self._reconciler.lock:
            now = self._time.read()
            async with self._journal.write(now) as tx:
                await tx.drop_override(binding.id)
                await write_outcome(tx, command, AckState.DONE, None, {})
            self._state.overrides.pop(binding.id, None)
        await self._ack(command, AckState.DONE, None, {}, arrived)
        self._reconciler.changed()

    async def _finish_stay(self, command: Command, arrived: float) -> None:
        await self._reconciler.tick()
        if command.target not in self._state.stays:
            raise Refused(Reason.UNKNOWN_TARGET)
        await self._reconciler.finish(command.target)
        await self._finish(command, AckState.DONE, None, {}, arrived)
        self._reconciler.wake()

    async def _diagnose(self, command: Command, arrived: float) -> None:
        args = DiagnoseArgs.model_validate(command.args)
        log.warning("diagnostics_asked", bundle=args.bundle, consent=args.consent, by=command.by)
        sent, detail = await self._send_bundle(args.bundle)
        state = AckState.DONE if sent else AckState.FAILED
        reason = None if sent else Reason.DEVICE_ERROR
        await self._finish(command, state, reason, {"detail": detail}, arrived)

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
        told: bool = False,
    ) -> None:
        """Write the outcome, what follows from it and the events, all in one; then answer.

        It has happened: where the disk has no room it is in force all the same, and written later.
        """
        async with self._reconciler.lock:
            now = self._time.read()
            stay = stay and (self._state.present(stay) or stay)
            enters = state is AckState.DONE and not told
            entered = unlocked(stay, now) if stay is not None and enters else None

            async def write(tx: Tx) -> None:
                await write_outcome(
                    tx, command, state, reason, evidence, None if stay is None else stay.id
                )
                await write_entry(tx, entered, self._time)
                if undo is not None:
                    await undo_override(tx, *undo)

            await self._journal.keep(now, write)
            if entered is not None:
                self._state.stays[entered.stay.id] = entered.stay
            if undo is not None:
                self._state.put_back(*undo)
        if entered is not None and entered.transitions:
            self._reconciler.wake()
        if not told:
            await self._ack(command, state, reason, evidence, arrived)

    def _say(
        self, command: Command, state: AckState, evidence: dict[str, Any], arrived: float
    ) -> None:
        """Answer without waiting for the broker; what is said first leaves first."""
        self._spawn(self._ack(command, state, None, evidence, arrived), "ack")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
        await self._uplink().send_ack(command.reply_to, ack)
        log.info("command", id=command.id, state=state.value, reason=reason and reason.value)
