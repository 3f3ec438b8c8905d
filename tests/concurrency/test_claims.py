"""Many clients, few rooms: one winner each, on both databases; and many without the guard."""

from __future__ import annotations

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from tests.cloud_api.factories import make_store
from tests.concurrency.races import ROOMS, drop_guard, overlaps, race


async def test_one_winner_per_room(db: Database, clocks: Clocks) -> None:
    async with db.write() as session:
        shop = await make_store(session, clocks.now, rooms=ROOMS)
    won = await race(db, shop.rooms, clocks, seed=1)
    assert dict(won) == {room.id: 1 for room in shop.rooms}
    assert await overlaps(db) == 0


async def test_without_the_guard_there_are_many_winners(db: Database, clocks: Clocks) -> None:
    """The negative control: this race does find a missing guard."""
    async with db.write() as session:
        shop = await make_store(session, clocks.now, rooms=2)
    await drop_guard(db)
    won = await race(db, shop.rooms, clocks, seed=1, clients=8)
    assert min(won.values()) > 1
    assert await overlaps(db) > 0
