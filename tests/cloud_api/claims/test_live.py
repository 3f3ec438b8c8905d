"""What every room is now, and a store's month: each one call, whose cost does not grow with the rooms."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from cloud_api.claims.models import RoomClaim
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from store_link.clock import ManualClock
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
    make_store,
    reported,
)
from tests.support.statements import statements

HOUR = timedelta(hours=1)


@pytest.fixture
async def headers(db: Database, shop: Shop, now: datetime) -> dict[str, str]:
    async with db.write() as session:
        member = await make_staff(session, shop, now)
        return bearer(await make_login(session, member.account_id, now))


def iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


async def live(client: httpx.AsyncClient, shop: Shop, headers: dict[str, str]) -> dict[str, Any]:
    answer = await client.get(f"/api/v1/console/stores/{shop.store.id}/live", headers=headers)
    assert answer.status_code == 200, answer.text
    return {room["name"]: room for room in answer.json()["rooms"]}


async def test_every_state_of_a_room_and_when_it_is_free(
    client: httpx.AsyncClient,
    db: Database,
    shop: Shop,
    headers: dict[str, str],
    now: datetime,
    business: ManualClock,
):
    bamboo, plum, rain = shop.rooms
    assert shop.status is not None
    async with db.write() as session:
        account = await make_customer(session, now)
        inside = await make_order(
            session, shop, account, now - HOUR, now=now, status="in_use", minutes=90
        )
        await make_order(
            session, shop, account, now + HOUR / 2, now=now, room=plum, status="pending_payment"
        )
        rain.mode = "maintenance"
        session.add(rain)
    rooms = await live(client, shop, headers)
    assert {n: r["state"] for n, r in rooms.items()} == {
        "竹间": "in_use", "梅间": "held", "听雨": "maintenance",
    }  # fmt: skip
    assert rooms["竹间"]["order_id"] == inside.id
    assert rooms["竹间"]["until"] == iso(inside.ends_at)
    assert rooms["竹间"]["next_free_at"] == iso(inside.ends_at + timedelta(minutes=15))
    assert rooms["听雨"]["next_free_at"] is None
    public = (await client.get(f"/api/v1/stores/{shop.store.id}/live")).json()
    # What is only free for half an hour, and what somebody is paying for, is booked to others.
    assert [r["state"] for r in public["rooms"]] == ["in_use", "booked", "maintenance"]
    assert "order" not in str(public)
    assert account.id not in str(public)

    business.pass_time(35 * 60)  # five minutes into grace
    assert (await live(client, shop, headers))["竹间"]["state"] == "grace"
    business.pass_time(10 * 60)
    over = (await live(client, shop, headers))["竹间"]
    assert (over["state"], over["until"], over["next_free_at"]) == ("overtime", None, None)
    async with db.write() as session:
        stay = {"id": inside.claim_id, "room": bamboo.id, "state": "grace"}
        shop.status.reported = reported(shop, now, stays=[stay])
        session.add(shop.status)
    assert (await live(client, shop, headers))["竹间"]["state"] == "grace"  # the store knows better
    async with db.write() as session:
        claim = await session.get_one(RoomClaim, inside.claim_id)
        claim.state, claim.released_why = "released", "ended"
        claim.block_until = claim.ends_at
        session.add(claim)
        shop.status.online = False
        session.add(shop.status)
        session.add(
            RoomClaim(
                merchant_id=shop.merchant.id, store_id=shop.store.id, room_id=bamboo.id,
                kind="cleaning", state="confirmed", starts_at=now + HOUR / 2, ends_at=now + HOUR,
                block_from=now + HOUR / 2, block_until=now + HOUR, created_at=now,
            )
        )  # fmt: skip
    gone = (await live(client, shop, headers))["竹间"]
    assert (gone["state"], gone["by_clock"]) == ("offline", "cleaning")
    assert gone["next_free_at"] == iso(now + HOUR)
    assert (await client.get(f"/api/v1/stores/{shop.store.id}/live")).json()["online"] is False


async def test_a_month_tells_what_is_left_of_each_day(
    client: httpx.AsyncClient, db: Database, now: datetime
):
    async with db.write() as session:
        shop = await make_store(
            session, now, rooms=2, opens="10:00", closes="22:00", advance_days=10,
            days={"2026-11-26": {"name": "店庆", "hours": [], "as": ""}},
        )  # fmt: skip
        member = await make_staff(session, shop, now)
        headers = bearer(await make_login(session, member.account_id, now))
        account = await make_customer(session, now)
        ten = datetime(2026, 11, 25, 2, tzinfo=UTC)  # 10:00 in Shanghai
        for room in shop.rooms:
            await make_order(session, shop, account, ten, now=now, room=room, minutes=720)
        await make_order(session, shop, account, ten + 48 * HOUR, now=now, minutes=120)
    path = f"stores/{shop.store.id}/calendar"
    told = (await client.get(f"/api/v1/{path}", params={"month": "2026-11"})).json()
    days = {one["day"]: one for one in told["days"]}
    assert len(days) == 30
    states = [days[f"2026-11-{d}"]["state"] for d in (22, 23, 24, 25, 26, 27)]
    assert states == ["past", "free", "free", "full", "closed", "free"]
    assert days["2026-11-26"]["name"] == "店庆"
    assert [r["state"] for r in days["2026-11-27"]["rooms"]] == ["some", "free"]
    assert (days["2026-11-25"]["rooms_free"], days["2026-11-27"]["rooms_free"]) == (0, 2)
    assert account.id not in str(told)
    far = (await client.get(f"/api/v1/{path}", params={"month": "2026-12"})).json()
    assert [d["state"] for d in far["days"]][2:4] == ["free", "far"]
    staff = (await client.get(f"/api/v1/console/{path}", headers=headers)).json()
    assert staff["month"] == "2026-11"
    full, some = staff["days"][24], staff["days"][26]
    assert (full["bookings"], full["taken_minutes"], full["open_minutes"]) == (2, 1440, 1440)
    assert [r["taken_minutes"] for r in some["rooms"]] == [120, 0]
    assert date.fromisoformat(full["day"]) == date(2026, 11, 25)
    bad = await client.get(f"/api/v1/{path}", params={"month": "2026-13"})
    assert (bad.status_code, bad.json()["code"]) == (422, "invalid")


async def test_fifty_rooms_cost_as_many_statements_as_one(
    client: httpx.AsyncClient, db: Database, now: datetime
):
    """The day, the month and the live state ask for claims once, however many rooms there are."""
    async with db.write() as session:
        one = await make_store(session, now, rooms=1)
        many = await make_store(session, now, rooms=50)
        for n, room in enumerate(many.rooms):
            starts = now + timedelta(hours=n % 20)
            session.add(
                RoomClaim(
                    id=new_id(), merchant_id=many.merchant.id, store_id=many.store.id,
                    room_id=room.id, starts_at=starts, ends_at=starts + HOUR, block_from=starts,
                    block_until=starts + HOUR, state="confirmed", created_at=now,
                )
            )  # fmt: skip

    async def told(store: str, what: str) -> list[str]:
        with statements(db) as sent:
            answer = await client.get(f"/api/v1/stores/{store}/{what}")
        assert answer.status_code == 200, answer.text
        return sent

    for what in ("availability", "calendar", "live"):
        few, lots = await told(one.store.id, what), await told(many.store.id, what)
        assert len(few) == len(lots), what
        assert sum("FROM room_claim" in statement for statement in lots) == 1, what
