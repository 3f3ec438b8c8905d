"""Nobody reaches what is not theirs (I7): lists, orders, dismissal, the scope of every table.

Every route × every role is in test_role_matrix.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlmodel import SQLModel, col, select

from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.actor import Anyone, Customer, scoped
from cloud_api.kit.database import Database
from cloud_api.migrations.tables import metadata
from cloud_api.orders.models import Order
from cloud_api.staff.models import StaffMember
from cloud_api.staff.permissions import ALL, ROLES
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
    make_store,
    staff,
)


@dataclass
class Town:
    """Two merchants with a store, an order and a member of staff each, and a customer."""

    shop: Shop
    other: Shop
    order: Order
    owner: dict[str, str]
    stranger: dict[str, str]  # owner of the other merchant
    branch: dict[str, str]  # owner's role, but of another store of the same merchant
    nobody: dict[str, str]  # staff with a role that has no permission at all
    guest: dict[str, str]
    command: str


@pytest.fixture
async def town(db: Database, shop: Shop, now: datetime) -> Town:
    async with db.write() as session:
        other = await make_store(session, now, name="别家")
        second = await make_store(session, now, merchant=shop.merchant, name="分店")
        guest = await make_customer(session, now)
        order = await make_order(session, shop, guest, now, now=now)
        command = DeviceCommand(
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            target=shop.door.id,
            action="unlock",
            by="x",
            created_at=now,
            expires_at=now,
        )
        session.add(command)

        async def member(of: Shop, role: str, stores: list[str] | None = None) -> dict[str, str]:
            made = await make_staff(session, of, now, role=role, store_ids=stores)
            return bearer(await make_login(session, made.account_id, now))

        return Town(
            shop=shop,
            other=other,
            order=order,
            owner=await member(shop, "owner"),
            stranger=await member(other, "owner"),
            branch=await member(shop, "owner", [second.store.id]),
            nobody=await member(shop, "intern"),
            guest=bearer(await make_login(session, guest.id, now)),
            command=command.id,
        )


async def test_lists_show_ones_own_alone(client: httpx.AsyncClient, town: Town):
    stores = await client.get("/api/v1/console/stores", headers=town.stranger)
    assert [s["name"] for s in stores.json()["items"]] == ["别家"]
    branch = await client.get("/api/v1/console/stores", headers=town.branch)
    assert [s["name"] for s in branch.json()["items"]] == ["分店"]
    for headers in (town.stranger, town.branch):
        orders = await client.get("/api/v1/console/orders", headers=headers)
        assert orders.json()["items"] == []
    mine = await client.get("/api/v1/console/orders", headers=town.owner)
    assert [o["id"] for o in mine.json()["items"]] == [town.order.id]


async def test_customers_see_their_own_orders_alone(
    client: httpx.AsyncClient, town: Town, db: Database, now: datetime
):
    async with db.write() as session:
        other = await make_customer(session, now)
        headers = bearer(await make_login(session, other.id, now))
    path = f"/api/v1/orders/{town.order.id}"
    assert (await client.get(path, headers=town.guest)).status_code == 200
    assert (await client.get(path, headers=headers)).status_code == 404
    assert (await client.get("/api/v1/orders", headers=headers)).json()["items"] == []
    for act, body in (("pay", {}), ("cancel", {}), ("finish", None)):
        refused = await client.post(f"{path}/{act}", json=body, headers=headers)
        assert refused.status_code == 404, (act, refused.text)
    assert (await client.get(f"{path}/pass", headers=headers)).status_code == 404
    # staff are customers as well, and of their own orders only
    assert (await client.get(path, headers=town.owner)).status_code == 404


async def test_a_dismissed_member_is_out_at_once(
    client: httpx.AsyncClient, town: Town, db: Database
):
    """The next request is refused; the login of the dismissed is gone as well."""
    found = await client.get("/api/v1/console/staff", headers=town.owner)
    intern = next(m for m in found.json()["items"] if m["role"] == "intern")
    done = await client.post(f"/api/v1/console/staff/{intern['id']}/deactivate", headers=town.owner)
    assert done.status_code == 204
    assert (await client.get("/api/v1/console/me", headers=town.nobody)).status_code == 401
    me = (await client.get("/api/v1/console/me", headers=town.owner)).json()
    oneself = await client.post(
        f"/api/v1/console/staff/{me['staff_id']}/deactivate", headers=town.owner
    )
    assert oneself.json()["code"] == "staff.self"


async def test_nobody_gives_more_than_they_have(
    client: httpx.AsyncClient, town: Town, db: Database, shop: Shop, now: datetime
):
    async with db.write() as session:
        manager = await make_staff(session, shop, now, role="manager")
        headers = bearer(await make_login(session, manager.account_id, now))
    body = {"phone": "13700000001", "name": "小王", "role": "owner"}
    assert (
        await client.post("/api/v1/console/staff", json=body, headers=headers)
    ).status_code == 403
    # a branch's owner cannot hand out the whole merchant
    refused = await client.post("/api/v1/console/staff", json=body, headers=town.branch)
    assert refused.json()["code"] == "staff.stores"
    made = await client.post("/api/v1/console/staff", json=body, headers=town.owner)
    assert made.status_code == 201
    assert made.json()["phone_tail"] == "0001"
    again = await client.post("/api/v1/console/staff", json=body, headers=town.owner)
    assert again.json()["code"] == "staff.exists"


async def test_another_merchant_can_be_asked_for_by_header_only_if_one_works_there(
    client: httpx.AsyncClient, town: Town
):
    headers = town.owner | {"X-Kaimen-Merchant": town.other.merchant.id}
    refused = await client.get("/api/v1/console/me", headers=headers)
    assert refused.json()["code"] == "staff.none"


# --------------------------------------------------------------------------- the scope function


def tables() -> list[Any]:
    metadata()
    return [m for m in SQLModel.__subclasses__() if hasattr(m, "__table__")]


async def test_scope_over_every_table(db: Database, town: Town):
    """No row of one merchant to another's staff; to customers only theirs and what is public."""
    async with db.read() as session:
        stranger = staff(await make_stranger(session, town), ALL)
        customer = Customer(account_id=town.order.account_id)
        for model in tables():
            name = model.__name__
            whole = (await session.exec(select(model))).all()
            member = (await session.exec(scoped(stranger, model))).all()
            anyone = (await session.exec(scoped(Anyone(), model))).all()
            guest = (await session.exec(scoped(customer, model))).all()
            assert all(row.merchant_id == town.other.merchant.id for row in member), name
            if getattr(model, "__public__", False):
                assert len(anyone) == len(whole), name
            else:
                assert anyone == [], name
                mine = [
                    row for row in guest if getattr(row, "account_id", "") == town.order.account_id
                ]
                assert guest == mine, name


async def make_stranger(session: Any, town: Town) -> Any:
    query = select(StaffMember).where(col(StaffMember.merchant_id) == town.other.merchant.id)
    return (await session.exec(query)).one()


def test_public_tables_hold_nothing_personal():
    """Negative list: who adds a table to the public ones changes this line and thinks about it."""
    public = {model.__name__ for model in tables() if getattr(model, "__public__", False)}
    assert public == {
        *("Store", "Room", "Door", "Quote"),
        *("Tariff", "Slot", "Package", "Extra", "PriceRule", "MemberLevel", "Media"),
    }
    for model in tables():
        if getattr(model, "__public__", False):
            assert not hasattr(model, "account_id")
            assert not hasattr(model, "phone_index")


def test_roles_are_made_of_known_permissions():
    assert ROLES["owner"] == ALL
    for permissions in ROLES.values():
        assert permissions <= ALL
