"""The migrations make exactly our tables, on both engines, and the overlap guard stands afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from cloud_api.claims import guard
from cloud_api.kit.database import Database
from cloud_api.migrations import runner


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/deep/er/empty.db"
    else:
        templates = request.getfixturevalue("postgres_templates")
        with templates.fresh("template0") as url:
            yield url


async def test_migrations_make_our_tables(empty_url: str):
    db = Database(empty_url)
    await runner.upgrade(db)
    assert await runner.compare(db) == []
    async with db.read() as session:
        connection = await session.connection()
        assert await runner.is_current(connection)
        assert await guard.present(connection)
    await db.close()


def test_the_head_is_read_as_alembic_reads_it():
    """It is read from the files, because loading Alembic costs each process a quarter of a second."""
    runner.head.cache_clear()
    assert ScriptDirectory.from_config(runner.config()).get_heads() == [runner.head()]


async def test_a_database_that_is_empty_or_behind_is_not_current(empty_url: str):
    if empty_url.startswith("sqlite"):
        Path(empty_url.partition("///")[2]).parent.mkdir(parents=True)
    db = Database(empty_url)
    async with db.read() as session:
        assert not await runner.is_current(await session.connection())
    await runner.upgrade(db)
    async with db.write() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    async with db.read() as session:
        assert not await runner.is_current(await session.connection())
    await db.close()


async def test_cursors_have_room_where_they_stand(postgres_templates):
    """No comparison of columns sees it: rows that are always written again would tell each index."""
    found = []
    for template in ("template0", None):
        with postgres_templates.fresh(*filter(None, (template,))) as url:
            db = Database(url)
            if template is not None:
                await runner.upgrade(db)
            async with db.read() as session:
                query = text("SELECT reloptions FROM pg_class WHERE relname = 'event_cursor'")
                found.append((await session.execute(query)).scalar_one())
            await db.close()
    assert found == [["fillfactor=50"]] * 2


async def test_a_missing_column_is_seen(empty_url: str):
    """Negative control: the comparison can fail."""
    db = Database(empty_url)
    await runner.upgrade(db)
    async with db.write() as session:
        await session.execute(text("ALTER TABLE room DROP COLUMN style"))
    assert any("style" in line for line in await runner.compare(db))
    await db.close()


async def test_two_processes_may_migrate_at_once(empty_url: str):
    first, second = Database(empty_url), Database(empty_url)
    await asyncio.gather(runner.upgrade(first), runner.upgrade(second))
    await runner.upgrade(first)
    assert await runner.compare(first) == []
    await first.close()
    await second.close()


async def test_the_guard_is_put_back_if_somebody_dropped_it(empty_url: str):
    """Alembic's batch mode on SQLite drops triggers without a word; the next upgrade mends it."""
    db = Database(empty_url)
    await runner.upgrade(db)
    async with db.write() as session:
        if db.is_sqlite:
            await session.execute(text("DROP TRIGGER room_claim_no_overlap_insert"))
        else:
            await session.execute(
                text(f"ALTER TABLE room_claim DROP CONSTRAINT {guard.CONSTRAINT}")
            )
        assert not await guard.present(await session.connection())
    await runner.upgrade(db)
    async with db.read() as session:
        assert await guard.present(await session.connection())
    await db.close()
