"""Making the rollups: which days were touched, and each of them anew from its facts.

``look`` reads what came since the last time (events of orders, transactions of the books, redemptions,
alarms) and marks the days they are about; ``work`` makes marked days again, each in a transaction of its
own. Both may be run again at any time, by any process, and change nothing where nothing changed. Rows
written by a transaction that was still open at a look are younger than ``SETTLED``: the cursor stays
before them, so they are looked at again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, insert, update
from sqlalchemy import select as select_wide
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms.models import Alarm
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.upsert import insert_new, insert_or_ignore
from cloud_api.ledger.days import business_day
from cloud_api.ledger.models import LedgerTxn
from cloud_api.orders.models import Order, OrderChange, OrderEvent
from cloud_api.reports import facts, months
from cloud_api.reports.measures import COLUMNS
from cloud_api.reports.models import (
    ReportCursor,
    ReportDay,
    ReportGuest,
    ReportHour,
    ReportLife,
    ReportPart,
    ReportTouched,
)
from cloud_api.stores.models import Store
from cloud_api.vouchers.models import Redemption

SETTLED: Final = timedelta(minutes=2)
_BATCH: Final = 2_000
_SYSTEM: Final = System()
Touched = set[tuple[str, date]]


@dataclass(frozen=True, slots=True)
class _Source:
    """Rows that are read in the order of ``key``; ``at`` tells how old one is, ``days`` what it is about."""

    name: str
    model: type[SQLModel]
    key: str
    at: str
    read: Callable[[str], Any]
    first: str = ""  # before all rows


_SOURCES: Final = (
    _Source("orders", OrderEvent, "seq", "at", int, "0"),
    _Source("books", LedgerTxn, "id", "at", str),
    _Source("redemptions", Redemption, "id", "at", str),
    _Source("alarms", Alarm, "id", "raised_at", str),
)


async def look(cloud: Cloud) -> bool:
    """Mark what was touched since the last look; True where there is more to read."""
    more = False
    for source in _SOURCES:
        async with cloud.db.write() as session:
            more |= await _read(session, source, cloud.clocks)
    async with cloud.db.write() as session:
        await _fill(session, cloud.clocks)
    return more


async def _fill(session: AsyncSession, clocks: Clocks) -> None:
    """Days on which nothing happened count as well: the rooms were on offer, and nobody came."""
    for store in (await session.exec(scoped(_SYSTEM, Store))).all():
        first = business_day(store.created_at, store.tz)
        today = business_day(clocks.now, store.tz)
        days = {first + timedelta(days=n) for n in range((today - first).days + 1)}
        known = await session.exec(
            select(col(ReportDay.day)).where(
                col(ReportDay.store_id) == store.id, col(ReportDay.day) <= today
            )
        )
        missing = days - set(known.all())
        await _mark(session, {(store.id, day) for day in missing}, [store])


async def work(cloud: Cloud, *, most: int = 200) -> int:
    """Make up to ``most`` marked days again, the newest first; how many it was."""
    async with cloud.db.read() as session:
        query = select(ReportTouched).order_by(col(ReportTouched.day).desc()).limit(most)
        waiting = [(one.store_id, one.day) for one in (await session.exec(query)).all()]
    for store_id, day in waiting:
        async with cloud.db.write() as session:
            await rebuild(session, store_id, day, cloud.clocks)
    return len(waiting)


async def catch_up(cloud: Cloud) -> int:
    """Look and work until nothing is left; how many days were made again."""
    while await look(cloud):
        pass
    made = 0
    while done := await work(cloud):
        made += done
    return made


async def touch(
    session: AsyncSession, first: date, last: date, *, merchant_id: str | None = None
) -> int:
    """Mark every day from ``first`` to ``last`` of all stores, or of one merchant's; how many."""
    query = scoped(_SYSTEM, Store)
    if merchant_id is not None:
        query = query.where(col(Store.merchant_id) == merchant_id)
    stores = (await session.exec(query)).all()
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    await _mark(session, {(one.id, day) for one in stores for day in days}, stores)
    return len(stores) * len(days)


async def touch_guest(session: AsyncSession, merchant_id: str, account_id: str) -> None:
    """Mark every day on which somebody came to one of a merchant's stores."""
    query = scoped(_SYSTEM, ReportGuest).where(
        col(ReportGuest.merchant_id) == merchant_id, col(ReportGuest.account_id) == account_id
    )
    await _mark(session, {(one.store_id, one.day) for one in (await session.exec(query)).all()})


async def rebuild(session: AsyncSession, store_id: str, day: date, clocks: Clocks) -> None:
    """Make one day of one store again, in the caller's transaction; it is marked no more."""
    store = await session.get_one(Store, store_id)
    mine: dict[str, Any] = {"store_id": store.id, "day": day}
    await insert_or_ignore(session, ReportTouched, mine | {"merchant_id": store.merchant_id})
    lock = select(ReportTouched).where(
        col(ReportTouched.store_id) == store.id, col(ReportTouched.day) == day
    )
    marked = (await session.exec(lock.with_for_update())).first()
    found = await facts.of_day(session, store, day)
    await _alone(session, store)
    guests = (
        await session.exec(
            select(col(ReportGuest.account_id)).where(
                col(ReportGuest.store_id) == store.id, col(ReportGuest.day) == day
            )
        )
    ).all()
    for table in (ReportDay, ReportPart, ReportHour, ReportGuest):
        columns: Any = table
        await session.execute(
            delete(table).where(col(columns.store_id) == store.id, col(columns.day) == day)
        )
    own = mine | {"merchant_id": store.merchant_id}
    parts = _parts(found.facts)
    whole = _sum(parts.values())
    await session.execute(insert(ReportDay).values(**own, **whole, made_at=clocks.real))
    await _insert(
        session,
        ReportPart,
        [
            own | {"room_id": room, "channel": channel} | sums
            for (room, channel), sums in sorted(parts.items())
        ],
    )
    await _insert(
        session,
        ReportHour,
        [
            own
            | {
                "hour": hour,
                "busy_minutes": found.busy[hour],
                "open_minutes": found.offered[hour],
            }
            for hour in range(24)
            if found.busy[hour] or found.offered[hour]
        ],
    )
    await _insert(
        session,
        ReportGuest,
        [
            own | {"account_id": account} | {name: guest[name] for name in _GUEST}
            for account, guest in sorted(found.guests.items())
        ],
    )
    await _lives(session, store, set(guests) | set(found.guests))
    await months.refresh(session, store, day)
    if marked is not None:
        await session.delete(marked)
    await session.flush()


async def _alone(session: AsyncSession, store: Store) -> None:
    """Until the end of the transaction nobody else writes a day of this store.

    Months, years and guests' lives are of many days: who sums them up sees all that was written before.
    Orders and whatever else only names the store do not wait (FOR NO KEY UPDATE).
    """
    row = select(col(Store.id)).where(col(Store.id) == store.id)
    await session.exec(row.with_for_update(key_share=True))


_GUEST: Final = ("visits", "spent_fen", "vouchers")


def _parts(rows: Iterable[facts.Fact]) -> dict[tuple[str, str], dict[str, int]]:
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    for fact in rows:
        sums = found[fact.room_id, fact.channel]
        for name, some in fact.values.items():
            sums[name] += some
    return {key: sums for key, sums in found.items() if any(sums.values())}


def _sum(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    whole = dict.fromkeys(COLUMNS, 0)
    for sums in parts:
        for name, some in sums.items():
            whole[name] += some
    return whole


async def _insert(session: AsyncSession, model: type[SQLModel], rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), 400):  # both engines bound the parameters of a statement
        await session.execute(insert(model), rows[start : start + 400])


async def _lives(session: AsyncSession, store: Store, accounts: set[str]) -> None:
    """What the guests of a day come to over all days."""
    everybody = sorted(accounts)
    for start in range(0, len(everybody), 400):
        some = everybody[start : start + 400]
        await session.execute(
            delete(ReportLife).where(
                col(ReportLife.store_id) == store.id, col(ReportLife.account_id).in_(some)
            )
        )
        query = (
            select_wide(
                col(ReportGuest.account_id),
                func.sum(col(ReportGuest.visits)),
                func.sum(col(ReportGuest.spent_fen)),
                func.sum(col(ReportGuest.vouchers)),
                func.min(col(ReportGuest.day)),
                func.max(col(ReportGuest.day)),
            )
            .where(col(ReportGuest.store_id) == store.id, col(ReportGuest.account_id).in_(some))
            .group_by(col(ReportGuest.account_id))
        )
        rows: list[Any] = list((await session.execute(query)).all())
        names = ("account_id", *_GUEST, "first_day", "last_day")
        own = {"store_id": store.id, "merchant_id": store.merchant_id}
        await _insert(
            session, ReportLife, [own | dict(zip(names, row, strict=True)) for row in rows]
        )


async def _read(session: AsyncSession, source: _Source, clocks: Clocks) -> bool:
    cursor = await session.get(ReportCursor, source.name)
    columns: Any = source.model
    key = getattr(columns, source.key)
    query = scoped(_SYSTEM, source.model).order_by(col(key)).limit(_BATCH)
    if cursor is not None:
        query = query.where(col(key) > source.read(cursor.at))
    rows: list[Any] = list((await session.exec(query)).all())
    await _mark(session, await _days(session, source, rows))
    # Only up to the first young row: one before it may still be on its way to being committed.
    settled = clocks.now - SETTLED
    young = next((n for n, row in enumerate(rows) if getattr(row, source.at) > settled), len(rows))
    told = str(getattr(rows[young - 1], source.key)) if young else None
    if told is None:
        told = source.first if cursor is None else cursor.at
    values = {"name": source.name, "at": told, "looked_at": clocks.real}
    if not await insert_or_ignore(session, ReportCursor, values):
        await session.exec(
            update(ReportCursor)
            .where(col(ReportCursor.name) == source.name)
            .values(at=told, looked_at=clocks.real)
        )
    return len(rows) == _BATCH and young == len(rows)


async def _days(session: AsyncSession, source: _Source, rows: list[Any]) -> Touched:
    if source.model is OrderEvent:
        return await _days_of_orders(session, {row.order_id for row in rows})
    if source.model is LedgerTxn:
        return {(row.store_id, row.day) for row in rows}
    zones = await _zones(session)
    return {
        (row.store_id, business_day(getattr(row, source.at), zones[row.store_id]))
        for row in rows
        if row.store_id is not None
    }


async def _days_of_orders(session: AsyncSession, ids: set[str]) -> Touched:
    """When it was placed, begins and ends, now and before each change of its time."""
    zones = await _zones(session)
    found: Touched = set()
    wanted = sorted(ids)
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        orders = scoped(_SYSTEM, Order).where(col(Order.id).in_(some))
        for one in (await session.exec(orders)).all():
            tz = zones[one.store_id]
            for at in (one.created_at, one.starts_at, one.ends_at):
                found.add((one.store_id, business_day(at, tz)))
        moved = scoped(_SYSTEM, OrderChange).where(col(OrderChange.order_id).in_(some))
        for change in (await session.exec(moved)).all():
            for at in (change.was_starts_at, change.was_ends_at):
                found.add((change.store_id, business_day(at, zones[change.store_id])))
    return found


async def _zones(session: AsyncSession) -> dict[str, str]:
    return dict((await session.exec(select(col(Store.id), col(Store.tz)))).all())


async def _mark(
    session: AsyncSession, days: Touched, stores: Iterable[Store] | None = None
) -> None:
    if not days:
        return
    if stores is None:
        ids = {store_id for store_id, _ in days}
        stores = (await session.exec(scoped(_SYSTEM, Store).where(col(Store.id).in_(ids)))).all()
    owner = {one.id: one.merchant_id for one in stores}
    rows = [
        {"store_id": store_id, "day": day, "merchant_id": owner[store_id]}
        for store_id, day in sorted(days)
    ]
    for start in range(0, len(rows), 400):
        await insert_new(session, ReportTouched, rows[start : start + 400])


async def as_of(session: AsyncSession) -> datetime | None:
    """Until when the rollups know of everything, in wire time; None before the first look."""
    looked: datetime | None = await session.scalar(select(func.min(col(ReportCursor.looked_at))))
    return looked


async def behind(session: AsyncSession, store_ids: list[str]) -> int:
    """How many days of these stores wait to be made again."""
    query = select(func.count()).where(col(ReportTouched.store_id).in_(store_ids))
    return int((await session.exec(query)).one())
