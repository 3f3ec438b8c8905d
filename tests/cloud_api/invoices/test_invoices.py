"""A guest asks for an invoice once the stay is over; staff make it out, or say why not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from cloud_api.invoices import service
from cloud_api.invoices.models import InvoiceRequest
from cloud_api.invoices.personal import _Invoices
from cloud_api.kit.actor import Customer
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError, NotFound
from cloud_api.orders import refund_requests, store_events
from cloud_api.orders.models import Order
from cloud_api.orders.service import get_order
from cloud_api.staff.permissions import ALL, INVOICE_ISSUE
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House

FIRM = {
    "kind": "company",
    "title": " 上海雀友文化有限公司 ",
    "tax_no": "9131 0000 ma1k 3xyz 2b",
    "email": "fapiao@example.com",
}


async def _used(house: House) -> Order:
    order = await house.paid_order()
    house.passes(30 * 3600)
    async with house.cloud.db.write() as session:
        await store_events.complete_forgotten(session, order.id, house.cloud.clocks)
    return await house.again(order)


async def test_an_invoice_is_asked_for_made_out_once_and_told(house: House) -> None:
    clocks = house.cloud.clocks
    early = await house.paid_order(in_h=72)
    order = await _used(house)
    async with house.cloud.db.write() as session:
        with pytest.raises(Conflict) as why:
            await service.ask(session, house.who, early.id, **FIRM, clocks=clocks)
        assert why.value.code == "invoice.not_yet"
        for field, wrong in (("title", " "), ("tax_no", "123"), ("email", "nobody")):
            with pytest.raises(KaimenError) as bad:
                await service.ask(
                    session, house.who, order.id, **FIRM | {field: wrong}, clocks=clocks
                )
            assert (bad.value.code, bad.value.field) == (f"invoice.{field}", field)
        with pytest.raises(NotFound):
            await service.ask(session, Customer("somebody"), order.id, **FIRM, clocks=clocks)
        one = await service.ask(session, house.who, order.id, **FIRM, clocks=clocks)
        told = (one.title, one.tax_no, one.amount_fen, one.state)
        assert told == ("上海雀友文化有限公司", "91310000MA1K3XYZ2B", 7_600, "asked")
        await service.withdraw(session, house.who, order.id)
        person = {**FIRM, "kind": "person", "title": "王小明"}
        one = await service.ask(session, house.who, order.id, **person, clocks=clocks)
        assert (one.title, one.tax_no, one.state) == ("王小明", "", "asked")
        member = await make_staff(session, house.shop, house.noon)
    owner, blind = staff(member, ALL), staff(member, ALL - {INVOICE_ISSUE})
    async with house.cloud.db.write() as session:
        with pytest.raises(Forbidden):
            await service.listed(session, blind, "asked")
        assert [row.id for row in await service.listed(session, owner, "asked")] == [one.id]
        with pytest.raises(KaimenError):
            await service.refuse(session, owner, one.id, " ", clocks)
        await service.refuse(session, owner, one.id, "抬头不对", clocks)
        with pytest.raises(Conflict):
            await service.issue(session, owner, one.id, "", clocks)
        one = await service.ask(session, house.who, order.id, **FIRM, clocks=clocks)
        asked = await refund_requests.ask(session, house.who, order.id, "空调坏了", 2_000, clocks)
        await refund_requests.approve(session, owner, asked.id, 2_000, "协商", clocks)
        done = await service.issue(session, owner, one.id, " 2631 ", clocks)
        assert (done.state, done.number, done.amount_fen) == (
            "issued",
            "2631",
            5_600,
        )  # as it is now
        with pytest.raises(Conflict) as late:
            await service.ask(session, house.who, order.id, **FIRM, clocks=clocks)
        assert late.value.code == "invoice.issued"
        with pytest.raises(Conflict):
            await service.withdraw(session, house.who, order.id)
    async with house.cloud.db.write() as session:
        [section] = await _Invoices().export(session, house.who.account_id)
        assert section.rows[0]["税号"] == "91310000MA1K3XYZ2B"
        await _Invoices().forget(session, house.who.account_id, clocks)
        kept = await session.get_one(InvoiceRequest, one.id)
        assert (kept.title, kept.email) == ("上海雀友文化有限公司", "")  # the books keep it


async def _asks_twice(house: House, order: Order) -> list[InvoiceRequest | BaseException]:
    async def ask() -> InvoiceRequest:
        async with house.cloud.db.write() as session:
            return await service.ask(
                session, house.who, order.id, **FIRM, clocks=house.cloud.clocks
            )

    return list(await asyncio.gather(ask(), ask(), return_exceptions=True))


async def test_two_first_wishes_at_once_are_one(house: House) -> None:
    order = await _used(house)
    asked = await _asks_twice(house, order)
    assert [one for one in asked if isinstance(one, BaseException)] == []
    async with house.cloud.db.read() as session:
        of = select(InvoiceRequest).where(col(InvoiceRequest.order_id) == order.id)
        assert len((await session.exec(of)).all()) == 1


async def test_without_the_orders_lock_the_second_wish_would_be_our_fault(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    if house.cloud.db.is_sqlite:  # one writer at a time anyway
        return
    order, both, found = await _used(house), asyncio.Barrier(2), service.of_order

    async def together(*args: Any) -> InvoiceRequest | None:
        seen = await found(*args)
        await both.wait()
        return seen

    monkeypatch.setattr(service, "lock_order", get_order)
    monkeypatch.setattr(service, "of_order", together)
    asked = await _asks_twice(house, order)
    assert [type(one) for one in asked].count(IntegrityError) == 1
