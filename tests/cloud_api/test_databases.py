"""A database that one test leaves and the next one gets tells nothing of the first."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy import make_url

from cloud_api.kit.database import Database
from tests.cloud_api.conftest import NOON
from tests.cloud_api.databases import PostgresTemplates
from tests.cloud_api.factories import make_store


def _name(url: str) -> str:
    return str(make_url(url).database)


def _number(templates: PostgresTemplates, url: str) -> str:
    """The database's own number, which a new name does not change."""
    number: str = templates.server.run(
        _name(url),
        lambda connection: connection.fetchval(
            "SELECT oid::text FROM pg_database WHERE datname = current_database()"
        ),
    )
    return number


async def _full(connection: asyncpg.Connection) -> list[str]:
    """The tables that have rows."""
    tables = await connection.fetch(
        "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"
    )
    return [
        table["name"]
        for table in tables
        if await connection.fetchval(f'SELECT EXISTS (SELECT FROM "{table["name"]}")')
    ]


def _fill(url: str) -> None:
    async def fill() -> None:
        database = Database(url)
        async with database.write() as session:
            await make_store(session, NOON)
        await database.close()

    with asyncio.Runner() as runner:
        runner.run(fill())


@pytest.fixture
def templates(postgres_templates: PostgresTemplates) -> PostgresTemplates:
    """With nothing kept from other tests."""
    while postgres_templates.spare:
        postgres_templates.server.drop_database(postgres_templates.spare.pop())
    return postgres_templates


def test_it_comes_back_empty_under_another_name(templates: PostgresTemplates) -> None:
    with templates.fresh() as first:
        number = _number(templates, first)
        _fill(first)
        assert "store" in templates.server.run(_name(first), _full)
        _fill(first)  # the second shop: nothing stands in its way
    with templates.fresh() as second:
        assert _number(templates, second) == number
        assert second != first
        assert templates.server.run(_name(second), _full) == []
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            templates.server.run(_name(first), lambda c: c.fetchval("SELECT 1"))


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE store ADD COLUMN colour text",
        "ALTER TABLE room_claim DISABLE TRIGGER ALL",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE other (id int)",
    ],
)
def test_one_whose_schema_was_changed_does_not(templates: PostgresTemplates, change: str) -> None:
    with templates.fresh() as url:
        templates.server.execute(change, _name(url))
    assert templates.spare == []
    assert not templates.server.has_database(_name(url))


def test_one_that_somebody_holds_on_to_is_taken_away(templates: PostgresTemplates) -> None:
    """A connection that a test forgot neither blocks the next one nor reaches its database."""

    async def forget(url: str) -> asyncpg.Connection:
        held = await asyncpg.connect(
            host=str(templates.server.sockets), user="kaimen", database=_name(url)
        )
        await held.execute("BEGIN; LOCK TABLE store IN ACCESS EXCLUSIVE MODE")
        return held

    with asyncio.Runner() as runner:
        with templates.fresh() as url:
            held = runner.run(forget(url))
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            runner.run(held.fetchval("SELECT 1"))
    with templates.fresh() as again:
        _fill(again)
