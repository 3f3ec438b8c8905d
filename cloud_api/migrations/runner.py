"""Bringing a database to the present schema, and asking whether it is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud_api.kit.database import Database
from cloud_api.migrations import guards
from cloud_api.migrations.tables import is_ours, metadata

if TYPE_CHECKING:
    # Alembic takes a quarter of a second to load. Whoever migrates loads it, inside the functions
    # below; each process that serves or works only asks whether the database is at the head.
    from alembic.config import Config

FOLDER = Path(__file__).parent
_STATED = re.compile(r'^(down_revision|revision) = "([^"]+)"$', re.MULTILINE)


def config() -> Config:
    """Alembic's configuration; there is no ini file."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(FOLDER))
    made.set_main_option("path_separator", "os")
    return made


@cache
def head() -> str:
    """The newest revision: the one that no other follows."""
    stated: list[tuple[str, str]] = [
        found
        for path in (FOLDER / "versions").glob("*.py")
        for found in _STATED.findall(path.read_text())
    ]
    followed = {name for kind, name in stated if kind == "down_revision"}
    (newest,) = {name for kind, name in stated if kind == "revision"} - followed
    return newest


async def upgrade(db: Database, revision: str = "head") -> None:
    """Bring the database to ``revision`` and put up the guards, in one transaction.

    Two processes that start together queue: on PostgreSQL by an advisory lock, on SQLite by its
    one writer.
    """
    if db.is_sqlite:
        _make_folder(db.url)
    async with db.engine.begin() as connection:
        if not db.is_sqlite:
            await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7265426)")
        await connection.run_sync(_upgrade, revision)
        await guards.install(connection)


async def is_current(connection: AsyncConnection) -> bool:
    """Whether the database is at the newest revision."""
    return await connection.run_sync(_current) == head()


def _upgrade(connection: Connection, revision: str) -> None:
    from alembic import command

    made = config()
    made.attributes["connection"] = connection
    command.upgrade(made, revision)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _make_folder(url: str) -> None:
    path = url.partition("///")[2]
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)


async def compare(db: Database) -> list[str]:
    """What differs between the database's schema and our tables; empty where nothing does."""
    async with db.engine.connect() as connection:
        found = await connection.run_sync(_compare)
    return [str(one) for one in found]


async def revise(
    db: Database, message: str, revision: str, tables: frozenset[str] | None = None
) -> None:
    """Write a new migration from what our tables (or only ``tables``) have and the database has not.

    The database must be at head.
    """
    from alembic import command

    made = config()
    made.attributes["tables"] = tables
    async with db.engine.begin() as connection:

        def write(sync: Connection) -> None:
            made.attributes["connection"] = sync
            command.revision(made, message, autogenerate=True, rev_id=revision)

        await connection.run_sync(write)


def _compare(connection: Connection) -> list[object]:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    options = {"compare_type": True, "include_object": is_ours}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, metadata()))
