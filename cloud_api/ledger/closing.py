"""The daily closing: a day's totals are written down and the day never changes again.

What turns out later is posted to the day that is open then. Closing again finds the same figures.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Actor, Staff, System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.ids import new_id
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.ledger import cash
from cloud_api.ledger.days import business_day, ends_at
from cloud_api.ledger.models import LedgerDay, LedgerEntry
from cloud_api.staff.permissions import MONEY_CLOSE
from cloud_api.stores.models import Store
from cloud_api.stores.service import get_store

_SYSTEM: Final = System()


async def totals_of(session: AsyncSession, store_id: str, day: date) -> dict[str, int]:
    """What a day's entries come to by ``account/detail``; fen, debit positive."""
    query = (
        select(
            col(LedgerEntry.account),
            col(LedgerEntry.detail),
            func.sum(col(LedgerEntry.amount_fen)),
        )
        .where(col(LedgerEntry.store_id) == store_id, col(LedgerEntry.day) == day)
        .group_by(col(LedgerEntry.account), col(LedgerEntry.detail))
    )
    rows = (await session.exec(query)).all()
    return {f"{account}/{detail}": int(total) for account, detail, total in sorted(rows)}


async def close(
    session: AsyncSession,
    actor: Actor,
    store_id: str,
    day: date,
    clocks: Clocks,
    *,
    counted_fen: int | None = None,
    why: str = "",
) -> LedgerDay:
    """Close a day, and every open one before it. Staff need ``money.close``.

    With ``counted_fen`` the drawer's count is booked first, on today's business day. A day that is
    closed is given back as it is. Raises NotFound, Conflict ``ledger.day_runs`` before the day is
    over, and what ``cash.count`` raises.
    """
    if isinstance(actor, Staff):
        actor.need(MONEY_CLOSE)
    store = await get_store(session, actor, store_id)
    if ends_at(day, store.tz) > clocks.now:
        raise Conflict("ledger.day_runs", "这个营业日还没结束，早上 6 点以后再日结")
    if counted_fen is not None:
        await cash.count(session, actor, store.id, counted_fen, why, clocks)
    await _make(session, store, day)
    query = (
        select(LedgerDay)
        .where(
            col(LedgerDay.store_id) == store.id,
            col(LedgerDay.day) <= day,
            col(LedgerDay.state) == "open",
        )
        .order_by(col(LedgerDay.day))
        .with_for_update()
    )
    for one in (await session.exec(query.execution_options(populate_existing=True))).all():
        await session.exec(
            update(LedgerDay)
            .where(col(LedgerDay.id) == one.id, col(LedgerDay.state) == "open")
            .values(
                state="closed",
                totals=await totals_of(session, store.id, one.day),
                closed_at=clocks.now,
                closed_by=actor.ref,
            )
            .execution_options(synchronize_session=False)
        )
        if isinstance(actor, Staff):
            await audit.record(
                session,
                actor,
                "day.close",
                merchant_id=store.merchant_id,
                store_id=store.id,
                subject=f"day:{store.id}.{one.day}",
                after={"day": one.day.isoformat()},
                why=why,
                clocks=clocks,
            )
    return await _get(session, store.id, day)


async def close_due(session: AsyncSession, store_id: str, day: date, clocks: Clocks) -> None:
    """The job's closing of a day that nobody closed."""
    await close(session, _SYSTEM, store_id, day, clocks)


def parse(text: str) -> date:
    """A day as ``YYYY-MM-DD``. Raises KaimenError ``ledger.bad_day``."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise KaimenError(
            "ledger.bad_day", "日期要写成 2026-11-30 这样", status=422, field="day"
        ) from error


def last_over(store: Store, clocks: Clocks) -> date:
    """The last business day that is over."""
    return business_day(clocks.now, store.tz) - timedelta(days=1)


async def _make(session: AsyncSession, store: Store, day: date) -> None:
    """A day without any movement is closed too, so that it says so."""
    values: dict[str, Any] = {
        "id": new_id(),
        "merchant_id": store.merchant_id,
        "store_id": store.id,
        "day": day,
        "state": "open",
        "totals": {},
    }
    await insert_or_ignore(session, LedgerDay, values)


async def _get(session: AsyncSession, store_id: str, day: date) -> LedgerDay:
    query = select(LedgerDay).where(col(LedgerDay.store_id) == store_id, col(LedgerDay.day) == day)
    return (await session.exec(query.execution_options(populate_existing=True))).one()
