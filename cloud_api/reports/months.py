"""Months and years in whole, kept beside the days: a long period reads a few rows in place of thousands.

``refresh`` belongs to the transaction that made a day anew (it has the store to itself, ``rollup.rebuild``),
so a month is at any moment the sum of its days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from functools import reduce
from operator import or_
from typing import Any

from sqlalchemy import Date, delete, func, insert, literal, update
from sqlalchemy import select as select_wide
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.upsert import insert_new, insert_or_ignore
from cloud_api.reports.crowd import Crowd, Span, month_of, packed, unpacked, year_of
from cloud_api.reports.measures import COLUMNS
from cloud_api.reports.models import (
    ReportCrowd,
    ReportGuest,
    ReportHour,
    ReportMonthHour,
    ReportMonthPart,
    ReportNumber,
    ReportPart,
)
from cloud_api.stores.models import Store


async def refresh(session: AsyncSession, store: Store, day: date) -> None:
    """Make the month and the year of ``day`` again, after the day itself was; in the caller's transaction."""
    visits = await _visits(session, store, day)
    year, month = year_of(day), month_of(day)
    await _keep(session, store, "day", day, Crowd.of(visits))
    days = await _crowds(session, store, "day", month, _last_of(month))
    await _keep(session, store, "month", month, together(days))
    months = await _crowds(session, store, "month", year, date(year.year, 12, 1))
    await _keep(session, store, "year", year, together(months))
    await sum_month(session, store, month)


async def sum_month(session: AsyncSession, store: Store, month: date) -> None:
    """The sums of a month, by part and by hour of the weekday, from its days."""
    until = _last_of(month)
    for table in (ReportMonthPart, ReportMonthHour):
        columns: Any = table
        mine = (col(columns.store_id) == store.id, col(columns.month) == month)
        await session.execute(delete(table).where(*mine))
    sums = [func.sum(getattr(ReportPart, name)) for name in COLUMNS]
    key = (col(ReportPart.room_id), col(ReportPart.channel))
    own = (literal(store.id), literal(month, Date), literal(store.merchant_id))
    parts = (
        select_wide(*own, *key, *sums)
        .where(col(ReportPart.store_id) == store.id, col(ReportPart.day).between(month, until))
        .group_by(*key)
    )
    names = ("store_id", "month", "merchant_id", "room_id", "channel", *COLUMNS)
    await session.execute(insert(ReportMonthPart).from_select(names, parts))
    hours = select(ReportHour).where(
        col(ReportHour.store_id) == store.id, col(ReportHour.day).between(month, until)
    )
    found: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
    for one in (await session.exec(hours)).all():
        cell = found[one.day.weekday(), one.hour]
        cell[0] += one.busy_minutes
        cell[1] += one.open_minutes
    rows = [
        {
            "store_id": store.id,
            "month": month,
            "weekday": weekday,
            "hour": hour,
            "merchant_id": store.merchant_id,
            "busy_minutes": busy,
            "open_minutes": offered,
        }
        for (weekday, hour), (busy, offered) in sorted(found.items())
    ]
    if rows:
        await session.execute(insert(ReportMonthHour), rows)


def row_of(store: Store, span: Span, first: date, crowd: Crowd) -> dict[str, Any]:
    """A row of ReportCrowd."""
    key = {"store_id": store.id, "span": span, "first": first, "merchant_id": store.merchant_id}
    return key | _packed(crowd)


def together(crowds: Iterable[Crowd]) -> Crowd:
    """Everybody of them."""
    return reduce(or_, crowds, Crowd())


async def numbers(
    session: AsyncSession, merchant_id: str, accounts: Iterable[str]
) -> dict[str, int]:
    """Guests' numbers among the merchant's; who has none gets the next.

    Two transactions that number at once meet at the unique key: one waits, and takes the next then.
    """
    found: dict[str, int] = {}
    while missing := sorted(set(accounts) - set(found)):
        for start in range(0, len(missing), 400):
            known = select(ReportNumber).where(
                col(ReportNumber.merchant_id) == merchant_id,
                col(ReportNumber.account_id).in_(missing[start : start + 400]),
            )
            for one in (await session.exec(known)).all():
                found[one.account_id] = one.number
        new = [one for one in missing if one not in found]
        top = select(func.max(col(ReportNumber.number))).where(
            col(ReportNumber.merchant_id) == merchant_id
        )
        first = -1 if not new else (await session.exec(top)).one()
        first = 0 if first is None else first + 1
        for start in range(0, len(new), 400):
            rows = [
                {"merchant_id": merchant_id, "account_id": one, "number": first + start + n}
                for n, one in enumerate(new[start : start + 400])
            ]
            await insert_new(session, ReportNumber, rows)
    return found


async def _visits(session: AsyncSession, store: Store, day: date) -> list[tuple[int, int, int]]:
    came = select(
        col(ReportGuest.account_id), col(ReportGuest.visits), col(ReportGuest.vouchers)
    ).where(col(ReportGuest.store_id) == store.id, col(ReportGuest.day) == day)
    rows = (await session.exec(came)).all()
    known = await numbers(session, store.merchant_id, [row[0] for row in rows])
    return [(known[account], visits, vouchers) for account, visits, vouchers in rows]


def _of(store: Store, span: Span, first: date, last: date) -> tuple[Any, ...]:
    return (
        col(ReportCrowd.store_id) == store.id,
        col(ReportCrowd.span) == span,
        col(ReportCrowd.first).between(first, last),
    )


async def _crowds(
    session: AsyncSession, store: Store, span: Span, first: date, last: date
) -> list[Crowd]:
    columns = (col(ReportCrowd.came), col(ReportCrowd.again), col(ReportCrowd.by_voucher))
    query = select(*columns).where(*_of(store, span, first, last))
    return [Crowd(*map(unpacked, row)) for row in (await session.exec(query)).all()]


async def _keep(session: AsyncSession, store: Store, span: Span, first: date, crowd: Crowd) -> None:
    await insert_or_ignore(session, ReportCrowd, row_of(store, span, first, Crowd()))
    await session.exec(
        update(ReportCrowd).where(*_of(store, span, first, first)).values(**_packed(crowd))
    )


def _packed(crowd: Crowd) -> dict[str, bytes]:
    return {
        "came": packed(crowd.came),
        "again": packed(crowd.again),
        "by_voucher": packed(crowd.by_voucher),
    }


def _last_of(month: date) -> date:
    return month_of(month + timedelta(days=31)) - timedelta(days=1)
