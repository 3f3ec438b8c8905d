"""A store's day on PostgreSQL with a million past claims in the table, against the same with a thousand.

    python -m benchmarks days [--count 200]

Two databases of one server, 50 rooms each, the same coming day; the looks alternate, so that a noisy
neighbour hits both. What lies behind must not make what lies ahead slower.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from benchmarks.results import Measured
from cloud_api.claims.spans import spans
from cloud_api.kit.actor import System
from cloud_api.kit.crypto import Vault, use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from cloud_api.stores.models import Store
from cloud_api.stores.service import rooms_of
from tests.cloud_api.databases import make_schema
from tests.cloud_api.factories import make_store
from tests.support.shared_postgres import shared_server

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
ROOMS, FEW, MANY = 50, 1_000, 1_000_000
# Touching claims of half an hour each, from yesterday backwards; a day ahead gets one in three hours.
_FILL = text(
    """
    INSERT INTO room_claim (id, merchant_id, store_id, room_id, kind, starts_at, ends_at, block_from,
                            block_until, state, created_at)
    SELECT 'p' || r.n || '-' || g, r.merchant_id, r.store_id, r.id, 'booking', s, s + interval '20 min',
           s, s + interval '30 min', 'released', s
      FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM room WHERE store_id = :store) r,
           generate_series(1, :each) g,
           LATERAL (SELECT CAST(:noon AS timestamptz) - interval '1 day' - g * interval '30 min' AS s) t
    """
)
_AHEAD = text(
    """
    INSERT INTO room_claim (id, merchant_id, store_id, room_id, kind, starts_at, ends_at, block_from,
                            block_until, state, created_at)
    SELECT 'a' || r.n || '-' || g, r.merchant_id, r.store_id, r.id, 'booking', s, s + interval '2 hours',
           s, s + interval '135 min', 'confirmed', s
      FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM room WHERE store_id = :store) r,
           generate_series(0, 7) g,
           LATERAL (SELECT CAST(:noon AS timestamptz) + g * interval '3 hours' AS s) t
    """
)


async def _filled(url: str, past: int) -> tuple[Database, str]:
    db = Database(url)
    async with db.write() as session:
        shop = await make_store(session, NOON, rooms=ROOMS)
        place = {"store": shop.store.id, "noon": NOON}
        await session.execute(_FILL, {**place, "each": past // ROOMS})
        await session.execute(_AHEAD, place)
    async with db.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text("VACUUM ANALYZE room_claim"))
    return db, shop.store.id


async def _look(db: Database, store_id: str) -> float:
    begun = time.perf_counter()
    async with db.read() as session:
        store = await session.get_one(Store, store_id)
        rooms = await rooms_of(session, System(), store_id)
        found = await spans(session, store, rooms, NOON, NOON + timedelta(days=1))
    assert len(found) == ROOMS
    assert sum(span.state == "booked" for day in found.values() for span in day) == 8 * ROOMS
    return 1000 * (time.perf_counter() - begun)


async def _measure(few: str, many: str, count: int) -> tuple[list[float], list[float]]:
    small, large = await _filled(few, FEW), await _filled(many, MANY)
    for _ in range(5):  # connections and caches
        await _look(*small)
        await _look(*large)
    ours, floor = [], []
    for _ in range(count):
        floor.append(await _look(*small))
        ours.append(await _look(*large))
    await small[0].close()
    await large[0].close()
    return ours, floor


def measured(count: int | None) -> Iterable[Measured]:
    """The day of 50 rooms with 1,000,000 and with 1,000 past claims."""
    use_vault(Vault([b"1" * 32]))
    with shared_server() as server:
        names = [f"bench_{new_id().lower()}" for _ in range(2)]
        urls = [server.create_database(name) for name in names]
        for url in urls:
            make_schema(url)
        ours, floor = asyncio.run(_measure(urls[0], urls[1], count or 200))
        for name in names:
            server.drop_database(name)
    yield Measured.of(
        "A day of 50 rooms, a million past claims",
        "ms",
        ours,
        floor,
        aim=1.2,
        against="the same with a thousand",
    )
