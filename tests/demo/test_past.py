"""The past that the demonstration is given: its books balance, and everybody who took part agrees."""

from __future__ import annotations

from collections import Counter as Count
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlmodel import col, func, select

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.ledger import verify
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.models import LedgerDay, LedgerEntry
from cloud_api.orders.models import Order, OrderLine
from cloud_api.orders.money import refund_part
from cloud_api.orders.transitions import system_lock
from cloud_api.payments import bills
from cloud_api.payments.bill_models import ProviderBill
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.reports import rollup
from cloud_api.reports.models import ReportDay
from cloud_api.stores.models import Store
from cloud_api.worker import register_jobs
from demo import past
from demo.past.plan import DAYS, visits
from demo.seed import seed
from store_link.clock import ManualClock
from tests.cloud_api.market import both_counters
from tests.support.providers import ADMIN, Counter

_TOLD = ("wechat", "alipay")


@pytest.fixture(autouse=True)
def _jobs() -> None:
    """All that the cloud does, and every check that its books know."""
    register_jobs()


async def opened(cloud: Cloud, accounts: dict[str, dict[str, str]]) -> tuple[str, dict[str, Any]]:
    async with cloud.db.write() as session:
        store_id = await seed(session, cloud.clocks.now, accounts)
        told = await past.write(session, store_id, cloud.clocks)
    return store_id, told


async def rows_of(cloud: Cloud, model: Any) -> list[Any]:
    async with cloud.db.read() as session:
        return list((await session.exec(select(model))).all())


async def wrong(cloud: Cloud) -> list[str]:
    async with cloud.db.read() as session:
        store = (await session.exec(select(Store))).one()
        return await verify.verify(session, store.merchant_id)


@pytest.mark.timeout(240)
async def test_it_is_a_past_as_the_product_would_have_had_it(cloud: Cloud):
    """Books, statistics and the payment services' own bills agree on what was only told.

    A demonstration without a past showed empty statistics; one whose past does not balance would show an
    alarm of broken books in its first night.
    """
    now = cloud.clocks.now
    with both_counters(cloud.clocks) as counters:
        accounts = {name: dict(one.account) for name, one in counters.items()}
        store_id, told = await opened(cloud, accounts)
        orders: list[Order] = await rows_of(cloud, Order)
        ends = Count((one.status, one.cancel_why) for one in orders)
        assert ends["completed", None] > 150
        assert ends["cancelled", "customer"] > 5
        assert ends["cancelled", "hold_expired"] > 3
        assert all(one.ended_at is None or one.ended_at < now for one in orders)
        assert all(one.ends_at < now for one in orders)
        assert min(one.created_at for one in orders) < now - timedelta(days=34)
        assert now - max(one.ends_at for one in orders) < timedelta(days=1)
        await lines_add_up(cloud, orders)
        assert await wrong(cloud) == []

        await statistics_equal_the_books(cloud, store_id)
        for name, counter in counters.items():
            answer = httpx.post(
                f"{counter.url}/admin/past",
                json={"payments": told[name].payments, "refunds": told[name].refunds},
                headers={"Simulator-Admin": ADMIN},
                trust_env=False,
            )
            assert answer.is_success, answer.text
        await bills_say_the_same(cloud)
        await a_past_order_can_be_paid_back(cloud, counters)
        assert await wrong(cloud) == []

        async with cloud.db.write() as session:
            assert await past.write(session, store_id, cloud.clocks) == {}  # once
        assert len(await rows_of(cloud, Order)) == len(orders)


async def lines_add_up(cloud: Cloud, orders: list[Order]) -> None:
    async with cloud.db.read() as session:
        sums = select(col(OrderLine.order_id), func.sum(col(OrderLine.amount_fen)))
        found = dict((await session.exec(sums.group_by(col(OrderLine.order_id)))).all())
    assert found == {one.id: one.total_fen for one in orders}


async def statistics_equal_the_books(cloud: Cloud, store_id: str) -> None:
    assert await rollup.catch_up(cloud) >= DAYS
    days: list[ReportDay] = await rows_of(cloud, ReportDay)
    told = sum(d.room_fen + d.overtime_fen + d.voucher_fen + d.other_fen for d in days)
    async with cloud.db.read() as session:
        booked = await session.scalar(
            select(func.sum(col(LedgerEntry.amount_fen))).where(
                col(LedgerEntry.account) == Account.REVENUE.value
            )
        )
        entries = set((await session.exec(select(col(LedgerEntry.day)))).all())
        ledger_days = (await session.exec(select(LedgerDay))).all()
    assert told == -int(booked or 0) > 1_000_000
    assert {one.day for one in ledger_days} == entries
    assert sum(one.state == "open" for one in ledger_days) <= 2
    seen = {
        name: sum(getattr(one, name) for one in days)
        for name in ("made", "cancelled", "stays", "redeemed", "overtime_fen", "cash_topup_fen")
    }
    assert all(seen.values()), seen
    assert sum(one.stays > 0 for one in days) > 30


async def bills_say_the_same(cloud: Cloud) -> None:
    """Read again, a day's bill finds nothing new: no difference, no other fee."""
    known: list[ProviderBill] = await rows_of(cloud, ProviderBill)
    assert len(known) > 40
    for name in _TOLD:
        for before in [one for one in known if one.provider == name][-3:]:
            again = await bills.run(cloud, before.account_ref, before.day)
            assert (again.state, again.open_differences) == ("balanced", 0), before.day
            same = ("lines", "theirs_paid_fen", "theirs_refunded_fen", "ours_paid_fen", "fee_fen")
            assert [getattr(again, one) for one in same] == [getattr(before, one) for one in same]


async def a_past_order_can_be_paid_back(cloud: Cloud, counters: dict[str, Counter]) -> None:
    """The owner gives money of an order of last week back: its payment service knows it."""
    asked: dict[str, str] = {}
    paid: list[PaymentAttempt] = await rows_of(cloud, PaymentAttempt)
    for one in paid:
        wanted = one.provider in _TOLD and one.pays.startswith("order:") and one.amount_fen > 9000
        if not wanted or one.provider in asked:
            continue
        async with cloud.db.write() as session:
            order = await system_lock(session, one.pays.partition(":")[2])
            if order.status == "completed" and order.refunded_fen == 0:
                await refund_part(
                    session, order, 100, by="system", reason="试一下", clocks=cloud.clocks
                )
                asked[one.provider] = f"{one.number}-R1"
    assert set(asked) == set(_TOLD)
    for _ in range(20):
        while await run_due(cloud):
            pass
        for clock in (cloud.clocks.business, cloud.clocks.wire):
            assert isinstance(clock, ManualClock)
            clock.pass_time(20)
    back: list[RefundAttempt] = await rows_of(cloud, RefundAttempt)
    states = {one.number: one.state for one in back}
    for name, number in asked.items():
        assert number in counters[name].refunds(), name
        assert states[number] == "succeeded", name


async def test_the_same_hour_has_the_same_past(cloud: Cloud, now: datetime):
    """What is invented comes from the seed; where nobody can pay from home nobody did."""
    first = visits(3, now, "Asia/Shanghai", Random(past.SEED))
    assert first == visits(3, now, "Asia/Shanghai", Random(past.SEED))
    assert first != visits(3, now, "Asia/Shanghai", Random(1))
    taken: dict[int, list[tuple[datetime, datetime]]] = {}
    for one in first:
        if one.fate == "done":
            taken.setdefault(one.room, []).append((one.starts_at, one.ends_at))
    for spans in taken.values():
        spans.sort()
        assert all(ends < begins for (_, ends), (begins, _) in pairwise(spans))
    zone = ZoneInfo("Asia/Shanghai")
    assert all(one.placed_at.astimezone(zone).hour >= 8 for one in first)
    _, told = await opened(cloud, {})
    assert told == {}
    assert await rows_of(cloud, Order) == []
