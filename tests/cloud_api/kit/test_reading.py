"""What ``read()`` may do, and what becomes of a connection that the server closed."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlmodel import col, select, update

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


async def test_a_connection_that_the_server_closed_is_not_used_again(db: Database):
    if db.is_sqlite:
        return  # a file closes nothing
    async with db.write() as session:
        pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    other = Database(db.url)
    async with other.write() as session:
        await session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    await other.close()
    await asyncio.sleep(0.2)  # the server's goodbye is on its way
    async with db.write() as session:
        assert (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one() != pid
