"""What is wrong now, said by whoever sees it: a level per thing, which the alarms package judges.

A signal is a level, not a message: "this board is offline" stays so until "it is not". Saying the same
again writes nothing, so it may be called at every report. Each change leaves a due job for alarms.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import AlarmSignal
from cloud_api.kit.upsert import insert_or_ignore

Level = tuple[bool, dict[str, Any]]

LOOK: Final = "alarm.look"  # ref: "<signal id>.<version>"

KINDS: Final = frozenset(
    {
        "store.offline",
        "store.twice",
        "broker.down",
        "device.offline",
        "door.unlock_failed",
        "door.open_too_long",
        "door.forced",
        "power.overload",
        "power.stuck",
        "hazard.input",
        "stay.overstay",
        "clock.untrusted",
        "disk.low",
        "certificate.expiring",
        "job.dead",
        "backup.failed",
        "audit.broken",
        "ledger.broken",
        "event.poison",
        "refund.refused",
        "refund.beyond",
        "refund.twice",
        "payment.wrong_amount",
        "payment.unbalanced",
        "webhook.failing",
    }
)


async def signal(
    session: AsyncSession,
    *,
    merchant_id: str,
    store_id: str | None,
    kind: str,
    subject: str,
    active: bool,
    data: dict[str, Any],
    at: datetime,
) -> None:
    """Say that ``kind`` is so (``active``) or no more so of ``subject`` (``kind:id``) since ``at``.

    ``at`` is wire time. ``data`` is for the alarm's words (plain JSON: ``room_id``, ``door_id``,
    ``detail`` …), without personal data. Idempotent by (merchant, kind, subject). Raises ValueError for
    an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"no such alarm: {kind!r}")
    mine = (
        col(AlarmSignal.merchant_id) == merchant_id,
        col(AlarmSignal.kind) == kind,
        col(AlarmSignal.subject) == subject,
    )
    known = (await session.exec(select(col(AlarmSignal.active)).where(*mine))).first()
    if known is active or (known is None and not active):
        return
    if known is None:
        fresh: dict[str, Any] = {
            "id": new_id(),
            "merchant_id": merchant_id,
            "store_id": store_id,
            "kind": kind,
            "subject": subject,
            "active": False,
            "since": at,
            "data": {},
            "version": 0,
        }
        await insert_or_ignore(session, AlarmSignal, fresh)
    changed = await session.exec(
        update(AlarmSignal)
        .where(*mine, col(AlarmSignal.active).is_not(active))
        .values(active=active, since=at, data=data, version=col(AlarmSignal.version) + 1)
        .returning(col(AlarmSignal.id), col(AlarmSignal.version))
        .execution_options(synchronize_session=False)
    )
    row = changed.first()
    if row is None:  # somebody else said the same at the same time
        return
    await schedule(
        session,
        merchant_id=merchant_id,
        kind=LOOK,
        ref=f"{row[0]}.{row[1]}",
        run_at=at,
        clock="wire",
    )


async def active_of(
    session: AsyncSession, merchant_id: str, store_id: str | None, kinds: Collection[str]
) -> set[tuple[str, str]]:
    """The (kind, subject) of a store's signals that are active now."""
    query = select(col(AlarmSignal.kind), col(AlarmSignal.subject)).where(
        col(AlarmSignal.merchant_id) == merchant_id,
        col(AlarmSignal.store_id).is_(None)
        if store_id is None
        else col(AlarmSignal.store_id) == store_id,
        col(AlarmSignal.kind).in_(sorted(kinds)),
        col(AlarmSignal.active).is_(True),
    )
    return {(kind, subject) for kind, subject in (await session.exec(query)).all()}


async def assert_levels(
    session: AsyncSession,
    *,
    merchant_id: str,
    store_id: str | None,
    kinds: Collection[str],
    levels: Mapping[tuple[str, str], Level],
    at: datetime,
) -> None:
    """Make a store's signals of ``kinds`` what ``levels`` say; one that is in no level ends.

    ``levels``: (kind, subject) → (active, data). For whoever sees all of a store at once: a single
    query where nothing changed.
    """
    was = await active_of(session, merchant_id, store_id, kinds)
    now = {key for key, (active, _) in levels.items() if active}
    for kind, subject in sorted(was ^ now):
        active, data = levels.get((kind, subject), (False, {}))
        await signal(
            session,
            merchant_id=merchant_id,
            store_id=store_id,
            kind=kind,
            subject=subject,
            active=active,
            data=data,
            at=at,
        )
