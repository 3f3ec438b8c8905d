"""The guests behind a segment: who they are, masked, and what they did. Needs ``report.read``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.models import Account
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import NotFound
from cloud_api.ledger.days import business_day
from cloud_api.reports import query
from cloud_api.reports.query import SEGMENTS
from cloud_api.staff.permissions import REPORT_READ
from cloud_api.stores.service import get_store, list_stores

MOST: Final = 200


class GuestOut(BaseModel):
    """A guest over all days and the stores asked for."""

    account_id: str
    phone_tail: str
    visits: int
    spent_fen: int
    first_day: date
    last_day: date


class SegmentGuestsOut(BaseModel):
    """A segment's guests, who spent most first; ``items`` ends at 200 of ``total``."""

    segment: str
    total: int
    items: list[GuestOut]


async def of_segment(
    session: AsyncSession,
    who: Staff,
    segment: str,
    clocks: Clocks,
    *,
    store_id: str | None = None,
) -> SegmentGuestsOut:
    """Who is in a segment today. Raises NotFound for no such segment and for a foreign store."""
    who.need(REPORT_READ)
    if segment not in SEGMENTS:
        raise NotFound("segment", "没有这一类客人")
    stores = (
        [await get_store(session, who, store_id)] if store_id else await list_stores(session, who)
    )
    if not stores:
        return SegmentGuestsOut(segment=segment, total=0, items=[])
    ids = (stores[0].id,) if store_id else None
    today = business_day(clocks.now, stores[0].tz)
    _, average = await query.ever(session, who, ids)
    each = query.per_guest(who, ids)
    mine = query.segment_of(each, today, average) == segment
    found = (
        select(
            each.c.account_id,
            col(Account.phone_tail),
            each.c.visits,
            each.c.spent_fen,
            each.c.first_day,
            each.c.last_day,
            func.count().over().label("total"),
        )
        .join(Account, col(Account.id) == each.c.account_id)
        .where(mine)
        .order_by(each.c.spent_fen.desc(), each.c.account_id)
        .limit(MOST)
    )
    rows: Sequence[Any] = (await session.execute(found)).all()
    return SegmentGuestsOut(
        segment=segment,
        total=int(rows[0][6]) if rows else 0,
        items=[
            GuestOut(
                account_id=row[0],
                phone_tail=row[1],
                visits=int(row[2]),
                spent_fen=int(row[3]),
                first_day=row[4],
                last_day=row[5],
            )
            for row in rows
        ],
    )
