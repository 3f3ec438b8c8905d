"""PostgreSQL goes for a moment, or has no place left: people are told to try again, and nobody is restarted.

At a restart of the database every page said that something had broken on our side, with a number to tell
the store, and each request was logged as a crash; a server without a free connection looked the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cloud_api.app import create_app
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import IDLE_S
from cloud_api.kit.problems import from_database
from cloud_api.kit.process import make_cloud
from cloud_api.settings import Settings
from store_link.clock import WireClock
from tests.cloud_api.conftest import SECRETS
from tests.cloud_api.databases import make_schema
from tests.support.postgres import Cluster, Server, private_cluster

PATIENCE_S = 30.0
ROLE = "guest"


@pytest.fixture(scope="module")
def own() -> Iterator[tuple[Cluster, Server]]:
    """A server of its own, to be stopped; whoever comes as ``guest`` has no rights beyond his own."""
    with private_cluster() as (cluster, server):
        url = server.create_database("away")
        make_schema(url)
        server.execute(f"CREATE ROLE {ROLE} LOGIN")
        server.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE}", "away"
        )
        yield cluster, server


@pytest.fixture
async def client(own: tuple[Cluster, Server], tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    _, server = own
    url = server.url("away").replace("//kaimen@", f"//{ROLE}@")
    assert f"//{ROLE}@" in url
    settings = Settings.model_validate(
        {"database_url": url, "secrets": SECRETS, "data_dir": tmp_path, "run_worker": False}
    )
    cloud = make_cloud(settings)
    app = create_app(settings, cloud=cloud)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://kaimen.test") as made:
        made.cloud = cloud  # type: ignore[attr-defined]
        yield made
    await cloud.http.aclose()
    await cloud.db.close()


async def back(client: httpx.AsyncClient) -> None:
    """The same process serves again."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while (await client.get("/api/v1/stores")).status_code != 200:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.1)


async def cut_off(cloud: Cloud, server: Server) -> None:
    """A transaction whose connection the server ends."""
    async with cloud.db.write() as session:
        pid = await session.scalar(text("SELECT pg_backend_pid()"))
        await asyncio.to_thread(server.execute, f"SELECT pg_terminate_backend({pid})")
        await session.execute(text("SELECT 1"))


async def test_a_restart_and_a_full_house_are_told_as_such(
    own: tuple[Cluster, Server], client: httpx.AsyncClient
) -> None:
    cluster, server = own
    assert (await client.get("/api/v1/stores")).status_code == 200
    await asyncio.to_thread(cluster.stop)
    for path in ("/api/v1/stores", "/api/v1/doors/some-token"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text
        assert answer.json()["retry_after"] > 0
    page = await client.get("/", headers={"accept": "text/html"})
    assert page.status_code == 503
    assert "text/html" in page.headers["content-type"]
    ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"].startswith("unreachable")
    assert ready.json()["notes"] == {}, "who is away is not asked again for what can wait"
    assert (await client.get("/healthz")).status_code == 200, "the process lives"
    await asyncio.to_thread(cluster.resume)
    await back(client)
    assert (await client.get("/readyz")).json()["checks"]["clock"] == "ok"

    # As many as the server takes are others: the next one hears so, in the same words.
    cloud: Cloud = client.cloud  # type: ignore[attr-defined]
    await cloud.db.close()
    await asyncio.to_thread(server.execute, "ALTER DATABASE away CONNECTION LIMIT 0")
    answer = await client.get("/api/v1/stores")
    assert (answer.status_code, answer.json()["code"]) == (503, "busy"), answer.text
    assert (await client.get("/readyz")).status_code == 503
    await asyncio.to_thread(server.execute, "ALTER DATABASE away CONNECTION LIMIT -1")
    await back(client)

    # Gone in the middle of a transaction: nobody knows whether it counted, and says so.
    with pytest.raises(DBAPIError) as lost:
        await cut_off(cloud, server)
    told = from_database(lost.value)
    assert told is not None
    assert told.code == "unavailable"
    await back(client)


async def test_who_stands_still_in_a_transaction_holds_its_rows_for_seconds(
    client: httpx.AsyncClient,
) -> None:
    """A process that was stopped, or a machine without power, held them until TCP gave up: two hours, and
    whoever needed them (every act of a merchant goes through the head of its log) waited as long.
    """
    cloud: Cloud = client.cloud  # type: ignore[attr-defined]
    dead = cloud.db.write()
    session = await dead.__aenter__()
    bound = await session.scalar(text("SHOW idle_in_transaction_session_timeout"))
    assert bound == f"{IDLE_S}s"
    await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '200ms'"))
    await session.execute(text("LOCK TABLE store IN ACCESS EXCLUSIVE MODE"))
    async with asyncio.timeout(PATIENCE_S):
        assert (await client.get("/api/v1/stores")).status_code == 200
    with pytest.raises(DBAPIError):  # what comes of it when it wakes up
        await session.execute(text("SELECT 1"))
    with contextlib.suppress(SQLAlchemyError):
        await dead.__aexit__(None, None, None)


class Ahead(WireClock):
    """A clock that nobody sets: five seconds fast."""

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=5)


async def test_a_machine_whose_clock_is_off_is_not_ready(client: httpx.AsyncClient) -> None:
    """Its leases were over before others thought so, and its commands died early or lived long: each
    process is held against the database's clock, which all of them share.
    """
    cloud: Cloud = client.cloud  # type: ignore[attr-defined]
    right, cloud.clocks = cloud.clocks, Clocks(cloud.clocks.business, Ahead())
    answer = await client.get("/readyz")
    cloud.clocks = right
    assert answer.status_code == 503
    said = answer.json()["checks"]["clock"]
    assert said.startswith("5."), said
    assert "ahead of the database" in said
