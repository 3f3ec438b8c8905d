"""The ground that other tests stand on: both engines hold what the factories write."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from cloud_api.claims import guard
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.actor import Customer, scoped
from cloud_api.kit.database import Database
from cloud_api.orders.models import Order
from cloud_api.stores.models import Room
from tests.cloud_api.factories import Shop, make_customer, make_order


async def test_a_store_with_an_order(db: Database, shop: Shop, now: datetime):
    async with db.write() as session:
        account = await make_customer(session, now)
        order = await make_order(session, shop, account, now + timedelta(hours=1), now=now)
    async with db.read() as session:
        rooms = (await session.exec(select(Room).where(col(Room.store_id) == shop.store.id))).all()
        mine = (await session.exec(scoped(Customer(account.id), Order))).all()
        other = (await session.exec(scoped(Customer("nobody"), Order))).all()
        claim = await session.get(RoomClaim, order.claim_id)
    assert [room.name for room in rooms] == ["竹间", "梅间", "听雨"]
    assert [found.id for found in mine] == [order.id]
    assert other == []
    assert claim is not None
    assert claim.starts_at == now + timedelta(hours=1)


async def test_the_guard_stands_in_test_databases(db: Database, shop: Shop, now: datetime):
    async with db.write() as session:
        account = await make_customer(session, now)
        await make_order(session, shop, account, now, now=now)
    with pytest.raises(DBAPIError) as caught:
        async with db.write() as session:
            await make_order(session, shop, account, now + timedelta(hours=1), now=now)
    assert guard.is_overlap(caught.value)
