"""How commands ended, as the journal keeps it and the cloud hears of it."""

from __future__ import annotations

from typing import Any

from controller.holds import OverrideRecord
from controller.journal.records import CommandRecord
from controller.journal.store import Journal
from controller.journal.tx import Tx
from controller.state import StoreState
from controller.stay import Advance
from controller.timekeeper import Timekeeper
from firmware_bridge.contract import Outcome, OutcomeState
from store_link.clock import Clock, ms
from store_link.messages import (
    AccessBody,
    AckState,
    Action,
    Command,
    CommandAck,
    CommandOutcome,
    EventKind,
    Reason,
)


class Refused(Exception):
    """A command that will not be carried out."""

    def __init__(self, reason: Reason, state: AckState = AckState.REFUSED) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.state = state


async def write_outcome(
    tx: Tx,
    command: Command | CommandRecord,
    state: AckState,
    reason: Reason | None,
    evidence: dict[str, Any],
    stay: str | None = None,
) -> None:
    """The final state of a command with its events, in the caller's transaction."""
    action = Action(command.action)
    await tx.command_final(command.id, state, reason, evidence)
    outcome = CommandOutcome(
        command=command.id,
        action=action,
        target=command.target,
        state=state,
        reason=reason,
        evidence=evidence,
    )
    await tx.event(EventKind.COMMAND, outcome)
    if action is Action.UNLOCK:
        access = AccessBody(
            door=command.target,
            by="staff" if command.by.startswith("staff:") else "command",
            grant=grant_of(command),
            stay=stay,
            command=command.id,
            outcome=state,
            reason=reason,
        )
        await tx.event(EventKind.ACCESS, access)


async def write_entry(tx: Tx, entered: Advance | None, timekeeper: Timekeeper) -> None:
    """A stay that somebody entered for, and one entry more by its grant; None: nobody's."""
    if entered is None:
        return
    await tx.use_grant(entered.stay.grant)
    for transition in entered.transitions:
        await tx.put_stay(entered.stay)
        await tx.event(EventKind.STAY, transition)
    await tx.put("clock", timekeeper.mark().as_json())


async def undo_override(tx: Tx, failed: OverrideRecord, before: OverrideRecord | None) -> None:
    """A level that was not reached now is not reached later either: the override goes."""
    if before is None:
        await tx.drop_override(failed.binding)
    else:
        await tx.put_override(before)


# What is known of a command that a crash left in a state of the journal.
_LEFT: dict[str, tuple[AckState, Reason | None]] = {
    "received": (AckState.FAILED, Reason.RESTARTED),
    "executing": (AckState.UNKNOWN, Reason.RESTARTED),
    "opened": (AckState.DONE, None),
}


async def settle_left_over(
    journal: Journal, state: StoreState, timekeeper: Timekeeper, wire: Clock
) -> list[tuple[str, CommandAck]]:
    """Settle what a crash left open, at start; returns acks to send once the link is up.

    Received and nothing more: it certainly did not happen. Executing: nobody knows, and it is not
    tried again. Opened: it happened, and whoever waited may have heard so.
    """
    acks = []
    now = timekeeper.read()
    for key, entry in (await journal.entries()).items():
        body = AccessBody.model_validate(
            {**entry, "outcome": AckState.UNKNOWN, "reason": Reason.RESTARTED}
        )
        async with journal.write(now) as tx:
            await tx.drop(key)
            await tx.event(EventKind.ACCESS, body)
    for left in await journal.unfinished():
        outcome, reason = _LEFT[left.state]
        stay = _stay_of(state, left) if outcome is AckState.DONE else None
        overrides = [o.binding for o in state.overrides.values() if o.command == left.id]
        async with journal.write(now) as tx:
            await write_outcome(tx, left, outcome, reason, {}, stay)
            for binding in overrides:
                await tx.drop_override(binding)
        for binding in overrides:
            state.overrides.pop(binding)
        ack = CommandAck(
            store=state.store,
            id=left.id,
            state=outcome,
            reason=reason,
            at=ms(wire.now()),
        )
        acks.append((left.reply_to, ack))
    return acks


def _stay_of(state: StoreState, command: CommandRecord) -> str | None:
    """The stay that its grant entered for, where there is one."""
    grant = grant_of(command)
    among = [one for one in state.stays.values() if grant and one.grant == grant and one.was_used]
    return max(among, key=lambda one: one.entered or 0.0).id if among else None


def settled(outcome: Outcome) -> tuple[AckState, Reason | None]:
    """What a device's outcome is called on the wire."""
    match outcome.state:
        case OutcomeState.DONE:
            return AckState.DONE, None
        case OutcomeState.EXPIRED:
            return AckState.EXPIRED, Reason.EXPIRED
        case OutcomeState.UNKNOWN:
            return AckState.UNKNOWN, Reason.DEVICE_ERROR
    offline = outcome.reason in ("device_offline", "no_answer")
    return AckState.FAILED, Reason.DEVICE_OFFLINE if offline else Reason.DEVICE_ERROR


def evidence_of(outcome: Outcome) -> dict[str, Any]:
    """What the device said, for the journal and the answer."""
    evidence = dict(outcome.evidence)
    if outcome.detail:
        evidence["detail"] = outcome.detail
    return evidence


def grant_of(command: Command | CommandRecord) -> str | None:
    """The grant that a command carries."""
    grant = command.grant if isinstance(command, CommandRecord) else command.args.get("grant")
    return grant if isinstance(grant, str) and grant else None
