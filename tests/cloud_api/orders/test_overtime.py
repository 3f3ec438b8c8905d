"""Overtime is priced once, paid through the cashier or waived, and keeps its guest from booking."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlmodel import col, select

from cloud_api.access import service as access
from cloud_api.access.situation import door_of_room
from cloud_api.audit.models import AuditEntry
from cloud_api.auth.models import Account
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError, NotFound
from cloud_api.orders import overtime, pay, store_events, views
from cloud_api.orders.models import Order, OvertimeCharge
from cloud_api.orders.schemas import OrderOut
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.staff.permissions import ORDER_READ, ORDER_WAIVE
from cloud_api.stores.models import Store
from store_link.clock import ms
from store_link.messages import StayBody, StayState, UsageBody
from tests.cloud_api.factories import customer, make_customer, make_staff, make_store, staff
from tests.cloud_api.house import House


async def rule(house: House, **values: object) -> None:
    """¥6 for each begun quarter, unless said otherwise."""
    wanted = {"overtime_mode": "per_unit", "overtime_unit_fen": 600} | values
    async with house.cloud.db.write() as session:
        store = await session.get_one(Store, house.shop.store.id)
        for name, value in wanted.items():
            setattr(store, name, value)
        session.add(store)


def usage(order: Order, minutes: int) -> UsageBody:
    over = order.ends_at + timedelta(minutes=10)
    left = over + timedelta(minutes=minutes)
    return UsageBody(
        stay=order.claim_id,
        room=order.room_id,
        entered_at=ms(order.starts_at),
        ended_at=ms(left + timedelta(minutes=1)),
        used_s=7200,
        power_on_s=7800,
        overtime_s=minutes * 60 + 5,
        grace_used_s=600,
        evidence={
            "signs": [[ms(order.ends_at), "presence"], [ms(left), "power+door_shut"], "odd", [1]],
            "overtime": {"from": ms(over), "until": ms(left)},
        },
        energy_wh=412,
    )


async def stayed(house: House, minutes: int = 19, **values: object) -> Order:
    """A guest who stayed so long beyond the end and grace of two hours, told twice."""
    order = await house.paid_order(in_h=1)
    house.passes(4 * 3600)
    for _ in range(2):
        async with house.cloud.db.write() as session:
            store = await session.get_one(Store, order.store_id)
            body = usage(order, minutes).model_copy(update=values)
            await store_events.apply_usage(
                session, store, body, house.cloud.clocks.now, house.cloud.clocks
            )
    return await house.again(order)


async def shown(house: House, order: Order) -> OrderOut:
    async with house.cloud.db.read() as session:
        return await views.one(session, await session.get_one(Order, order.id), house.cloud.clocks)


async def charges(house: House) -> list[OvertimeCharge]:
    async with house.cloud.db.read() as session:
        return list(await session.exec(select(OvertimeCharge)))


async def test_priced_once_explained_and_paid_before_the_next_booking(house: House) -> None:
    await rule(house)
    order = await stayed(house)
    assert len(await charges(house)) == 1
    told = await shown(house, order)
    assert told.overtime is not None
    assert (told.overtime.state, told.overtime.amount_fen) == ("due", 1200)
    assert told.overtime.text.endswith("超时 19 分钟，按 15 分钟 ¥6 计 ¥12")
    assert told.overtime.text.startswith("离场 15:29")  # in the store's zone
    assert [sign.signs for sign in told.overtime.evidence] == [["presence"], ["power", "door_shut"]]
    assert told.energy_wh == 412
    assert (told.next.action, told.total_fen) == ("pay", order.total_fen)
    assert sum(line.amount_fen for line in told.lines) == told.total_fen

    with pytest.raises(Conflict) as refused:
        await house.order(in_h=30)
    assert refused.value.code == "order.overtime_due"
    assert refused.value.extra["order_id"] == order.id
    async with house.cloud.db.write() as session:
        other = await make_customer(session, house.cloud.clocks.now)
    await house.order(in_h=30, guest=other)

    payment = await house.pay(order)
    assert (payment.pays, payment.amount_fen) == (f"overtime:{order.id}", 1200)
    assert (await house.pay(order)).id == payment.id
    house.till.pay(payment.number)

    async def settled() -> bool:
        return (await charges(house))[0].state == "paid"

    await house.run(settled)
    told = await shown(house, order)
    assert told.overtime is not None
    assert (told.overtime.state, told.paid_fen, told.refunded_fen) == ("paid", order.total_fen, 0)
    assert [p.purpose for p in told.payments] == ["order", "overtime"]
    assert (await house.order(in_h=40)).status == "pending_payment"
    with pytest.raises(Conflict, match="支付过"):
        await pay.pay(house.cloud, house.who, order.id, provider="cashier")


async def test_without_a_rule_it_is_shown_and_costs_nothing(house: House) -> None:
    order = await stayed(house)
    told = await shown(house, order)
    assert told.overtime is not None
    assert (told.overtime.state, told.overtime.amount_fen) == ("free", 0)
    assert told.overtime.text.endswith("超时 19 分钟，不收费")
    assert (await house.order(in_h=30)).status == "pending_payment"


async def test_less_than_a_minute_is_none(house: House) -> None:
    await rule(house)
    await stayed(house, overtime_s=59)
    assert await charges(house) == []


async def test_waived_for_a_reason_by_who_may(house: House) -> None:
    await rule(house)
    order = await stayed(house)
    now = house.cloud.clocks.now
    async with house.cloud.db.write() as session:
        manager = await make_staff(session, house.shop, now)
        stranger = await make_staff(session, await make_store(session, now), now)
    may = staff(manager, frozenset({ORDER_READ, ORDER_WAIVE}))
    clocks = house.cloud.clocks

    async def waive(who: object, why: str = "店里停电") -> OvertimeCharge:
        async with house.cloud.db.write() as session:
            return await overtime.waive(session, who, order.id, why, clocks)  # type: ignore[arg-type]

    with pytest.raises(Forbidden):
        await waive(staff(manager, frozenset({ORDER_READ})))
    with pytest.raises(NotFound):
        await waive(staff(stranger, frozenset({ORDER_READ, ORDER_WAIVE})))
    with pytest.raises(KaimenError, match="原因"):
        await waive(may, "  ")
    payment = await house.pay(order)  # the guest has the cashier's page open meanwhile
    for _ in range(2):
        assert (await waive(may)).state == "waived"
    async with house.cloud.db.read() as session:
        entries = list(
            await session.exec(select(AuditEntry).where(col(AuditEntry.action) == "overtime.waive"))
        )
    assert [(e.subject, e.why) for e in entries] == [(f"order:{order.id}", "店里停电")]
    told = await shown(house, order)
    assert told.overtime is not None
    assert told.overtime.waived_why == "店里停电"
    assert (await house.order(in_h=30)).status == "pending_payment"

    house.till.pay(payment.number)  # … and pays all the same: it goes back in full

    async def back() -> list[RefundAttempt]:
        async with house.cloud.db.read() as session:
            return list(await payments.refunds_of(session, overtime.pays(order.id)))

    async def refunded() -> bool:
        found = await back()
        return bool(found) and found[0].amount_fen == 1200

    await house.run(refunded)
    async with house.cloud.db.read() as session:
        paid = await session.get_one(PaymentAttempt, payment.id)
    assert paid.applied == "overtime_refunded"


async def told_inside(house: House, guest: Account, order: Order) -> bool:
    """Whether the door tells a guest that somebody is still in the room of their order."""
    async with house.cloud.db.read() as session:
        door = await door_of_room(session, order.store_id, order.room_id)
        assert door is not None
        view = await access.door_view(
            session, customer(guest), door.token, house.cloud.clocks, house.cloud.settings.data_dir
        )
    assert view.somebody_inside == ("还在里面" in view.message)
    return view.somebody_inside


async def test_who_stays_on_keeps_the_room_from_being_sold(house: House) -> None:
    order = await house.paid_order(in_h=1)
    starts, ends = order.starts_at, order.ends_at

    async def stay(now: StayState, why: str) -> None:
        body = StayBody(
            stay=order.claim_id, room=order.room_id, was=StayState.OPEN, now=now, why=why
        )
        async with house.cloud.db.write() as session:
            store = await session.get_one(Store, order.store_id)
            at = house.cloud.clocks.now
            await store_events.apply_stay(session, store, body, at, house.cloud.clocks)

    house.passes(3600)
    await stay(StayState.IN_USE, "unlock")
    house.passes(2 * 3600 + 660)  # eleven minutes beyond the end: grace is over
    await stay(StayState.OVERTIME, "grace_over")
    now = house.cloud.clocks.now
    claim = await house.claim(order)
    assert claim.overstay_until == now + timedelta(minutes=15)
    assert claim.block_until == now + timedelta(minutes=30)  # cleaning after it
    assert (claim.starts_at, claim.ends_at) == (starts, ends)  # what was bought stays so
    async with httpx.AsyncClient(base_url=house.base_url, trust_env=False) as http:
        answer = await http.get(
            f"/api/v1/rooms/{order.room_id}/availability",
            params={"from": now.isoformat(), "to": (now + timedelta(hours=2)).isoformat()},
        )
    assert [span["state"] for span in answer.json()["spans"]][:2] == ["in_use", "cleaning"]

    # The next guest gets in at their time; the claim grows up to it and no further.
    at = claim.block_until.replace(second=0) + timedelta(minutes=30)
    at = at.replace(minute=at.minute // 30 * 30)
    async with house.cloud.db.write() as session:
        other = await make_customer(session, now)
    follows = await house.order(in_h=(at - house.noon) / timedelta(hours=1), guest=other)
    payment = await pay.pay(house.cloud, customer(other), follows.id, provider="cashier")
    house.till.pay(payment.number)
    await house.until(follows, "ready")
    house.passes((at - now).total_seconds() - 60)
    await stay(StayState.OVERTIME, "grace_over")
    claim = await house.claim(order)
    assert claim.overstay_until == claim.block_until == follows.starts_at
    assert (await shown(house, follows)).opens_at == follows.starts_at

    assert await told_inside(house, other, follows)  # the next guest is warned at the door
    await stay(StayState.ENDED, "vacated")
    assert not await told_inside(house, other, follows)
    claim = await house.claim(order)
    assert (claim.state, claim.overstay_until) == ("released", None)
