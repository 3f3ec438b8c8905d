"""What ``read()`` may do, and what becomes of a connection that the server closed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import col, select, update

from cloud_api.kit import database
from cloud_api.kit.database import Database
from cloud_api.kit.models import Throttle


async def test_a_reader_writes_nothing(db: Database, now):
    async with db.write() as session:
        session.add(Throttle(key="a", window_start=now, count=1))
    async with db.read() as session:
        row = (await session.exec(select(Throttle))).one()
        row.count = 7
        with pytest.raises(RuntimeError, match="for reading"):
            await session.exec(update(Throttle).where(col(Throttle.key) == "a").values(count=7))
        with pytest.raises(RuntimeError, match="for reading"):
            await session.flush()
    async with db.read() as session:
        assert (await session.exec(select(Throttle))).one().count == 1


async def test_a_reader_leaves_no_autocommit_behind(pg_url: str):
    """Readers and writers share connections: a write after a read is a transaction again."""
    db = Database(pg_url, pool_size=1)
    async with db.write() as session:
        await session.execute(text("CREATE TABLE kept (n integer)"))
    async with db.read() as session:
        reading = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  the transaction around it is the point
        async with db.write() as session:
            assert (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one() == reading
            await session.execute(text("INSERT INTO kept VALUES (1)"))
            raise ZeroDivisionError
    async with db.read() as session:
        assert (await session.execute(text("SELECT n FROM kept"))).all() == []
    await db.close()


async def test_connections_that_the_server_closed_are_not_used_again(pg_url: str):
    """A restart of the server: every one of the pool is gone, and the next callers do not notice."""
    db, other = Database(pg_url), Database(pg_url)
    met = asyncio.Barrier(3)

    async def pid(wait: bool) -> tuple[int, Any]:
        async with db.write() as session:
            found = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            if wait:
                await met.wait()
            raw = await (await session.connection()).get_raw_connection()
            return int(found), raw.driver_connection

    before = await asyncio.gather(*(pid(True) for _ in range(3)))
    async with other.write() as session:
        for one, _ in before:
            await session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": one})
    await other.close()
    async with asyncio.timeout(30):  # the server's goodbye is on its way
        while not all(connection.is_closed() for _, connection in before):
            await asyncio.sleep(0.01)
    after = await asyncio.gather(*(pid(True) for _ in range(3)))
    assert not {one for one, _ in after} & {one for one, _ in before}
    await db.close()


async def test_a_connection_that_rested_is_asked_whether_it_still_stands(
    pg_url: str, monkeypatch: pytest.MonkeyPatch
):
    """An end that nobody told of: a firewall forgot the connection."""
    db = Database(pg_url, pool_size=1)

    async def pid() -> int:
        async with db.read() as session:
            return int((await session.execute(text("SELECT pg_backend_pid()"))).scalar_one())

    def silent(_connection: Any) -> bool:
        raise db.engine.dialect.loaded_dbapi.OperationalError("no answer")

    first = await pid()
    monkeypatch.setattr(db.engine.sync_engine.dialect, "do_ping", silent)
    assert await pid() == first  # it rested for a moment only
    monkeypatch.setattr(database, "PROBE_AFTER_S", 0.0)
    assert await pid() != first
    await db.close()
