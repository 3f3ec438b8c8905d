"""Statistics of a year with a million orders in the tables, on PostgreSQL; and how long a day takes to be made.

    python -m benchmarks reports [--count 20]

Ten stores of ten rooms, a million orders over the year, sixty thousand guests. The orders are made by SQL,
and so are the rollups, since an hour of Python for what takes a store's worker seconds a day would measure
nothing; twenty days of stores are then made again by the product's own code and must come out the same. What
is measured is all that ``GET /console/reports/summary`` reads: the year against the year before, and a week.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlmodel import col, select

from benchmarks.results import Measured
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import Vault, use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from cloud_api.reports import rollup, service
from cloud_api.reports.measures import COLUMNS
from cloud_api.reports.models import ReportDay
from cloud_api.reports.periods import Kind
from cloud_api.staff.permissions import ALL
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


async def _filled(db: Database) -> Staff:
    async with db.write() as session:
        long_ago = datetime(2025, 1, 1, tzinfo=UTC)
        shop = await make_store(session, long_ago, rooms=ROOMS)
        for n in range(1, STORES):
            await make_store(session, long_ago, merchant=shop.merchant, rooms=ROOMS, name=f"店 {n}")
        who = staff(await make_staff(session, shop, NOON), ALL)
        begin = datetime(FIRST.year, FIRST.month, FIRST.day, 1, tzinfo=UTC)
        told = {"noon": NOON, "begin": begin, "guests": GUESTS, "orders": ORDERS}
        for statement in (*_FILL, *_parts()):
            mine = {name: value for name, value in told.items() if f":{name}" in statement}
            await session.execute(text(statement), mine)
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


async def _look(db: Database, who: Staff, clocks: Clocks, kind: Kind) -> float:
    last = FIRST + timedelta(days=DAYS - 1)
    begun = time.perf_counter()
    async with db.read() as session:
        period, wanted, stores = await service.asked(
            session, who, clocks, kind=kind, day=last, first=FIRST, last=last
        )
        told = await service.summary(session, who, period, wanted, stores, clocks)
    took = 1000 * (time.perf_counter() - begun)
    stays = next(one.value for one in told.figures if one.key == "stays")
    assert stays is not None
    assert stays > (900_000 if kind == "custom" else 10_000)
    assert told.guests is not None
    assert told.guests.active > 10_000
    return took


async def _cold(url: str, who: Staff, clocks: Clocks, count: int) -> list[float]:
    """The first look of a process that has just started: no connection, nothing prepared."""
    took = []
    for _ in range(count):
        db = Database(url)
        took.append(await _look(db, who, clocks, "custom"))
        await db.close()
    return took


async def _measure(url: str, count: int) -> tuple[list[float], ...]:
    db = Database(url)
    clocks = Clocks(ManualClock(NOON), ManualClock(NOON))
    who = await _filled(db)
    again = await _again(db, clocks)
    cold = await _cold(url, who, clocks, max(3, count // 4))
    for kind in ("custom", "week"):
        await _look(db, who, clocks, kind)  # connections and caches
    year = [await _look(db, who, clocks, "custom") for _ in range(count)]
    week = [await _look(db, who, clocks, "week") for _ in range(count)]
    await db.close()
    return year, cold, week, again


def measured(count: int | None) -> Iterable[Measured]:
    """A year's and a week's statistics, and a day made again."""
    use_vault(Vault([b"1" * 32]))
    with shared_server() as server:
        name = f"bench_{new_id().lower()}"
        url = server.create_database(name)
        make_schema(url)
        year, cold, week, again = asyncio.run(_measure(url, count or 20))
        server.drop_database(name)
    yield Measured.of(
        "statistics of a year, a million orders", "ms", year, [AIM_MS], aim=1.0, against="a second",
        note="all figures, charts, guests and segments, against the year before",
    )  # fmt: skip
    yield Measured.of(
        "the same, first look of a process", "ms", cold, [AIM_MS], aim=1.0, against="a second",
        note="new connections, nothing prepared",
    )  # fmt: skip
    yield Measured.of("statistics of a week, a million orders", "ms", week)
    yield Measured.of("a day of a store made again, 270 orders", "ms", again)
