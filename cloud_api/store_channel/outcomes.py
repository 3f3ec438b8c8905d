"""What became of a command: written once, from whichever answer comes first, and told to who waits.

An outcome reaches the cloud twice: as an acknowledgement (fast, may be lost) and as a journaled event
(sure, may be late). The first final one stands; only "nobody answered" is overwritten by an answer, and
"not for my connection" by that of the computer which had the connection: a copied card's (twins.py) hears
the command as well and says no before the door has moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, and_, bindparam, or_, select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices import commands
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit import feed
from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import after_commit
from cloud_api.kit.statements import built
from cloud_api.kit.waiters import Waiting
from store_link.messages import AckState, Reason

NO_ANSWER = "no_answer"  # reason of state "unknown" where the store never said anything
NOT_SENT = "not_sent"
ANSWER_WITHIN = timedelta(seconds=30)  # after a command's expiry
_FINAL = frozenset(AckState) - {AckState.ACCEPTED, AckState.DUPLICATE}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A state with its reason and the store's evidence."""

    state: str
    reason: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    took_ms: int | None = None


def outcome_of(
    state: AckState, reason: str | None, evidence: dict[str, Any], took_ms: int | None = None
) -> Outcome | None:
    """The final outcome in an answer; None where there is none in it yet.

    A duplicate's outcome is that of the first: the store repeats it in ``evidence.first``.
    """
    if state is not AckState.DUPLICATE:
        return Outcome(state.value, reason, evidence, took_ms) if state in _FINAL else None
    first = evidence.get("first")
    if not isinstance(first, dict) or first.get("state") not in _FINAL:
        return None
    about = first.get("evidence")
    why = first.get("reason")
    return Outcome(
        str(first["state"]),
        why if isinstance(why, str) else None,
        about if isinstance(about, dict) else {},
        took_ms,
    )


async def accepted(session: AsyncSession, store_id: str, command_id: str, now: datetime) -> None:
    """The store has it and acts."""
    await session.execute(
        update(DeviceCommand)
        .where(
            col(DeviceCommand.id) == command_id,
            col(DeviceCommand.store_id) == store_id,
            col(DeviceCommand.state).in_(["created", "sent"]),
        )
        .values(state="accepted", accepted_at=now)
    )


def tell_accepted(cloud: Cloud, store_id: str, command_id: str, at: datetime) -> bool:
    """Note for who waits in this process that the store acts; whether somebody does. As ``tell``."""
    if _waiting_for(cloud, store_id, command_id) is None:
        return False
    cloud.waiters.accepted(command_id, at)
    return True


def tell(cloud: Cloud, store_id: str, command_id: str, outcome: Outcome, at: datetime) -> bool:
    """Answer who waits in this process for a command that it wrote, before the outcome is written.

    For an acknowledgement that is believed: the lock has moved, and what the store said reaches the
    database whatever becomes of this process, as its journal holds the same outcome and sends it until
    that was committed. A person need not stand at the door for a commit. ``store_id`` is whose answer it
    is: another store's says nothing of this command. ``at``: wire time at which it came. Whether somebody
    was told.
    """
    known = _waiting_for(cloud, store_id, command_id)
    if known is None:
        return False
    answer = commands.answer_with(
        known.command,
        state=outcome.state,
        reason=outcome.reason,
        evidence=outcome.evidence,
        sent_at=known.sent_at,
        accepted_at=known.accepted_at,
        final_at=at,
    )
    cloud.waiters.resolve(command_id, answer)
    return True


def _waiting_for(cloud: Cloud, store_id: str, command_id: str) -> Waiting | None:
    """Who waits here for a command that this process wrote, if it went to this store."""
    known = cloud.waiters.waiting(command_id)
    if known is None or not isinstance(known.command, DeviceCommand):
        return None
    return known if known.command.store_id == store_id else None


async def settle(
    session: AsyncSession,
    cloud: Cloud,
    store_id: str,
    command_id: str,
    outcome: Outcome,
    at: datetime | None = None,
) -> bool:
    """Write a final outcome if there is none yet; True where it was written now.

    Who still waits in this process is answered after the commit. ``at``: wire time at which it came,
    where that was before.
    """
    now = at or cloud.clocks.real
    await session.flush()
    values = {
        "command": command_id,
        "of_store": store_id,
        "its_state": outcome.state,
        "its_reason": outcome.reason,
        "its_evidence": outcome.evidence,
        "settled_at": now,
        "heeded": outcome.reason != Reason.OTHER_CONNECTION.value,
    }
    changed = (await session.execute(_settled(), values)).one_or_none()
    if changed is None:
        return False
    row = DeviceCommand(**changed._mapping)  # a picture: no part of the session
    answer = commands.answer(row)
    after_commit(session, lambda: cloud.waiters.resolve(command_id, answer))
    await feed.tell(
        session,
        merchant_id=row.merchant_id,
        store_id=store_id,
        topic="command",
        body={
            "command": command_id,
            "target": row.target,
            "action": row.action,
            "order": row.order_id,
            "state": outcome.state,
            "reason": outcome.reason,
        },
        now=now,
    )
    return True


@built
def _settled() -> Any:
    rows = DeviceCommand.__table__  # type: ignore[attr-defined]
    return (
        update(rows)
        .where(
            rows.c.id == bindparam("command"),
            rows.c.store_id == bindparam("of_store"),
            or_(
                rows.c.final_at.is_(None),
                rows.c.reason == NO_ANSWER,
                and_(
                    rows.c.reason == Reason.OTHER_CONNECTION.value,
                    bindparam("heeded", type_=Boolean),
                ),
            ),
        )
        .values(
            state=bindparam("its_state"),
            reason=bindparam("its_reason"),
            evidence=bindparam("its_evidence"),
            final_at=bindparam("settled_at"),
        )
        .returning(*rows.c)
    )


async def door_answered(
    session: AsyncSession,
    merchant_id: str,
    store_id: str,
    door: str,
    state: str,
    reason: str | None,
    now: datetime,
) -> None:
    """A lock did what it was told, or did not: an alarm begins or ends. Refusals are no fault of it."""
    if state in ("done", "failed"):
        await signal(
            session,
            merchant_id=merchant_id,
            store_id=store_id,
            kind="door.unlock_failed",
            subject=f"door:{door}",
            active=state == "failed",
            data={"door_id": door, "reason": reason},
            at=now,
        )


async def give_up(cloud: Cloud) -> int:
    """Commands that nobody answered for 30 s beyond their expiry become ``unknown``; how many."""
    late = cloud.clocks.real - ANSWER_WITHIN
    open_ones = (
        select(col(DeviceCommand.id), col(DeviceCommand.store_id))
        .where(col(DeviceCommand.final_at).is_(None), col(DeviceCommand.expires_at) < late)
        .limit(200)
    )
    async with cloud.db.read() as session:
        found = (await session.execute(open_ones)).all()
    for row in found:
        async with cloud.db.write() as session:
            await settle(
                session, cloud, row.store_id, row.id, Outcome(AckState.UNKNOWN.value, NO_ANSWER)
            )
    return len(found)
