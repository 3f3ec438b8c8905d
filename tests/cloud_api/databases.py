"""A fresh database per test in milliseconds: the schema is made once, then copied."""

from __future__ import annotations

import asyncio
import concurrent.futures
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from cloud_api.kit.database import Database
from cloud_api.migrations import guards
from cloud_api.migrations.tables import metadata
from tests.support.postgres import Server


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


class SqliteTemplates:
    """Copies of one SQLite file that has the schema."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.template = folder / "template.db"
        make_schema(f"sqlite+aiosqlite:///{self.template}")

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a new database with the schema; deleted afterwards."""
        path = self.folder / f"{uuid4().hex}.db"
        shutil.copyfile(self.template, path)
        try:
            yield f"sqlite+aiosqlite:///{path}"
        finally:
            for file in self.folder.glob(f"{path.name}*"):
                file.unlink()


class PostgresTemplates:
    """Databases made from a template database that has the schema."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.template = f"km_{uuid4().hex[:12]}"
        make_schema(server.create_database(self.template))

    @contextmanager
    def fresh(self, template: str | None = None) -> Iterator[str]:
        """The URL of a new database with the schema (or a copy of ``template``); dropped afterwards."""
        name = f"km_{uuid4().hex[:12]}"
        url = self.server.create_database(name, template or self.template)
        try:
            yield url
        finally:
            self.server.drop_database(name)

    def close(self) -> None:
        """Drop the template."""
        self.server.drop_database(self.template)
