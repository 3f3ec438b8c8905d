"""How often somebody may do something."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlmodel import select

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.kit.models import Throttle
from cloud_api.kit.throttle import TooOften, forget_old, hit


async def test_the_limit_holds_until_the_window_is_over(db: Database, clocks: Clocks, wire):
    async def one() -> None:
        async with db.write() as session:
            await hit(session, "code:13800000000", 3, 60, clocks.real)

    for _ in range(3):
        await one()
    wire.pass_time(20)
    with pytest.raises(TooOften) as caught:
        await one()
    assert caught.value.status == 429
    assert caught.value.extra == {"retry_after": 40}
    wire.pass_time(39.999)
    with pytest.raises(TooOften):
        await one()
    wire.pass_time(0.001)
    await one()


async def test_the_second_window_has_a_limit_too(db: Database, clocks: Clocks, wire):
    """Bug: on SQLite each limit held for one window and never again.

    The start of the second window was written in another form ("2026-11-23 04:…" for "2026-11-23T04:…Z"),
    which sorts before every instant of its day, so each further try began a window of its own. After
    the first quarter of an hour login codes could be tried without end, and doors tapped likewise.
    """

    async def one() -> None:
        async with db.write() as session:
            await hit(session, "login-phone:13800000000", 3, 60, clocks.real)

    for _ in range(3):  # windows
        for _ in range(3):
            await one()
        wire.pass_time(1)
        with pytest.raises(TooOften) as caught:
            await one()
        assert caught.value.extra == {"retry_after": 59}
        wire.pass_time(60)


async def test_nobody_counts_past_another(db: Database, clocks: Clocks):
    """Forty at once, limit ten: exactly ten pass, on both engines."""

    async def one() -> bool:
        try:
            async with db.write() as session:
                await hit(session, "unlock:x", 10, 60, clocks.real)
        except TooOften:
            return False
        return True

    passed = await asyncio.gather(*(one() for _ in range(40)))
    assert sum(passed) == 10


async def test_what_is_stored_names_nobody(db: Database, clocks: Clocks):
    async with db.write() as session:
        await hit(session, "code:+8613800000000", 3, 60, clocks.real)
    async with db.read() as session:
        row = (await session.exec(select(Throttle))).one()
    assert row.key.startswith("code:")
    assert "138" not in row.key.removeprefix("code:")[:3] or len(row.key) > 30
    assert "13800000000" not in row.key


async def test_old_counts_are_forgotten(db: Database, clocks: Clocks):
    async with db.write() as session:
        await hit(session, "a:b", 3, 60, clocks.real)
        await forget_old(session, clocks.real + timedelta(days=3))
    async with db.read() as session:
        assert (await session.exec(select(Throttle))).all() == []
