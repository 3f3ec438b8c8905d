"""Claims per second through the service, against the floor: the same rows by plain INSERT.

    python -m benchmarks.bench_claims [--claims 400] [--clients 16]

Both do one transaction per claim on the same database with the guard in force. The ratio says what
the service costs (savepoint, lock, ORM), whatever the machine; the numbers say what the machine does.
SQLite runs in a temporary folder with its real settings (WAL, synchronous=FULL); PostgreSQL in a
private cluster whose fsync is off, so its numbers are of the program and not of the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from cloud_api.claims import service as claims
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import Vault, use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from store_link.clock import ManualClock
from tests.cloud_api.databases import make_schema
from tests.cloud_api.factories import Shop, make_store
from tests.support.shared_postgres import shared_server

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
CLOCKS = Clocks(ManualClock(NOON), ManualClock(NOON))
HOUR = timedelta(hours=1)
Act = Callable[[int], Awaitable[None]]


async def _rate(act: Act, count: int, clients: int) -> float:
    """Acts per second, ``clients`` at a time."""
    todo = iter(range(count))

    async def client() -> None:
        for i in todo:
            await act(i)

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return count / (time.perf_counter() - begun)


async def measure(url: str, count: int, clients: int) -> tuple[float, float, float]:
    """(service, floor, refusals) per second on the database at ``url``."""
    db = Database(url)
    async with db.write() as session:
        shop: Shop = await make_store(session, NOON, rooms=10)

    def window(i: int, first_day: int) -> tuple[datetime, datetime]:
        start = NOON + timedelta(days=first_day) + 3 * HOUR * (i // len(shop.rooms))
        return start, start + 2 * HOUR

    async def through_service(i: int) -> None:
        start, end = window(i, 1)
        async with db.write() as session:
            await claims.hold(session, shop.rooms[i % len(shop.rooms)], None, start, end, CLOCKS)

    async def plain_insert(i: int) -> None:
        start, end = window(i, 10_000)
        room = shop.rooms[i % len(shop.rooms)]
        async with db.engine.begin() as connection:
            await connection.execute(
                insert(RoomClaim).values(
                    id=new_id(),
                    merchant_id=room.merchant_id,
                    store_id=room.store_id,
                    room_id=room.id,
                    kind="booking",
                    starts_at=start,
                    ends_at=end,
                    block_from=start,
                    block_until=end + HOUR / 4,
                    state="held",
                    created_at=NOON,
                )
            )

    async def refused(i: int) -> None:
        start, end = window(0, 1)
        async with db.write() as session:
            try:
                await claims.hold(session, shop.rooms[0], None, start, end, CLOCKS)
            except claims.RoomTaken:
                return
        raise AssertionError("two owners of one room")

    await _rate(plain_insert, 20, clients)  # connections and caches
    floor = await _rate(lambda i: plain_insert(i + 1000), count, clients)
    service = await _rate(through_service, count, clients)
    refusals = await _rate(refused, count // 4, clients)
    await db.close()
    return service, floor, refusals


@contextmanager
def _databases() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder, shared_server() as server:
        sqlite = f"sqlite+aiosqlite:///{Path(folder) / 'bench.db'}"
        name = f"bench_{new_id().lower()}"
        urls = {"SQLite": sqlite, "PostgreSQL": server.create_database(name)}
        for url in urls.values():
            make_schema(url)
        yield urls
        server.drop_database(name)


def main() -> None:
    """Measure both engines and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--claims", type=int, default=400)
    parser.add_argument("--clients", type=int, default=16)
    given = parser.parse_args()
    use_vault(Vault([b"1" * 32]))
    with _databases() as urls:
        print(f"{given.claims} claims, {given.clients} clients, 10 rooms")
        print(f"{'':12}{'service/s':>12}{'floor/s':>12}{'ratio':>8}{'refusals/s':>12}")
        for name, url in urls.items():
            service, floor, refusals = asyncio.run(measure(url, given.claims, given.clients))
            print(f"{name:12}{service:12.0f}{floor:12.0f}{service / floor:8.2f}{refusals:12.0f}")


if __name__ == "__main__":
    main()
