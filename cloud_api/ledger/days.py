"""Business days: in the store's zone, from a cut-off in the early morning to the next; and which is open."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.ids import new_id
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.ledger.models import LedgerDay
from cloud_api.stores.models import Store

CUT: Final = time(6)  # 通宵 belongs to the evening on which it began
CLOSE: Final = "ledger.close"  # ref: "<store id>.<day>"
CLOSE_AFTER: Final = timedelta(hours=2)  # what a store reports late still finds its day open
_FAR: Final = 400


def business_day(at: datetime, tz: str) -> date:
    """The business day that an instant belongs to."""
    local = at.astimezone(ZoneInfo(tz))
    return local.date() - timedelta(days=1) if local.time() < CUT else local.date()


def ends_at(day: date, tz: str) -> datetime:
    """When a business day is over."""
    return datetime.combine(day + timedelta(days=1), CUT, ZoneInfo(tz))


async def open_day(session: AsyncSession, store: Store, clocks: Clocks) -> date:
    """The day to post to: today's, or where that is closed the next one. It stays open until the commit.

    A closing waits for who posts, and who posts for a closing: no figure slips in behind it.
    """
    day = business_day(clocks.now, store.tz)
    for _ in range(_FAR):
        if await _open(session, store, day):
            return day
        day += timedelta(days=1)
    raise RuntimeError(f"{_FAR} days from {day} on are closed")


async def _open(session: AsyncSession, store: Store, day: date) -> bool:
    query = (
        select(col(LedgerDay.state))
        .where(col(LedgerDay.store_id) == store.id, col(LedgerDay.day) == day)
        .with_for_update(read=True)
    )
    state = (await session.exec(query)).first()
    if state is None:
        values = {
            "id": new_id(),
            "merchant_id": store.merchant_id,
            "store_id": store.id,
            "day": day,
            "state": "open",
            "totals": {},
        }
        if await insert_or_ignore(session, LedgerDay, values):
            await schedule(
                session,
                merchant_id=store.merchant_id,
                kind=CLOSE,
                ref=f"{store.id}.{day}",
                run_at=ends_at(day, store.tz) + CLOSE_AFTER,
            )
            return True
        state = (await session.exec(query)).one()
    return state == "open"
