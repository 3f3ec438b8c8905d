"""How commands ended, as the journal keeps it and the cloud hears of it."""

from __future__ import annotations

from typing import Any

from controller.journal.records import CommandRecord
from controller.journal.store import Journal
from controller.journal.tx import Tx
from controller.state import StoreState
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


async def settle_left_over(
    journal: Journal, state: StoreState, timekeeper: Timekeeper, wire: Clock
) -> list[tuple[str, CommandAck]]:
    """Settle what a crash left open, at start; returns acks to send once the link is up.

    Received and nothing more: it certainly did not happen. Executing: nobody knows, and it is not
    tried again.
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
        outcome = AckState.UNKNOWN if left.state == "executing" else AckState.FAILED
        overrides = [o.binding for o in state.overrides.values() if o.command == left.id]
        async with journal.write(now) as tx:
            await write_outcome(tx, left, outcome, Reason.RESTARTED, {})
            for binding in overrides:
                await tx.drop_override(binding)
        for binding in overrides:
            state.overrides.pop(binding)
        ack = CommandAck(
            store=state.store,
            id=left.id,
            state=outcome,
            reason=Reason.RESTARTED,
            at=ms(wire.now()),
        )
        acks.append((left.reply_to, ack))
    return acks


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
