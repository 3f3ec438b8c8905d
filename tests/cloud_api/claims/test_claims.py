"""Holding room time: what the refusal says, what restoring may do, what a day looks like."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cloud_api.claims import service as claims
from cloud_api.claims.models import RoomClaim
from cloud_api.claims.spans import spans
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from tests.cloud_api.factories import Shop, make_store

HOUR = timedelta(hours=1)


async def _hold(
    db: Database, shop: Shop, clocks: Clocks, in_h: float, hours: float = 2, room: int = 0
) -> RoomClaim:
    start = clocks.now + in_h * HOUR
    async with db.write() as session:
        return await claims.hold(
            session, shop.rooms[room], None, start, start + hours * HOUR, clocks
        )


async def test_a_refusal_spoils_nothing_else_in_its_transaction(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    await _hold(db, shop, clocks, 1)
    start = clocks.now + HOUR
    async with db.write() as session:
        with pytest.raises(claims.RoomTaken):
            await claims.hold(session, shop.room, None, start, start + HOUR, clocks)
        other = await claims.hold(session, shop.rooms[1], None, start, start + HOUR, clocks)
    async with db.read() as session:
        assert (await claims.get(session, other.id)).state == "held"


async def test_the_refusal_offers_what_there_is(db: Database, shop: Shop, clocks: Clocks) -> None:
    await _hold(db, shop, clocks, 4, 2)  # 16:00–18:00 and 15 minutes of cleaning
    await _hold(db, shop, clocks, 7, 1)  # 19:00–20:00
    await _hold(db, shop, clocks, 4, 4, room=1)
    with pytest.raises(claims.RoomTaken) as taken:
        await _hold(db, shop, clocks, 2, 3)
    nearest = taken.value.extra.pop("nearest")
    assert nearest[0]["room"] == "听雨"
    assert nearest[0]["starts_at"] == "2026-11-23T06:00:00Z"  # the hours that were asked for
    assert taken.value.extra == {
        "free_until": "2026-11-23T07:45:00Z",
        "next_free": "2026-11-23T12:30:00Z",  # before it there is no gap of three hours
        "other_rooms": [{"id": shop.rooms[2].id, "name": "听雨"}],
    }


async def test_a_stretch_too_short_to_sell_is_not_offered(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    await _hold(db, shop, clocks, 3, 2)
    with pytest.raises(claims.RoomTaken) as taken:
        await _hold(db, shop, clocks, 2, 2)
    assert taken.value.extra["free_until"] is None  # 45 minutes; the store sells an hour or more


async def test_restoring_is_for_what_nobody_has_taken(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    claim = await _hold(db, shop, clocks, 1)
    async with db.write() as session:
        assert await claims.release(session, claim.id, "test")
        assert not await claims.release(session, claim.id, "again")
        assert await claims.restore(session, claim.id)
        assert not await claims.restore(session, claim.id)
        assert (await claims.get(session, claim.id)).state == "confirmed"
        await claims.release(session, claim.id, "test")
    taker = await _hold(db, shop, clocks, 2)
    async with db.write() as session:
        assert not await claims.restore(session, claim.id)
        assert (await claims.get(session, taker.id)).state == "held"


async def test_a_stay_that_ended_is_not_restored(db: Database, shop: Shop, clocks: Clocks) -> None:
    claim = await _hold(db, shop, clocks, 1)
    async with db.write() as session:
        await claims.end_at(session, claim, clocks.now + 2 * HOUR, clocks)
        assert not await claims.restore(session, claim.id)


async def test_states_go_one_way(db: Database, shop: Shop, clocks: Clocks) -> None:
    claim = await _hold(db, shop, clocks, 1)
    async with db.write() as session:
        assert not await claims.enter(session, claim.id)
        assert await claims.confirm(session, claim.id)
        assert not await claims.confirm(session, claim.id)
        assert await claims.enter(session, claim.id)
        assert not await claims.enter(session, claim.id)


async def test_an_end_before_the_start_leaves_a_valid_claim(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    """A guest who came in the lead time and left at once: the claim ends a second after its start."""
    claim = await _hold(db, shop, clocks, 1)
    async with db.write() as session:
        assert await claims.end_at(session, claim, claim.starts_at - HOUR / 6, clocks)
        ended = await claims.get(session, claim.id)
    assert (ended.state, ended.ends_at - ended.starts_at) == ("released", timedelta(seconds=1))
    await _hold(db, shop, clocks, 1.25)


async def test_a_day_with_opening_hours_over_midnight(db: Database, clocks: Clocks) -> None:
    async with db.write() as session:
        shop = await make_store(session, clocks.now, opens="10:00", closes="02:00")
    zone = ZoneInfo(shop.store.tz)
    day = datetime(2026, 11, 24, tzinfo=zone)
    await _hold(db, shop, clocks, 24)  # 12:00–14:00 on the 24th
    async with db.read() as session:
        found = await spans(session, shop.store, shop.rooms, day, day + 24 * HOUR)
    assert [
        (s.starts_at.astimezone(zone).strftime("%H:%M"), s.state) for s in found[shop.room.id]
    ] == [
        ("00:00", "free"),
        ("02:00", "closed"),
        ("10:00", "free"),
        ("12:00", "held"),
        ("14:00", "cleaning"),
        ("14:15", "free"),
    ]
    assert [s.state for s in found[shop.rooms[1].id]] == ["free", "closed", "free"]


async def test_a_room_in_maintenance_is_closed_all_day(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    shop.room.mode = "maintenance"
    async with db.read() as session:
        found = await spans(session, shop.store, shop.rooms, clocks.now, clocks.now + 24 * HOUR)
    assert [s.state for s in found[shop.room.id]] == ["closed"]
