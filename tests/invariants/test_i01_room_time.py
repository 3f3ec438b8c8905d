"""I1 One owner of room time: no two unreleased claims of a room overlap; the database refuses it.

Whatever a service does, in whatever order: random holds, confirmations, entries, early ends, releases
and restorations, then raw SQL that goes around the services. On PostgreSQL and on SQLite.
"""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from cloud_api.claims import guard
from cloud_api.claims import service as claims
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from tests.cloud_api.factories import Shop, make_store
from tests.concurrency.races import drop_guard, overlaps, race


async def _live_a_little(db: Database, shop: Shop, clocks: Clocks, seed: int, acts: int) -> int:
    """Random acts of the claims service; returns how many holds were refused."""
    dice = random.Random(seed)
    refused = 0
    for _ in range(acts):
        async with db.write() as session:
            known = (await session.exec(select(RoomClaim).order_by(col(RoomClaim.id)))).all()
            claim = dice.choice(known) if known and dice.random() < 0.6 else None
            if claim is None:
                start = clocks.now + timedelta(minutes=30 * dice.randrange(24))
                length = timedelta(minutes=30 * dice.randrange(2, 8))
                try:
                    await claims.hold(
                        session, dice.choice(shop.rooms), None, start, start + length, clocks
                    )
                except claims.RoomTaken:
                    refused += 1
                continue
            act = dice.choice(("confirm", "enter", "release", "restore", "end"))
            if act == "confirm":
                await claims.confirm(session, claim.id)
            elif act == "enter":
                await claims.enter(session, claim.id)
            elif act == "release":
                await claims.release(session, claim.id, "test")
            elif act == "restore":
                await claims.restore(session, claim.id)
            else:
                when = claim.starts_at + timedelta(minutes=dice.randrange(-30, 400))
                await claims.end_at(session, claim, when, clocks)
    return refused


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_overlap_whatever_happens(
    db: Database, shop: Shop, clocks: Clocks, seed: int
) -> None:
    refused = await _live_a_little(db, shop, clocks, seed, acts=150)
    assert refused > 0  # the acts did collide
    assert await overlaps(db) == 0


async def test_touching_is_legal(db: Database, shop: Shop, clocks: Clocks) -> None:
    start = clocks.now + timedelta(hours=1)
    async with db.write() as session:
        first = await claims.hold(
            session, shop.room, None, start, start + timedelta(hours=1), clocks
        )
        await claims.hold(
            session,
            shop.room,
            None,
            first.block_until,
            first.block_until + timedelta(hours=1),
            clocks,
        )
    assert await overlaps(db) == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE room_claim SET block_from = (SELECT block_from FROM room_claim ORDER BY id LIMIT 1), "
        "starts_at = (SELECT starts_at FROM room_claim ORDER BY id LIMIT 1) "
        "WHERE id = (SELECT max(id) FROM room_claim)",
        "UPDATE room_claim SET state = 'held' WHERE state = 'released'",
        "UPDATE room_claim SET room_id = (SELECT room_id FROM room_claim ORDER BY id LIMIT 1)",
    ],
)
async def test_the_database_itself_refuses_what_goes_around_the_services(
    db: Database, shop: Shop, clocks: Clocks, change: str
) -> None:
    start = clocks.now + timedelta(hours=1)
    end = start + timedelta(hours=1)
    async with db.write() as session:
        first = await claims.hold(session, shop.room, None, start, end, clocks)
        await claims.release(session, first.id, "test")
        await claims.hold(session, shop.room, None, start, end, clocks)
        await claims.hold(session, shop.rooms[1], None, start, end, clocks)
        await claims.hold(
            session, shop.room, None, start + timedelta(hours=3), end + timedelta(hours=3), clocks
        )
    with pytest.raises(IntegrityError) as error:
        async with db.engine.begin() as connection:
            await connection.execute(text(change))
    assert guard.is_overlap(error.value)
    assert await overlaps(db) == 0


async def test_a_race_has_one_winner(db: Database, clocks: Clocks) -> None:
    async with db.write() as session:
        shop = await make_store(session, clocks.now, rooms=4)
    won = await race(db, shop.rooms, clocks, seed=7, clients=20)
    assert set(won.values()) == {1}
    assert await overlaps(db) == 0


async def test_control_without_the_guard_the_same_acts_overlap(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    """The negative control: what is looked for here does happen when the guard is gone."""
    await drop_guard(db)
    await _live_a_little(db, shop, clocks, seed=1, acts=60)
    assert await overlaps(db) > 0


async def test_control_a_missing_guard_is_seen(db: Database) -> None:
    async with db.engine.connect() as connection:
        assert await guard.present(connection)
    await drop_guard(db)
    async with db.engine.connect() as connection:
        assert not await guard.present(connection)
    async with db.engine.begin() as connection:
        await guard.install(connection)
    async with db.engine.connect() as connection:
        assert await guard.present(connection)
