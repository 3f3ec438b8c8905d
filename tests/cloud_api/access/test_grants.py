"""Grants, PINs and passes: who gets one, how many, and what it opens."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select, update

from cloud_api.access.grants import ensure_grant, revoke
from cloud_api.access.models import Grant
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.due_jobs import run_due, schedule
from cloud_api.kit.keys import keys_of
from cloud_api.kit.models import OutboxRow
from cloud_api.orders.models import Order
from cloud_api.orders.money import GRANT, REVOKE
from store_link.messages import ClockQuality
from store_link.passes import PassError, verify
from store_link.signing import PublicKeyRing
from tests.cloud_api.access.conftest import Guest
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
)


async def test_a_paid_order_gets_one_grant_however_often(
    db: Database, shop: Shop, guest: Guest, clocks: Clocks, now: datetime
):
    async with db.write() as session:
        order = await make_order(session, shop, guest.account, now, now=now, grant=False)

    async def one() -> str:
        async with db.write() as session:
            again = await session.get_one(Order, order.id)
            grant = await ensure_grant(session, again, clocks)
            assert grant is not None
            return grant.id

    assert len(set(await asyncio.gather(*(one() for _ in range(8))))) == 1
    async with db.read() as session:
        grant = (await session.exec(select(Grant))).one()
        told = (await session.exec(select(OutboxRow).where(OutboxRow.topic == "desired"))).all()
    assert (grant.not_before, grant.expires_at) == (now - timedelta(minutes=15), order.ends_at)
    assert told


async def test_jobs_grant_and_revoke(
    cloud: Cloud, app, db: Database, shop: Shop, guest: Guest, now: datetime
):
    async with db.write() as session:
        order = await make_order(session, shop, guest.account, now, now=now, grant=False)
        await schedule(session, merchant_id=order.merchant_id, kind=GRANT, ref=order.id, run_at=now)
    await run_due(cloud)
    assert len((await guest.look(shop.door.token))["pin"]) == 6
    async with db.write() as session:  # a revoke that came too late for what is paid again
        await schedule(
            session, merchant_id=order.merchant_id, kind=REVOKE, ref=order.id, run_at=now
        )
    await run_due(cloud)
    assert (await guest.look(shop.door.token))["pin"]
    async with db.write() as session:
        await session.exec(update(Order).values(status="cancelled"))
        await session.exec(update(RoomClaim).values(state="released"))
        await schedule(
            session,
            merchant_id=order.merchant_id,
            kind=REVOKE,
            ref=order.id,
            run_at=now - timedelta(seconds=1),
        )
    await run_due(cloud)
    async with db.read() as session:
        assert (await session.exec(select(Grant))).one().revoked_at == now
    assert (await guest.look(shop.door.token))["case"] == "none_free"


async def test_pins_are_unique_among_live_grants(
    db: Database, shop: Shop, guest: Guest, clocks: Clocks, now: datetime, monkeypatch
):
    """With a generator that repeats itself the second booking still gets another PIN."""
    drawn = iter(["111111", "482913", "482913", "482913", "730164"])
    monkeypatch.setattr("cloud_api.access.grants.new_digits", lambda _: next(drawn))
    pins = []
    async with db.write() as session:
        for room in shop.rooms[:2]:
            order = await make_order(
                session, shop, guest.account, now, now=now, room=room, grant=False
            )
            grant = await ensure_grant(session, order, clocks)
            assert grant is not None
            pins.append(grant.pin)
    assert pins == ["482913", "730164"]


async def test_a_revoked_grant_of_a_living_order_comes_back_with_another_pin(
    db: Database, shop: Shop, order: Order, clocks: Clocks
):
    async with db.write() as session:
        again = await session.get_one(Order, order.id)
        before = (await session.exec(select(Grant))).one().pin
        assert await revoke(session, again, clocks)
        assert not await revoke(session, again, clocks)
    async with db.write() as session:
        grant = await ensure_grant(session, await session.get_one(Order, order.id), clocks)
        assert grant is not None
        assert grant.revoked_at is None
        assert grant.pin != before


# ------------------------------------------------------------------------------------ the pass


async def test_the_pass_opens_this_store_for_this_room_alone(
    cloud: Cloud, guest: Guest, shop: Shop, order: Order, now: datetime
):
    answer = await guest.client.get(f"/api/v1/orders/{order.id}/pass", headers=guest.headers)
    body = answer.json()
    assert body["renew_s"] == 60
    ring = PublicKeyRing(keys_of(cloud.settings.data_dir).public())
    common: dict[str, Any] = {
        "ring": ring,
        "clock_quality": ClockQuality.SYNCED,
        "revoked": (),
        "uses_of_grant": lambda _: 0,
    }
    claim = verify(body["pass"], store=shop.store.id, now=now, door_rooms=[0], **common)
    assert claim.rotating
    assert claim.not_before == now.timestamp()  # when it was made: a store sees how old it is
    with pytest.raises(PassError):
        verify(body["pass"], store=shop.store.id, now=now, door_rooms=[1], **common)
    with pytest.raises(PassError):
        verify(
            body["pass"],
            store=shop.store.id,
            now=order.ends_at + timedelta(minutes=3),
            door_rooms=[0],
            **common,
        )


async def test_a_pass_needs_a_paid_order_of_ones_own(
    db: Database, guest: Guest, shop: Shop, order: Order, now: datetime, business
):
    async with db.write() as session:
        stranger = await make_customer(session, now)
        token = await make_login(session, stranger.id, now)
        held = await make_order(
            session,
            shop,
            guest.account,
            now,
            now=now,
            room=shop.rooms[1],
            status="pending_payment",
        )
    path = f"/api/v1/orders/{order.id}/pass"
    assert (await guest.client.get(path, headers=bearer(token))).status_code == 404
    unpaid = await guest.client.get(f"/api/v1/orders/{held.id}/pass", headers=guest.headers)
    assert unpaid.json()["code"] == "pass.none"
    business.pass_time(4 * 3600)
    assert (await guest.client.get(path, headers=guest.headers)).json()["code"] == "pass.over"
