"""A room's mode in the cloud: who may, for how long, what it takes of the room's time, and its end."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx
import pytest
from sqlmodel import col, select

from cloud_api.audit.models import AuditEntry
from cloud_api.claims import jobs, modes
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.errors import Forbidden, KaimenError
from cloud_api.kit.models import OutboxRow
from cloud_api.staff.service import actor_of
from cloud_api.stores.models import Room
from store_link.clock import ManualClock
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
)


@pytest.fixture
async def owner(db: Database, shop: Shop, now: datetime) -> Staff:
    async with db.write() as session:
        return actor_of(await make_staff(session, shop, now))


async def put(
    db: Database, who: Staff, shop: Shop, mode: str, clocks: Clocks, for_s: int | None = None
) -> Room:
    async with db.write() as session:
        return await modes.set_mode(
            session, who, shop.room.id, mode=mode, for_s=for_s, why="试一下", clocks=clocks
        )


async def taken(db: Database) -> list[tuple[datetime, datetime]]:
    async with db.read() as session:
        query = select(RoomClaim).where(
            col(RoomClaim.kind) == "maintenance", col(RoomClaim.state) != "released"
        )
        return [(one.starts_at, one.ends_at) for one in (await session.exec(query)).all()]


async def test_maintenance_takes_the_room_up_to_the_next_booking(
    db: Database, shop: Shop, now: datetime, clocks: Clocks, owner: Staff
) -> None:
    """Who has booked keeps it and is named; nobody new can book; back to normal frees the time."""
    hour = timedelta(hours=1)
    async with db.write() as session:
        guest = await make_customer(session, now)
        order = await make_order(session, shop, guest, now + 5 * hour, now=now)
    room = await put(db, owner, shop, "maintenance", clocks)
    assert (room.mode, room.mode_until) == ("maintenance", None)
    assert await taken(db) == [(now, now + 5 * hour)]
    async with db.read() as session:
        assert await modes.booked_under(session, room, clocks) == [order.starts_at]
        entry = (await session.exec(select(AuditEntry))).one()
        assert (entry.action, entry.why) == ("room.mode", "试一下")
        assert entry.before is not None
        assert (entry.before["mode"], entry.after["mode"]) == ("normal", "maintenance")  # type: ignore[index]
        topics = {row.topic for row in (await session.exec(select(OutboxRow))).all()}
        assert "desired" in topics
    await put(db, owner, shop, "normal", clocks)
    assert await taken(db) == []


async def test_a_mode_ends_by_its_time_and_one_set_anew_does_not_end_with_the_old(
    cloud: Cloud,
    db: Database,
    shop: Shop,
    clocks: Clocks,
    business: ManualClock,
    owner: Staff,
) -> None:
    assert jobs.mode_over is not None  # its import is what registers the handler
    await put(db, owner, shop, "open", clocks, 600)
    business.pass_time(300)
    await put(db, owner, shop, "open", clocks, 600)
    business.pass_time(301)
    await run_due(cloud)
    async with db.read() as session:
        assert (await session.get_one(Room, shop.room.id)).mode == "open"
    business.pass_time(300)
    await run_due(cloud)
    async with db.read() as session:
        room = await session.get_one(Room, shop.room.id)
        assert (room.mode, room.mode_until) == ("normal", None)
        last = (
            await session.exec(select(AuditEntry).order_by(col(AuditEntry.seq).desc()).limit(1))
        ).one()
        assert (last.by, last.action) == ("system", "room.mode")


async def test_defaults_caps_reasons_and_permission(
    db: Database, shop: Shop, now: datetime, clocks: Clocks, owner: Staff
) -> None:
    room = await put(db, owner, shop, "cleaning", clocks)
    assert room.mode_until == now + timedelta(hours=1)
    for mode, for_s, why, code in (
        ("open", 13 * 3600, "开放日", "room.mode_too_long"),
        ("open", None, " ", "why.missing"),
        ("disco", None, "开放日", "room.bad_mode"),
    ):
        async with db.write() as session:
            with pytest.raises(KaimenError) as caught:
                await modes.set_mode(
                    session, owner, shop.room.id, mode=mode, for_s=for_s, why=why, clocks=clocks
                )
        assert caught.value.code == code
    async with db.write() as session:
        cleaner = actor_of(await make_staff(session, shop, now, role="cleaner"))
    with pytest.raises(Forbidden):
        await put(db, cleaner, shop, "normal", clocks)


async def test_the_route_and_the_door_of_an_open_room(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime
) -> None:
    """Anybody who is logged in may ask the door of an open room, and no other door."""
    async with db.write() as session:
        member = await make_staff(session, shop, now)
        headers = bearer(await make_login(session, member.account_id, now))
        guest = await make_customer(session, now)
        theirs = bearer(await make_login(session, guest.id, now))
    path = f"/api/v1/console/rooms/{shop.room.id}/mode"
    told = await client.post(path, json={"mode": "open", "why": "开放日"}, headers=headers)
    assert told.status_code == 200, told.text
    assert (told.json()["mode"], told.json()["booked"]) == ("open", [])
    view = (await client.get(f"/api/v1/doors/{shop.door.token}", headers=theirs)).json()
    assert (view["case"], view["can_unlock"]) == ("open", True)
    other = (await client.get(f"/api/v1/doors/{shop.doors[1].token}", headers=theirs)).json()
    assert other["can_unlock"] is False
    stranger = (await client.get(f"/api/v1/doors/{shop.door.token}")).json()
    assert stranger["can_unlock"] is False
