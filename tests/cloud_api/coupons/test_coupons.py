"""Coupons of the house on both engines: given within their stock, used once whoever races, given back."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col, select

from cloud_api.auth.models import Account
from cloud_api.coupons import service
from cloud_api.coupons.models import Coupon, CouponGrant
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.members.levels import set_level
from cloud_api.members.models import MemberLevel
from cloud_api.orders.models import Order, OrderLine
from cloud_api.pricing.models import Extra, Package, PriceRule, Slot
from store_link.clock import ManualClock
from tests.cloud_api.factories import Shop, bearer, customer, make_customer, make_login, make_staff

EVENING = {"starts_at": "2026-11-23T18:00:00+08:00", "ends_at": "2026-11-23T21:00:00+08:00"}


async def _coupon(db: Database, shop: Shop, clocks: Clocks, **values: Any) -> Coupon:
    own: dict[str, Any] = {"name": "满百减二十", "kind": "off", "off_fen": 2000, "min_fen": 10000}
    async with db.write() as session:
        made = Coupon(merchant_id=shop.merchant.id, created_at=clocks.now, **(own | values))
        session.add(made)
        await session.flush()
    return made


async def _guest(db: Database, clocks: Clocks) -> tuple[Any, str]:
    async with db.write() as session:
        account = await make_customer(session, clocks.now)
        token = await make_login(session, account.id, clocks.real)
    return customer(account), token


async def test_a_quote_takes_the_best_coupon_and_the_order_uses_it_once(
    client: httpx.AsyncClient, db: Database, shop: Shop, clocks: Clocks
) -> None:
    """Member price, extras and the best coupon are lines; two orders race for one coupon, one gets it."""
    small = await _coupon(db, shop, clocks, name="减五块", off_fen=500, min_fen=0, code="FIVE")
    big = await _coupon(db, shop, clocks)
    guest, token = await _guest(db, clocks)
    async with db.write() as session:
        own: dict[str, Any] = {"merchant_id": shop.merchant.id, "created_at": clocks.now}
        level = MemberLevel(name="金卡", per_cent=90, **own)
        tea = Extra(store_id=shop.store.id, name="茶水", price_fen=1500, **own)
        session.add_all([level, tea])
        await session.flush()
        await set_level(session, shop.merchant.id, guest.account_id, level.id, "system", clocks)
        await service.grant(session, big, guest.account_id, "system", clocks)
    headers = bearer(token)
    claimed = await client.post("/api/v1/coupons/claim", json={"code": "five"}, headers=headers)
    assert claimed.status_code == 201, claimed.text
    again = await client.post("/api/v1/coupons/claim", json={"code": "FIVE"}, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "coupon.had")

    ask = {"room_id": shop.room.id, "extras": [{"extra_id": tea.id, "quantity": 2}], **EVENING}
    told = (await client.post("/api/v1/quotes", json=ask, headers=headers)).json()
    assert [(line["kind"], line["text"], line["amount_fen"]) for line in told["lines"]] == [
        ("room_time", "晚间 18:00–21:00", 14400),
        ("member", "金卡会员 9 折", -1440),
        ("extra", "茶水 × 2 份", 3000),
        ("coupon", "优惠券 满百减二十", -2000),
    ]
    assert (told["total_fen"], told["before_fen"]) == (13960, 17400)
    assert [(one["name"], one["best"]) for one in told["coupons"]] == [
        ("满百减二十", True), ("减五块", False),
    ]  # fmt: skip
    without = await client.post("/api/v1/quotes", json=ask | {"coupon_ids": []}, headers=headers)
    assert without.json()["total_fen"] == 15960
    other = ask | {"room_id": shop.rooms[1].id}
    second = (await client.post("/api/v1/quotes", json=other, headers=headers)).json()

    answers = await asyncio.gather(
        *(
            client.post("/api/v1/orders", json={"quote_id": one["id"]}, headers=headers)
            for one in (told, second)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    lost = next(answer for answer in answers if answer.status_code == 409)
    assert lost.json()["code"] == "coupon.used"
    async with db.read() as session:
        (order,) = (await session.exec(select(Order))).all()
        lines = (await session.exec(select(OrderLine))).all()
        assert sum(line.amount_fen for line in lines) == order.total_fen == 13960  # I9
        mine = {g.coupon_id: g for g in (await session.exec(select(CouponGrant))).all()}
        assert mine[big.id].order_id == order.id
        assert mine[small.id].state == "unused"

    gone = await client.post(f"/api/v1/orders/{order.id}/cancel", json={}, headers=headers)
    assert gone.status_code == 200, gone.text
    back = (await client.get("/api/v1/me/coupons", headers=headers)).json()["items"]
    assert {one["name"]: one["state"] for one in back} == {
        "满百减二十": "unused", "减五块": "unused",
    }  # fmt: skip


async def test_the_stock_and_each_persons_share_hold_under_a_race(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    coupon = await _coupon(db, shop, clocks, stock=5, per_person=2)
    guests = [(await _guest(db, clocks))[0] for _ in range(4)]

    async def take(account_id: str) -> str:
        try:
            async with db.write() as session:
                fresh = await session.get_one(Coupon, coupon.id)
                made = await service.grant(session, fresh, account_id, "code", clocks)
            return "given" if made is not None else "had"
        except Conflict as refusal:
            return refusal.code

    found = await asyncio.gather(*(take(g.account_id) for g in guests for _ in range(3)))
    assert found.count("given") == 5
    async with db.read() as session:
        assert (await session.get_one(Coupon, coupon.id)).issued == 5
        grants = (await session.exec(select(CouponGrant))).all()
    assert len(grants) == 5
    assert all(sum(g.account_id == one.account_id for g in grants) <= 2 for one in guests)


async def test_without_the_condition_a_coupon_would_serve_twice(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    """Negative control: the same two orders, each reading before the other writes."""
    coupon = await _coupon(db, shop, clocks)
    guest, _ = await _guest(db, clocks)
    async with db.write() as session:
        made = await service.grant(session, coupon, guest.account_id, "system", clocks)
        assert made is not None
    async with db.read() as session:
        seen = [(await session.get_one(CouponGrant, made.id)).state for _ in range(2)]
    winners = 0
    for order, state in zip(("a", "b"), seen, strict=True):
        if state == "unused":  # what a check without the database would decide by
            async with db.write() as session:
                await session.exec(
                    update(CouponGrant)
                    .where(col(CouponGrant.id) == made.id)
                    .values(state="used", order_id=order)
                )
            winners += 1
    assert winners == 2
    async with db.write() as session:
        with pytest.raises(Conflict, match=r"coupon\.used"):
            await service.use(session, guest.account_id, made.id, "c", clocks)


async def test_an_order_that_lives_again_takes_its_coupon_again_if_it_can(
    db: Database, shop: Shop, clocks: Clocks, business: ManualClock
) -> None:
    coupon = await _coupon(db, shop, clocks, valid_until=date(2026, 11, 23))
    guest, _ = await _guest(db, clocks)
    async with db.write() as session:
        made = await service.grant(session, coupon, guest.account_id, "system", clocks)
        assert made is not None
        await service.use(session, guest.account_id, made.id, "one", clocks)
    business.pass_time(11 * 3600)
    async with db.write() as session:
        assert await service.give_back(session, "one", clocks)
        assert not await service.give_back(session, "one", clocks)
        back = await session.get_one(CouponGrant, made.id)
        assert back.expires_at == clocks.now + timedelta(days=1)  # worth something still
        assert await service.take_again(session, "one", clocks)
        assert await service.give_back(session, "one", clocks)
        await service.use(session, guest.account_id, made.id, "two", clocks)
        assert not await service.take_again(session, "one", clocks)
    business.pass_time(2 * 86400)
    async with db.write() as session:
        await service.give_back(session, "two", clocks)
    business.pass_time(2 * 86400)
    async with db.write() as session:
        assert await service.offers_for(session, guest, shop.merchant.id, clocks.now) == []
        with pytest.raises(KaimenError, match=r"coupon\.used"):
            await service.use(session, guest.account_id, made.id, "three", clocks)


async def test_staff_make_issue_and_stop(
    client: httpx.AsyncClient, db: Database, shop: Shop, clocks: Clocks
) -> None:
    async with db.write() as session:
        owner = await make_staff(session, shop, clocks.real)
        headers = bearer(await make_login(session, owner.account_id, clocks.real))
    guest, token = await _guest(db, clocks)
    body = {"name": "回头客", "kind": "discount", "per_cent": 80, "valid_days": 30, "stock": 1}
    bad = await client.post(
        "/api/v1/console/coupons", json=body | {"per_cent": 100}, headers=headers
    )
    assert (bad.status_code, bad.json()["detail"][-15:]) == (422, "写上打几折，100 等于不打折")
    made = (await client.post("/api/v1/console/coupons", json=body, headers=headers)).json()
    assert made["text"] == "8 折"
    where = f"/api/v1/console/coupons/{made['id']}"
    nobody = await client.post(f"{where}/issue", json={"segment": "everybody"}, headers=headers)
    assert nobody.json()["code"] == "coupon.nobody"
    async with db.read() as session:
        phone = (await session.get_one(Account, guest.account_id)).phone
    issued = await client.post(
        f"{where}/issue", json={"segment": "phones", "phones": [phone, "12345"]}, headers=headers
    )
    assert issued.json() == {"given": 1, "had": 0, "unknown": 1, "sold_out": False}
    assert (await client.post(f"{where}/stop", headers=headers)).json()["stopped_at"] is not None
    over = await client.post(
        f"{where}/issue", json={"segment": "phones", "phones": [phone]}, headers=headers
    )
    assert over.json()["code"] == "coupon.stopped"
    listed = (await client.get("/api/v1/console/coupons", headers=headers)).json()["items"]
    assert [(one["name"], one["issued"], one["used"]) for one in listed] == [("回头客", 1, 0)]
    told = await client.get("/api/v1/me/coupons", headers=bearer(token))
    assert told.json()["items"][0]["state"] == "unused"


async def test_slots_packages_and_payg_over_http(
    client: httpx.AsyncClient, db: Database, shop: Shop, clocks: Clocks
) -> None:
    async with db.write() as session:
        own: dict[str, Any] = {
            "merchant_id": shop.merchant.id,
            "store_id": shop.store.id,
            "created_at": clocks.now,
        }
        night = Slot(name="通宵", from_minute=1320, until_minute=480, price_fen=16800, **own)
        four = Package(name="四小时套餐", minutes=240, price_fen=12800, **own)
        session.add_all(
            [
                night,
                four,
                PriceRule(
                    store_id=shop.store.id, merchant_id=shop.merchant.id, payg=True,
                    payg_prepay_minutes=180,
                ),
            ]
        )  # fmt: skip
    room = {"room_id": shop.room.id}

    async def quote(**more: Any) -> Any:
        return (await client.post("/api/v1/quotes", json=room | more)).json()

    slept = await quote(slot_id=night.id, day="2026-11-24")
    assert (slept["kind"], slept["total_fen"], slept["minutes"]) == ("slot", 16800, 600)
    assert (slept["starts_at"], slept["ends_at"]) == (
        "2026-11-24T14:00:00Z", "2026-11-25T00:00:00Z",
    )  # fmt: skip
    assert slept["lines"][0]["text"] == "通宵 22:00–次日 08:00"
    packed = await quote(package_id=four.id, starts_at="2026-11-24T13:00:00+08:00")
    assert (packed["total_fen"], packed["ends_at"]) == (12800, "2026-11-24T09:00:00Z")
    going = await quote(payg=True, starts_at="2026-11-24T13:00:00+08:00")
    assert (going["kind"], going["total_fen"], going["payg"]["unit_minutes"]) == ("payg", 11400, 15)
    assert (await quote(starts_at="2026-11-24T13:00:00+08:00"))["code"] == "quote.incomplete"
    assert (await quote(slot_id="nothing", day="2026-11-24"))["code"] == "slot.not_found"
    both = await quote(payg=True, slot_id=night.id, starts_at="2026-11-24T13:00:00+08:00")
    assert both["code"] == "invalid"
    menu = (await client.get(f"/api/v1/rooms/{shop.room.id}/menu?day=2026-11-24")).json()
    assert [(s["name"], s["hourly_fen"]) for s in menu["segments"]] == [
        ("平日", 3800), ("晚间", 4800),
    ]  # fmt: skip
    assert [s["name"] for s in menu["slots"]] == ["通宵"]
    assert [s["name"] for s in menu["packages"]] == ["四小时套餐"]
