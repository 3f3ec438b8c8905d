"""How commands ended, as the journal keeps it and the cloud hears of it."""

from __future__ import annotations

from typing import Any

from controller.holds import OverrideRecord
from controller.journal.records import CommandRecord
from controller.journal.tx import Tx
from controller.stay import Advance
from controller.timekeeper import Timekeeper
from firmware_bridge.contract import Outcome, OutcomeState
from store_link.messages import (
    AccessBody,
    AckState,
    Action,
    Command,
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
    await write_begun(tx, entered, timekeeper)


async def write_begun(tx: Tx, entered: Advance | None, timekeeper: Timekeeper) -> None:
    """A stay that begins by an entry; nothing where nobody entered, or it had begun before."""
    if entered is None or not entered.transitions:
        return
    await tx.put_stay(entered.stay)
    for transition in entered.transitions:
        await tx.event(EventKind.STAY, transition)
    await tx.put("clock", timekeeper.mark().as_json())


async def undo_override(tx: Tx, failed: OverrideRecord, before: OverrideRecord | None) -> None:
    """A level that was not reached now is not reached later either: the override goes."""
    if before is None:
        await tx.drop_override(failed.binding)
    else:
        await tx.put_override(before)


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
