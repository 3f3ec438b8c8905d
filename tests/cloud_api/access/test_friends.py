"""Friends who joined an order by its link open its door, and nothing else of it; until taken back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from cloud_api.access import service as access
from cloud_api.access.decide import Case
from cloud_api.auth.models import Account
from cloud_api.claims.models import BookingRule
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.orders import service as orders
from cloud_api.orders import share
from cloud_api.orders.models import Order
from tests.cloud_api.factories import Shop, customer, make_customer, make_order


async def _start(db: Database, shop: Shop, clocks: Clocks) -> tuple[Account, Account, Order]:
    async with db.write() as session:
        owner = await make_customer(session, clocks.now)
        friend = await make_customer(session, clocks.now)
        starts = clocks.now - timedelta(minutes=5)
        order = await make_order(session, shop, owner, starts, now=clocks.now, status="ready")
    return owner, friend, order


async def test_a_friend_opens_the_door_and_sees_nothing_of_the_order(
    db: Database, shop: Shop, clocks: Clocks, tmp_path: Path
) -> None:
    owner, friend, order = await _start(db, shop, clocks)

    async def case() -> Case:
        async with db.read() as session:
            view = await access.door_view(
                session, customer(friend), shop.door.token, clocks, tmp_path
            )
            assert view.order_id is None
            return view.case

    assert await case() is Case.NONE_TAKEN
    async with db.write() as session:
        link = await share.open_link(session, customer(owner), order.id, clocks)
        again = await share.open_link(session, customer(owner), order.id, clocks)
        assert again.token == link.token
        await share.join(session, customer(friend), link.token, clocks)
        await share.join(session, customer(friend), link.token, clocks)  # twice is once
        assert len(await share.friends_of(session, order.id)) == 1
    assert await case() is Case.READY
    async with db.write() as session:
        command, _ = await access.unlock(session, customer(friend), shop.door.token, clocks, "test")
        assert command.order_id == order.id
        with pytest.raises(NotFound):
            await orders.get_order(session, customer(friend), order.id)
        with pytest.raises(NotFound):
            await share.revoke(session, customer(friend), order.id, clocks)
    async with db.write() as session:
        await share.revoke(session, customer(owner), order.id, clocks)
    assert await case() is Case.NONE_TAKEN
    async with db.write() as session:
        with pytest.raises(KaimenError):
            await access.unlock(session, customer(friend), shop.door.token, clocks, "test")
        with pytest.raises(NotFound):
            await share.join(session, customer(friend), link.token, clocks)
        fresh = await share.open_link(session, customer(owner), order.id, clocks)
        assert fresh.token != link.token


async def test_no_more_join_than_the_rule_lets_however_many_tap_at_once(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    owner, _friend, order = await _start(db, shop, clocks)
    async with db.write() as session:
        store = shop.store
        session.add(
            BookingRule(
                id=store.id, merchant_id=store.merchant_id, store_id=store.id,
                rules={"friends": 2}, updated_at=clocks.now,
            )
        )  # fmt: skip
        await session.flush()
        link = await share.open_link(session, customer(owner), order.id, clocks)
        crowd = [await make_customer(session, clocks.now) for _ in range(6)]

    async def tap(person: Account) -> str:
        try:
            async with db.write() as session:
                await share.join(session, customer(person), link.token, clocks)
        except Conflict as full:
            return full.code
        return "in"

    told = await asyncio.gather(*(tap(person) for person in crowd))
    assert sorted(told) == ["in"] * 2 + ["share.full"] * 4
