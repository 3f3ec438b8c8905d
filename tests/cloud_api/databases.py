"""A fresh database per test in milliseconds: the schema is made once, then copied."""

from __future__ import annotations

import asyncio
import concurrent.futures
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

import asyncpg

from cloud_api.kit.database import Database
from cloud_api.migrations import guards
from cloud_api.migrations.tables import metadata
from tests.support.postgres import Admin, Server


def make_schema(url: str) -> None:
    """All tables and the guards in the empty database at ``url``, whatever loop is running."""

    async def make() -> None:
        database = Database(url)
        async with database.engine.begin() as connection:
            await connection.run_sync(metadata().create_all)
            await guards.install(connection)
        await database.close()

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, make()).result()


@cache
def _schema() -> bytes:
    """A SQLite file that has the schema, made once in this process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        make_schema(f"sqlite+aiosqlite:///{path}")
        return path.read_bytes()


def new_sqlite(path: Path) -> str:
    """Writes a SQLite file that has the schema; its URL."""
    path.write_bytes(_schema())
    return f"sqlite+aiosqlite:///{path}"


class SqliteTemplates:
    """Copies of one SQLite file that has the schema."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a new database with the schema; deleted afterwards."""
        path = self.folder / f"{uuid4().hex}.db"
        try:
            yield new_sqlite(path)
        finally:
            for file in self.folder.glob(f"{path.name}*"):
                file.unlink()


class PostgresTemplates:
    """Databases made from a template database that has the schema.

    Copying 1,500 files costs half a second and more on a busy machine, so one that a test leaves with the
    schema it got is emptied, renamed (whoever still knows it finds it no more) and given out again.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._admin = Admin(server)
        self.template = f"km_{uuid4().hex[:12]}"
        make_schema(server.create_database(self.template))
        self._shape = server.run(self.template, _shape)
        self.spare: list[str] = []

    @contextmanager
    def fresh(self, template: str | None = None) -> Iterator[str]:
        """The URL of a new database with the schema (or a copy of ``template``); gone afterwards."""
        name = f"km_{uuid4().hex[:12]}"
        if template is None and self.spare:
            self._admin.execute(f'ALTER DATABASE "{self.spare.pop()}" RENAME TO "{name}"')
        else:
            self.server.create_database(name, template or self.template)
        try:
            yield self.server.url(name)
        finally:
            if template is None and self._emptied(name):
                self.spare.append(name)
            else:
                self.server.drop_database(name)

    def _emptied(self, name: str) -> bool:
        """Whether the database is as the template again; then nobody is connected to it."""
        found = self._admin.execute(f"SELECT FROM pg_database WHERE datname = '{name}'")
        if found != "SELECT 1":
            return False
        try:
            return self.server.run(name, self._empty)
        except (asyncpg.PostgresError, OSError):  # somebody holds a lock: away with it
            return False

    async def _empty(self, connection: asyncpg.Connection) -> bool:
        await connection.execute("SET lock_timeout = '2s'")
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        await connection.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
        )
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        if size > LARGE or await _shape(connection) != self._shape:
            return False
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")  # no guards
            await connection.execute(_EMPTY)
            await connection.execute(_REWIND)
        left = f"SELECT count(*) FROM pg_stat_activity WHERE {others}"
        return int(await connection.fetchval(left)) == 0

    def close(self) -> None:
        """Drop the template, and what was kept for the next test."""
        for name in (*self.spare, self.template):
            self.server.drop_database(name)
        self._admin.close()


LARGE = 40_000_000  # bytes; an empty one has 15 MB

# A table nobody wrote to has no page at all: to ask each for a row would cost more than to empty the rest.
_EMPTY = """
DO $$
DECLARE name text;
BEGIN
  FOR name IN
    SELECT relname FROM pg_class
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
  LOOP
    EXECUTE format('DELETE FROM %I', name);
  END LOOP;
END $$
"""
_REWIND = "SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence"
_SHAPE = """
SELECT concat(count(*), ' ', sum(hashtextextended(part, 0))) FROM (
  SELECT concat_ws(' ', 'class', oid, relname, relkind) FROM pg_class
   WHERE relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', 'column', attrelid, attname, atttypid, attnotnull, atthasdef, attisdropped)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
   WHERE relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', 'constraint', oid, conname) FROM pg_constraint
  UNION ALL
  SELECT concat_ws(' ', 'trigger', oid, tgname, tgenabled) FROM pg_trigger
  UNION ALL
  SELECT concat_ws(' ', 'function', oid, md5(prosrc)) FROM pg_proc
   WHERE pronamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', 'schema', nspname) FROM pg_namespace WHERE nspname !~ '^pg_'
  UNION ALL
  SELECT concat_ws(' ', 'extension', extname) FROM pg_extension
) AS parts(part)
"""


async def _shape(connection: asyncpg.Connection) -> str:
    """One word for the whole schema: copies share the numbers of their template's objects."""
    return str(await connection.fetchval(_SHAPE))
