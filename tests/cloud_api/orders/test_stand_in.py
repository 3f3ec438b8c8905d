"""Statements that are built once say of each actor what scoped() says of it."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy.exc import StatementError
from sqlmodel import col, select

from cloud_api.kit.actor import Actor, Anyone, Customer, Platform, Staff, System, scoped, stand_in
from cloud_api.kit.database import Database
from cloud_api.kit.statements import built
from cloud_api.members.models import Membership
from cloud_api.orders.models import Order
from cloud_api.stores.models import Door, Room, Store
from tests.cloud_api.factories import Shop, make_customer, make_store
from tests.cloud_api.house import House


async def test_a_stand_in_sees_what_its_actor_sees(house: House, db: Database, now: datetime):
    order = await house.order(in_h=3)
    async with db.write() as session:
        other = await make_store(session, now)
        stranger = await make_customer(session, now)
    mine, theirs = house.shop, other

    def staff(shop: Shop, stores: frozenset[str] | None) -> Staff:
        return Staff("s", "a", shop.merchant.id, frozenset(), stores)

    actors: list[Actor] = [
        System(),
        Anyone(),
        Platform("p", "a"),
        Customer(order.account_id),
        Customer(stranger.id),
        staff(mine, None),
        staff(theirs, None),
        staff(mine, frozenset()),
        staff(mine, frozenset({mine.store.id})),
        staff(mine, frozenset({theirs.store.id})),
        staff(theirs, frozenset({mine.store.id, theirs.store.id})),
    ]
    seen = set()
    async with db.read() as session:
        for actor in actors:
            for model in (Order, Room, Store, Door, Membership):
                who, values = stand_in(actor)
                found = (await session.exec(scoped(who, model), params=values)).all()
                wanted = (await session.exec(scoped(actor, model))).all()
                assert found == wanted, (actor, model)
                seen.add((model, len(wanted)))
    assert {
        (Order, 0),
        (Order, 1),
        (Store, 0),
        (Store, 1),
        (Store, 2),
    } <= seen  # it told them apart


async def test_without_its_actors_values_it_says_nothing(db: Database):
    who, values = stand_in(Customer("somebody"))
    assert values
    async with db.read() as session:
        with pytest.raises(StatementError):
            await session.exec(scoped(who, Order))


def test_it_is_built_once_for_each_kind():
    made = []

    @built
    def mine(who: Actor) -> object:
        made.append(who)
        return select(Order).where(col(Order.id) == "x")

    for one in ("a", "b"):
        who, _ = stand_in(Customer(one))
        mine(who)
    for stores in (None, frozenset({"x"}), frozenset({"y"})):
        who_works, _ = stand_in(Staff("s", "a", "m", frozenset(), stores))
        mine(who_works)
    assert len(made) == 3
