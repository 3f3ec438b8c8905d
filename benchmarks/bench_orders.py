"""Orders per second through HTTP on PostgreSQL: eight clients quote and order free time of ten rooms.

    python -m benchmarks orders [--count 160]

The whole way is measured: a request to quote, a request to order, the real app behind uvicorn, in one
process and in two. pretix's order API did 17 a second on two cores of the same kind; what is compared
is the number of orders, not what each of the two does for one. PostgreSQL's fsync is off, as in all
measurements here that are of the program and not of the disk.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from benchmarks.results import Measured
from cloud_api.kit.crypto import use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from cloud_api.settings import Settings
from tests.cloud_api.databases import make_schema
from tests.cloud_api.factories import bearer, make_customer, make_login, make_store
from tests.support.ports import free_port
from tests.support.shared_postgres import shared_server

CLIENTS = 8
ROOMS = 10
PRETIX_PER_S = 17.0  # measured with its own API on two cores
AIM = 10.0  # times as many
_SECRETS = "11" * 32
_SERVE = """
import sys
import uvicorn
from cloud_api.app import create_app
from cloud_api.settings import Settings
app = create_app(Settings(run_worker=False), pages=False)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
"""


async def _shop(url: str, people: int) -> tuple[list[str], list[str]]:
    """Room ids, and a login for each order: one person may have few unpaid ones."""
    db, now = Database(url), datetime.now(UTC)
    async with db.write() as session:
        shop = await make_store(session, now, rooms=ROOMS)
        tokens = []
        for _ in range(people):
            account = await make_customer(session, now)
            tokens.append(await make_login(session, account.id, now))
    await db.close()
    return [room.id for room in shop.rooms], tokens


async def _orders(
    bases: list[str], rooms: list[str], tokens: list[str]
) -> tuple[list[float], float]:
    """Milliseconds of each quote with its order, and orders per second of all clients together."""
    tomorrow = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    todo = iter(range(len(tokens)))
    took: list[float] = []

    async def client(base: str) -> None:
        async with httpx.AsyncClient(base_url=base, timeout=30, trust_env=False) as http:
            for i in todo:
                starts = tomorrow + timedelta(hours=2 * (i // ROOMS))
                wish = {
                    "room_id": rooms[i % ROOMS],
                    "starts_at": starts.isoformat(),
                    "ends_at": (starts + timedelta(hours=1)).isoformat(),
                }
                begun = time.perf_counter()
                quote = await http.post("/quotes", json=wish, headers=bearer(tokens[i]))
                quote.raise_for_status()
                order = await http.post(
                    "/orders",
                    json={"quote_id": quote.json()["id"]},
                    headers=bearer(tokens[i]) | {"Idempotency-Key": f"bench-{i}"},
                )
                order.raise_for_status()
                took.append((time.perf_counter() - begun) * 1000)

    begun = time.perf_counter()
    await asyncio.gather(*(client(bases[one % len(bases)]) for one in range(CLIENTS)))
    return took, len(tokens) / (time.perf_counter() - begun)


async def _until_ready(base: str) -> None:
    deadline = time.monotonic() + 60
    async with httpx.AsyncClient(trust_env=False) as http:
        while True:
            try:
                await http.get(f"{base}/stores")
                return
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)


def measured(count: int | None) -> Iterator[Measured]:
    """Rows for the report."""
    people = count or 160
    use_vault(Settings(secrets=_SECRETS).vault)
    with shared_server() as server, tempfile.TemporaryDirectory() as folder:
        name = f"bench_{new_id().lower()}"
        url = server.create_database(name)
        make_schema(url)
        try:
            for processes in (1, 2):
                rooms, tokens = asyncio.run(_shop(url, people))
                with _served(url, Path(folder), processes) as bases:
                    took, rate = asyncio.run(_orders(bases, rooms, tokens))
                said = f"{processes} API process{'es' if processes > 1 else ''}"
                yield Measured.of(
                    f"orders through HTTP on PostgreSQL, {CLIENTS} clients, {said}", "orders/s",
                    [rate], [PRETIX_PER_S],
                    aim=AIM, against="pretix's order API on two cores", low_is_good=False,
                    note="a quote and an order each; clients and database share the cores",
                )  # fmt: skip
                yield Measured.of(f"one quote and its order, {said}", "ms", took)
        finally:
            server.drop_database(name)


@contextmanager
def _served(url: str, folder: Path, processes: int) -> Iterator[list[str]]:
    """Where that many API processes answer."""
    env = os.environ | {
        "KAIMEN_DATABASE_URL": url,
        "KAIMEN_SECRETS": _SECRETS,
        "KAIMEN_DATA_DIR": str(folder),
        "KAIMEN_PUBLIC_URL": "http://kaimen.test",
    }
    ports = [free_port() for _ in range(processes)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(port)], env=env, stdout=subprocess.DEVNULL
        )
        for port in ports
    ]
    bases = [f"http://127.0.0.1:{port}/api/v1" for port in ports]
    try:
        for base in bases:
            asyncio.run(_until_ready(base))
        yield bases
    finally:
        for one in running:
            one.terminate()
            one.wait(30)
