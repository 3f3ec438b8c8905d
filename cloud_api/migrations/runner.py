"""Bringing a database to the present schema, and asking whether it is there."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud_api.kit.database import Database
from cloud_api.kit.errors import KaimenError
from cloud_api.migrations import guards
from cloud_api.migrations.tables import is_ours, metadata

if TYPE_CHECKING:
    # Alembic takes a quarter of a second to load. Whoever migrates loads it, inside the functions
    # below; each process that serves or works only asks whether the database is at the head.
    from alembic.config import Config

log = structlog.get_logger(__name__)

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
    followed = {name for kind, name in _stated() if kind == "down_revision"}
    (newest,) = _known() - followed
    return newest


@cache
def _stated() -> tuple[tuple[str, str], ...]:
    return tuple(
        found
        for path in (FOLDER / "versions").glob("*.py")
        for found in _STATED.findall(path.read_text())
    )


def _known() -> set[str]:
    return {name for kind, name in _stated() if kind == "revision"}


class Standing(StrEnum):
    """How a database's schema stands to this program."""

    CURRENT = "current"
    BEHIND = "behind"  # also one that was never migrated
    NEWER = "newer"  # a release that this program does not know has migrated it


async def upgrade(db: Database, revision: str = "head") -> None:
    """Bring the database to ``revision`` and put up the guards, in one transaction: all of it or nothing.

    Raises SchemaNewer for a database of a later release.

    Two processes that start together queue: on PostgreSQL by an advisory lock, on SQLite by its
    one writer.
    """
    if db.is_sqlite:
        _make_folder(db.url)
    async with db.engine.begin() as connection:
        if not db.is_sqlite:
            await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7265426)")
        if await standing(connection) is Standing.NEWER:
            raise SchemaNewer
        await connection.run_sync(_upgrade, revision)
        await guards.install(connection)


async def standing(connection: AsyncConnection) -> Standing:
    """Whether the database is where this program expects it."""
    found = await connection.run_sync(_current)
    if found == head():
        return Standing.CURRENT
    return Standing.BEHIND if found is None or found in _known() else Standing.NEWER


async def must_fit(db: Database) -> None:
    """For who is about to serve or to work: raises SchemaBehind where tables are missing that it needs.

    A newer one fits (what a release adds leaves the release before at work), so that a process which
    falls over in the middle of an upgrade comes back, and a release may be taken back. A database that does
    not answer says nothing: who serves waits for it.
    """
    try:
        async with db.engine.connect() as connection:
            found = await standing(connection)
    except (SQLAlchemyError, OSError) as error:
        log.warning("schema_not_seen", why=type(error).__name__)
        return
    if found is Standing.BEHIND:
        raise SchemaBehind
    if found is Standing.NEWER:
        log.warning("schema_newer", what_to_do="finish the upgrade: start this release no more")


class SchemaBehind(KaimenError):
    """The database was not brought up to this release."""

    def __init__(self) -> None:
        super().__init__(
            "schema.behind",
            "schema.behind: the database is not at this release: run kaimen-cloud migrate, then start again",
            status=503,
        )


class SchemaNewer(KaimenError):
    """There is nothing to bring up: the program is the older one."""

    def __init__(self) -> None:
        super().__init__(
            "schema.newer",
            "schema.newer: a later release has migrated this database: update the program. "
            "Nothing was changed",
            status=409,
        )


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
