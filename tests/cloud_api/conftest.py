"""What tests of the cloud share: both databases, clocks that stand still, a store to act in."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from cloud_api.app import create_app
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.waiters import Waiters
from cloud_api.settings import Settings
from store_link.clock import ManualClock
from tests.cloud_api.databases import PostgresTemplates, SqliteTemplates
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff, make_store
from tests.cloud_api.house import House, running_house
from tests.support.cashier import Till, running_till
from tests.support.shared_postgres import shared_server

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # Monday 12:00 in Shanghai
SECRETS = "11" * 32
TRUST = ssl.create_default_context()  # once: reading it costs more than many a test


VAULT = Settings(secrets=SECRETS).vault


@pytest.fixture(autouse=True)
def _vault() -> None:
    use_vault(VAULT)


@pytest.fixture
def business() -> ManualClock:
    """The business clock; ``pass_time(seconds)`` moves it."""
    return ManualClock(NOON)


@pytest.fixture
def wire() -> ManualClock:
    """The wire clock; ``pass_time(seconds)`` moves it."""
    return ManualClock(NOON)


@pytest.fixture
def clocks(business: ManualClock, wire: ManualClock) -> Clocks:
    """Both clocks, standing at Monday noon in Shanghai."""
    return Clocks(business, wire)


@pytest.fixture
def now(clocks: Clocks) -> datetime:
    """Monday noon in Shanghai."""
    return clocks.now


@pytest.fixture(scope="session")
def sqlite_templates(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplates:
    return SqliteTemplates(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_templates() -> Iterator[PostgresTemplates]:
    with shared_server() as server:
        templates = PostgresTemplates(server)
        yield templates
        templates.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def db_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh database with the whole schema, on each engine in turn."""
    if request.param == "sqlite":
        with request.getfixturevalue("sqlite_templates").fresh() as url:
            yield url
    else:
        with request.getfixturevalue("postgres_templates").fresh() as url:
            yield url


@pytest.fixture
def sqlite_url(sqlite_templates: SqliteTemplates) -> Iterator[str]:
    """A fresh SQLite database with the whole schema, where the engine does not matter."""
    with sqlite_templates.fresh() as url:
        yield url


@pytest.fixture
async def db(db_url: str) -> AsyncIterator[Database]:
    """The database door, on each engine in turn."""
    database = Database(db_url)
    yield database
    await database.close()


@pytest.fixture
def settings(db_url: str, tmp_path: Path) -> Settings:
    """Settings of an installation without broker, worker or SMS gateway."""
    return Settings(
        database_url=db_url,
        secrets=SECRETS,
        data_dir=tmp_path,
        public_url="http://kaimen.test",
        run_worker=False,
    )


@pytest.fixture
async def cloud(settings: Settings, db: Database, clocks: Clocks) -> AsyncIterator[Cloud]:
    """What a process has in hand; the same database door as ``db``."""
    async with httpx.AsyncClient(timeout=5, trust_env=False, verify=TRUST) as http:
        yield Cloud(settings, db, clocks, http, Waiters("test"), holder="test")


@pytest.fixture
async def shop(db: Database, now: datetime) -> Shop:
    """A store with three rooms, committed."""
    async with db.write() as session:
        return await make_store(session, now)


@pytest.fixture
async def owner(cloud: Cloud, shop: Shop) -> dict[str, str]:
    """The shop's owner, logged in: what their requests carry."""
    async with cloud.db.write() as session:
        boss = await make_staff(session, shop, cloud.clocks.now)
        return bearer(await make_login(session, boss.account_id, cloud.clocks.real))


@pytest.fixture
def till(clocks: Clocks) -> Iterator[Till]:
    """A cashier that tells the time of the wire clock."""

    def now() -> float:
        return clocks.real.timestamp()

    with running_till(now=now) as running:
        yield running


@pytest.fixture
async def house(cloud: Cloud, shop: Shop, till: Till) -> AsyncIterator[House]:
    """The shop, taking money at that cashier."""
    async with running_house(cloud, shop, till) as running:
        yield running


@pytest.fixture
def with_pages() -> bool:
    """Whether ``app`` has the pages; tests of pages override this."""
    return False


@pytest.fixture
def app(settings: Settings, cloud: Cloud, clocks: Clocks, with_pages: bool) -> FastAPI:
    """The app of one process on ``cloud``; its worker is not started."""
    return create_app(settings, clocks=clocks, cloud=cloud, pages=with_pages)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """An API client without cookies; ``headers=bearer(token)`` logs it in."""
    transport = httpx.ASGITransport(app=app, client=("203.0.113.7", 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://kaimen.test") as made:
        yield made
