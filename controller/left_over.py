"""What a crash left open, settled at the start: told as far as it is known, and never done again.

A pulse that may have been given is not given once more. But the stay of whoever it may have let in begins:
the board was well when this computer died, so they are most likely behind the door, and would sit in the
dark. Who still stands before it taps, or shows the pass, once more: that opens the door and begins nothing
twice, and the use is given back, so that a pass for one entry is good for it. (Where a *board* did not
answer it is the other way round: most likely it is dead and opened nothing, and no stay begins.)
"""

from __future__ import annotations

from typing import Any

from controller.journal.records import CommandRecord, stay_from
from controller.journal.store import Journal
from controller.outcomes import grant_of, write_begun, write_outcome
from controller.state import StoreState
from controller.stay import Advance, StayRecord, unlocked
from controller.timekeeper import Now, Timekeeper
from store_link.clock import Clock, ms
from store_link.messages import (
    AccessBody,
    AckState,
    Action,
    ClockQuality,
    CommandAck,
    EventKind,
    Reason,
    StayState,
)

# What is known of a command that a crash left in a state of the journal.
_LEFT: dict[str, tuple[AckState, Reason | None]] = {
    "received": (AckState.FAILED, Reason.RESTARTED),
    "executing": (AckState.UNKNOWN, Reason.RESTARTED),
    "opened": (AckState.DONE, None),
}


async def settle_left_over(
    journal: Journal, state: StoreState, timekeeper: Timekeeper, wire: Clock
) -> list[tuple[str, CommandAck]]:
    """Settle commands and entries; returns acks to send once the link is up.

    Received and nothing more: it certainly did not happen. Executing: nobody knows, and it is not
    tried again. Opened: it happened, and whoever waited may have heard so.
    """
    for key, entry in (await journal.entries()).items():
        await _settle_entry(journal, state, timekeeper, key, entry)
    acks = []
    for left in await journal.unfinished():
        outcome, reason = await _settle_command(journal, state, timekeeper, left)
        ack = CommandAck(
            store=state.store,
            id=left.id,
            state=outcome,
            reason=reason,
            at=ms(wire.now()),
        )
        acks.append((left.reply_to, ack))
    return acks


async def _settle_entry(
    journal: Journal, state: StoreState, timekeeper: Timekeeper, key: str, entry: dict[str, Any]
) -> None:
    """An entry at a reader. It is told, and its stay begins, as of the moment in which it was let in."""
    grant, opened = entry.get("grant"), bool(entry.get("opened"))
    at = _instant(entry.get("at")) or timekeeper.read()
    stay: StayRecord | None = None
    if grant is not None:
        begins = entry.get("begins")
        stay = state.stays.get(entry["stay"]) or _open_stay(state, grant)
        stay = stay or (None if begins is None else stay_from(begins))
    entered = None if stay is None or opened else unlocked(stay, at)
    body = AccessBody(
        door=entry["door"],
        by=entry["by"],
        grant=grant,
        stay=entry.get("stay") if stay is None else stay.id,
        outcome=AckState.DONE if opened else AckState.UNKNOWN,
        reason=None if opened else Reason.RESTARTED,
        staff=entry.get("staff"),
        how=entry.get("how"),
    )
    async with journal.write(at) as tx:
        await tx.drop(key)
        await tx.event(EventKind.ACCESS, body)
        if grant is not None and not opened:
            await tx.return_grant(grant)
        await write_begun(tx, entered, timekeeper)
    _keep(state, entered)


async def _settle_command(
    journal: Journal, state: StoreState, timekeeper: Timekeeper, left: CommandRecord
) -> tuple[AckState, Reason | None]:
    now = timekeeper.read()
    outcome, reason = _LEFT[left.state]
    grant = grant_of(left) if left.action == Action.UNLOCK else None
    stay: StayRecord | None = None
    entered: Advance | None = None
    if grant is not None and outcome is AckState.DONE:
        stay = _entered_stay(state, grant)
    elif grant is not None and outcome is AckState.UNKNOWN:
        stay = _open_stay(state, grant)
        if stay is not None and now.ms < stay.ends:
            entered = unlocked(stay, now)
    overrides = [o.binding for o in state.overrides.values() if o.command == left.id]
    async with journal.write(now) as tx:
        await write_outcome(tx, left, outcome, reason, {}, None if stay is None else stay.id)
        await write_begun(tx, entered, timekeeper)
        for binding in overrides:
            await tx.drop_override(binding)
    for binding in overrides:
        state.overrides.pop(binding)
    _keep(state, entered)
    return outcome, reason


def _keep(state: StoreState, entered: Advance | None) -> None:
    if entered is not None and entered.transitions:
        state.stays[entered.stay.id] = entered.stay


def _open_stay(state: StoreState, grant: str) -> StayRecord | None:
    """The stay that a grant may enter for and that nobody entered for yet."""
    among = (one for one in state.stays.values() if one.grant == grant)
    return next((one for one in among if one.state is StayState.OPEN), None)


def _entered_stay(state: StoreState, grant: str) -> StayRecord | None:
    """The stay that a grant entered for last."""
    among = [one for one in state.stays.values() if one.grant == grant and one.was_used]
    return max(among, key=lambda one: one.entered or 0.0, default=None)


def _instant(kept: dict[str, Any] | None) -> Now | None:
    if kept is None:
        return None  # an older version wrote it
    return Now(kept["line"], kept["ms"], ClockQuality(kept["quality"]))
