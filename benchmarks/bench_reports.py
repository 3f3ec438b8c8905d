"""Statistics of a year with a million orders in the tables, on PostgreSQL; and how long a day takes to be made.

    python -m benchmarks reports [--count 20]

Ten stores of ten rooms, a million orders over the year, sixty thousand guests. The orders are made by SQL,
and so are the rollups, since an hour of Python for what takes a store's worker seconds a day would measure
nothing; twenty days of stores are then made again by the product's own code and must come out the same. What
is measured is every report that the console has: all that ``GET /console/reports/summary`` reads of a year, half a
year, a month and a week; the rows behind a figure; advice; a segment's guests.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Final

from sqlalchemy import insert, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.results import Measured
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import Vault, use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from cloud_api.reports import advice, guests, months, rollup, service
from cloud_api.reports.crowd import Crowd, Span, month_of, year_of
from cloud_api.reports.measures import COLUMNS
from cloud_api.reports.models import ReportCrowd, ReportDay
from cloud_api.reports.periods import Kind
from cloud_api.staff.permissions import ALL
from cloud_api.stores.models import Store
from store_link.clock import ManualClock
from tests.cloud_api.databases import make_schema
from tests.cloud_api.factories import make_staff, make_store, staff
from tests.support.shared_postgres import shared_server

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
FIRST, DAYS = date(2025, 12, 1), 357  # 28 stays a day in each of a hundred rooms
STORES, ROOMS, ORDERS, GUESTS = 10, 10, 1_000_000, 60_000
AIM_MS = 1000.0
_BUSINESS_DAY = "CAST((starts_at AT TIME ZONE 'Asia/Shanghai') - interval '6 hours' AS date)"
# Stays of half an hour, up to 28 of them in a room's day from 9:00 (Shanghai) on.
_FILL = (
    "SET session_replication_role = replica",  # rows that nothing here looks at are left out
    """
    INSERT INTO account (id, phone, phone_index, phone_tail, locale, created_at)
    SELECT 'g' || lpad(g::text, 7, '0'), 'x', 'i' || g, '0000', 'zh_Hans', CAST(:noon AS timestamptz)
      FROM generate_series(0, :guests - 1) g
    """,
    """
    INSERT INTO orders (id, merchant_id, store_id, room_id, account_id, claim_id, quote_id, number, status,
                        starts_at, ends_at, hold_expires_at, total_fen, paid_fen, refunded_fen,
                        refunding_fen, waiting_fen, cancel_fee_fen, source, staff_note, finished_early, created_at,
                        version)
    SELECT 'o' || n, r.merchant_id, r.store_id, r.id, 'g' || lpad(((CAST(n AS bigint) * 7919) % :guests)::text, 7, '0'),
           'o' || n, 'o' || n, 'o' || n, 'completed', s, s + interval '30 min', s, 7600, 7600, 0, 0, 0, 0,
           CASE n % 4 WHEN 0 THEN 'staff' ELSE 'app' END, '', false, s - interval '5 min', 0
      FROM generate_series(0, :orders - 1) n
      JOIN (SELECT *, row_number() OVER (ORDER BY store_id, id) - 1 AS k FROM room) r ON r.k = n % 100,
           LATERAL (SELECT CAST(:begin AS timestamptz) + ((n / 100) / 28) * interval '1 day'
                           + ((n / 100) % 28) * interval '30 min' AS s) t
    """,
    f"""
    INSERT INTO report_guest (store_id, day, account_id, merchant_id, visits, spent_fen, vouchers)
    SELECT store_id, {_BUSINESS_DAY}, account_id, merchant_id, count(*), 7600 * count(*), 0
      FROM orders GROUP BY 1, 2, 3, 4
    """,
    """
    INSERT INTO report_life (store_id, account_id, merchant_id, visits, spent_fen, vouchers, first_day,
                             last_day)
    SELECT store_id, account_id, merchant_id, sum(visits), sum(spent_fen), 0, min(day), max(day)
      FROM report_guest GROUP BY 1, 2, 3
    """,
    f"""
    INSERT INTO report_hour (store_id, day, hour, merchant_id, busy_minutes, open_minutes)
    SELECT store_id, {_BUSINESS_DAY}, extract(hour FROM starts_at AT TIME ZONE 'Asia/Shanghai'),
           merchant_id, 30 * count(*), 600 FROM orders GROUP BY 1, 2, 3, 4
    """,
)
_SUMS = {
    "made": "count(*)",
    "made_fen": "7600 * count(*)",
    "lead_minutes": "5 * count(*)",
    "lead_now": "count(*)",
    "stays": "count(*)",
    "minutes": "30 * count(*)",
    "stay_fen": "7600 * count(*)",
    "spend_100": "count(*)",
    "busy_minutes": "30 * count(*)",
}


def _parts() -> Iterable[str]:
    """The statements that make report_part and report_day."""
    names = ", ".join(COLUMNS)
    values = ", ".join(_SUMS.get(name, "0") for name in COLUMNS)
    opened = ", ".join("1440" if name == "open_minutes" else "0" for name in COLUMNS)
    yield f"""INSERT INTO report_part (store_id, day, room_id, channel, merchant_id, {names})
              SELECT store_id, {_BUSINESS_DAY}, room_id, source, merchant_id, {values}
                FROM orders GROUP BY 1, 2, 3, 4, 5"""
    yield f"""INSERT INTO report_part (store_id, day, room_id, channel, merchant_id, {names})
              SELECT DISTINCT p.store_id, p.day, r.id, '', p.merchant_id, {opened}
                FROM report_part p JOIN room r ON r.store_id = p.store_id"""
    total = ", ".join(f"sum({name})" for name in COLUMNS)
    yield f"""INSERT INTO report_day (store_id, day, merchant_id, {names}, made_at)
              SELECT store_id, day, merchant_id, {total}, CAST(:noon AS timestamptz)
                FROM report_part GROUP BY 1, 2, 3"""


async def _months(session: AsyncSession, stores: list[Store]) -> None:
    """Who came, by the product's own bits, and the sums of months, by its own statement."""
    await session.execute(
        text("""INSERT INTO report_number (merchant_id, account_id, number)
                SELECT DISTINCT merchant_id, account_id, CAST(substr(account_id, 2) AS integer)
                  FROM report_guest""")
    )
    for store in stores:
        visits = await session.execute(
            text("""SELECT day, CAST(substr(account_id, 2) AS integer), visits FROM report_guest
                     WHERE store_id = :store ORDER BY day"""),
            {"store": store.id},
        )
        kept: dict[Span, dict[date, Crowd]] = {"day": {}, "month": {}, "year": {}}
        for day, came in groupby(visits.all(), key=lambda row: row[0]):
            crowd = Crowd.of((number, times, 0) for _day, number, times in came)
            firsts: dict[Span, date] = {"day": day, "month": month_of(day), "year": year_of(day)}
            for span, first in firsts.items():
                kept[span][first] = kept[span].get(first, Crowd()) | crowd
        rows = [
            months.row_of(store, span, first, crowd)
            for span, crowds in kept.items()
            for first, crowd in crowds.items()
        ]
        await session.execute(insert(ReportCrowd), rows)
        for month in kept["month"]:
            await months.sum_month(session, store, month)


async def _filled(db: Database) -> Staff:
    async with db.write() as session:
        long_ago = datetime(2025, 1, 1, tzinfo=UTC)
        shop = await make_store(session, long_ago, rooms=ROOMS)
        stores = [shop.store]
        for n in range(1, STORES):
            more = await make_store(
                session, long_ago, merchant=shop.merchant, rooms=ROOMS, name=f"店 {n}"
            )
            stores.append(more.store)
        who = staff(await make_staff(session, shop, NOON), ALL)
        begin = datetime(FIRST.year, FIRST.month, FIRST.day, 1, tzinfo=UTC)
        told = {"noon": NOON, "begin": begin, "guests": GUESTS, "orders": ORDERS}
        for statement in (*_FILL, *_parts()):
            mine = {name: value for name, value in told.items() if f":{name}" in statement}
            await session.execute(text(statement), mine)
        await _months(session, stores)
        await session.execute(text("SET session_replication_role = DEFAULT"))
    async with db.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text("VACUUM ANALYZE"))
    return who


async def _again(db: Database, clocks: Clocks) -> list[float]:
    """Milliseconds to make a day of a store again, which changes nothing."""
    dice, took = random.Random(1), []
    async with db.read() as session:
        rows = list((await session.exec(select(ReportDay).order_by(col(ReportDay.day)))).all())
    for row in dice.sample(rows, 20):
        begun = time.perf_counter()
        async with db.write() as session:
            await rollup.rebuild(session, row.store_id, row.day, clocks)
        took.append(1000 * (time.perf_counter() - begun))
        async with db.read() as session:
            made = await session.get_one(ReportDay, (row.store_id, row.day))
        for name in COLUMNS:
            assert getattr(made, name) == getattr(row, name), (row.day, name)
    return took


LAST = FIRST + timedelta(days=DAYS - 1)


async def _look(db: Database, who: Staff, clocks: Clocks, kind: Kind) -> float:
    begun = time.perf_counter()
    async with db.read() as session:
        period, wanted, stores = await service.asked(
            session, who, clocks, kind=kind, day=LAST, first=FIRST, last=LAST
        )
        told = await service.summary(session, who, period, wanted, stores, clocks)
    took = 1000 * (time.perf_counter() - begun)
    stays = next(one.value for one in told.figures if one.key == "stays")
    assert stays is not None
    assert stays > (900_000 if kind == "custom" else 10_000)
    assert told.guests is not None
    assert told.guests.active > 10_000
    return took


async def _half(db: Database, who: Staff, clocks: Clocks) -> float:
    """The second half of the year against the first, on days where no month begins."""
    first, last = FIRST + timedelta(days=180), LAST - timedelta(days=2)
    begun = time.perf_counter()
    async with db.read() as session:
        period, wanted, stores = await service.asked(
            session, who, clocks, kind="custom", first=first, last=last
        )
        told = await service.summary(session, who, period, wanted, stores, clocks)
    took = 1000 * (time.perf_counter() - begun)
    assert told.guests is not None
    assert told.guests_before is not None
    assert told.guests.active == told.guests_before.active == GUESTS
    return took


async def _rows(db: Database, who: Staff, clocks: Clocks, figure: str) -> float:
    """The first page behind a figure of the year."""
    begun = time.perf_counter()
    async with db.read() as session:
        _, wanted, stores = await service.asked(
            session, who, clocks, kind="custom", first=FIRST, last=LAST
        )
        told = await service.rows(session, who, figure, wanted, stores)
    took = 1000 * (time.perf_counter() - begun)
    assert told.items
    assert told.next
    return took


async def _advice(db: Database, who: Staff, clocks: Clocks) -> float:
    begun = time.perf_counter()
    async with db.read() as session:
        _, _, stores = await service.asked(session, who, clocks)
        told = await advice.advice(session, who, stores, clocks)
    assert told.items or told.quiet
    return 1000 * (time.perf_counter() - begun)


async def _segment(db: Database, who: Staff, clocks: Clocks) -> float:
    begun = time.perf_counter()
    async with db.read() as session:
        found = [await guests.of_segment(session, who, one, clocks) for one in ("best", "loyal")]
    assert sum(one.total for one in found) > 10_000
    return 1000 * (time.perf_counter() - begun) / len(found)


Look = Callable[[Database, Staff, Clocks], Awaitable[float]]
_LOOKS: Final[dict[str, Look]] = {
    "statistics of a year, a million orders": partial(_look, kind="custom"),
    "of half a year against the half before": _half,
    "of a month": partial(_look, kind="month"),
    "of a week": partial(_look, kind="week"),
    "the rows behind a year's stays, first page": partial(_rows, figure="stays"),
    "the rows behind a year's occupancy, first page": partial(_rows, figure="occupancy"),
    "what is worth trying, ten stores": _advice,
    "the guests of a segment": _segment,
}
"""Each report, and what it is asked for; all of them answer within a second."""


async def _cold(url: str, who: Staff, clocks: Clocks, count: int) -> dict[str, list[float]]:
    """The first look of a process that has just started: no connection, nothing prepared."""
    took: dict[str, list[float]] = {name: [] for name in _LOOKS}
    for _ in range(count):
        for name, look in _LOOKS.items():
            db = Database(url)
            took[name].append(await look(db, who, clocks))
            await db.close()
    return took


async def _warm(url: str, who: Staff, clocks: Clocks, count: int) -> dict[str, list[float]]:
    db = Database(url)
    took: dict[str, list[float]] = {name: [] for name in _LOOKS}
    for turn in range(count + 1):
        for name, look in _LOOKS.items():
            one = await look(db, who, clocks)
            if turn:  # the first fills connections and caches
                took[name].append(one)
    await db.close()
    return took


Found = tuple[dict[str, list[float]], dict[str, list[float]], list[float]]


async def _measure(url: str, count: int) -> Found:
    clocks = Clocks(ManualClock(NOON), ManualClock(NOON))
    db = Database(url)
    who = await _filled(db)
    again = await _again(db, clocks)
    await db.close()
    cold = await _cold(url, who, clocks, max(3, count // 4))
    return cold, await _warm(url, who, clocks, count), again


def measured(count: int | None) -> Iterable[Measured]:
    """Each report, warm and as the first look of a process; and a day made again."""
    use_vault(Vault([b"1" * 32]))
    with shared_server() as server:
        name = f"bench_{new_id().lower()}"
        url = server.create_database(name)
        make_schema(url)
        cold, warm, again = asyncio.run(_measure(url, count or 20))
        server.drop_database(name)
    for what, note in (
        (warm, "all of its page: figures, charts, guests, against the period before"),
        (cold, "first look of a process: new connections, nothing prepared"),
    ):
        for title, took in what.items():
            shown = title if what is warm else f"{title}, first look"
            yield Measured.of(
                shown, "ms", took, [AIM_MS], aim=1.0, against="a second", note=note
            )  # fmt: skip
    yield Measured.of("a day of a store made again, 270 orders", "ms", again)
