"""I9, its second half: the statistics equal the ledger, whatever happened and however often they are made.

The same random lives of orders and money as in test_i09_books; then every day's rollup is compared with
the books by queries of its own, and with the facts that a drill-down would list.
"""

from __future__ import annotations

import random
from datetime import date

import httpx
import pytest
from sqlalchemy import func
from sqlmodel import col, select, update

from cloud_api.kit.errors import KaimenError
from cloud_api.ledger.models import LedgerEntry, LedgerTxn
from cloud_api.orders import store_events
from cloud_api.orders.models import Order
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.reports import facts, rollup
from cloud_api.reports.crowd import unpacked
from cloud_api.reports.measures import CASH, COLUMNS, REVENUE
from cloud_api.reports.models import (
    ReportCrowd,
    ReportDay,
    ReportGuest,
    ReportLife,
    ReportMonthPart,
    ReportPart,
)
from tests.cloud_api.house import House
from tests.invariants.test_i09_books import _act, _guest, _settle_everything, _stage


async def _assert_statistics_are_the_ledgers(house: House) -> int:
    """How many days were compared."""
    async with house.cloud.db.read() as session:
        rolled = {(r.store_id, r.day): r for r in (await session.exec(select(ReportDay))).all()}
        parts = (await session.exec(select(ReportPart))).all()
        earned = await session.exec(
            select(
                col(LedgerEntry.store_id),
                col(LedgerEntry.day),
                func.sum(-col(LedgerEntry.amount_fen)),
            )
            .where(col(LedgerEntry.account) == "revenue")
            .group_by(col(LedgerEntry.store_id), col(LedgerEntry.day))
        )
        revenue = {(s, d): int(fen) for s, d, fen in earned.all() if fen}
        stays = (
            await session.exec(
                select(Order).where(col(Order.status).in_(("paid", "ready", "in_use", "completed")))
            )
        ).all()
        lives = (await session.exec(select(ReportLife))).all()
        visits = (await session.exec(select(ReportGuest))).all()
        months = (await session.exec(select(ReportMonthPart))).all()
        years = (
            await session.exec(select(ReportCrowd).where(col(ReportCrowd.span) == "year"))
        ).all()
        for (_, day), row in rolled.items():
            told = await facts.of_day(session, house.shop.store, day)
            for name in COLUMNS:
                listed = sum(fact.values.get(name, 0) for fact in told.facts)
                assert getattr(row, name) == listed, (day, name)
    mine = {k: sum(getattr(r, c) for c in REVENUE) for k, r in rolled.items()}
    assert {k: fen for k, fen in mine.items() if fen} == revenue
    for (store, day), row in rolled.items():
        pieces = [p for p in parts if (p.store_id, p.day) == (store, day)]
        for name in COLUMNS:
            assert getattr(row, name) == sum(getattr(p, name) for p in pieces)
    for name in COLUMNS:  # months and years are their days, no more
        assert sum(getattr(m, name) for m in months) == sum(getattr(p, name) for p in parts), name
    came = {v.account_id for v in visits}
    assert sum(unpacked(c.came).bit_count() for c in years) == len(came)
    assert sum(r.stays for r in rolled.values()) == len(stays)
    assert sum(r.stay_fen for r in rolled.values()) == sum(
        o.paid_fen - o.refunded_fen - o.refunding_fen for o in stays
    )
    assert sum(v.visits for v in lives) == sum(v.visits for v in visits) == len(stays)
    return len(rolled)


async def _cash(house: House) -> tuple[int, int]:
    """What the statistics say came in; what the cashier and the drawer say."""
    async with house.cloud.db.read() as session:
        told = (
            await session.exec(
                select(*(func.coalesce(func.sum(getattr(ReportDay, c)), 0) for c in CASH))
            )
        ).one()
        desk_in = await session.scalar(
            select(func.coalesce(func.sum(col(PaymentAttempt.amount_fen)), 0)).where(
                col(PaymentAttempt.provider) == "cash", col(PaymentAttempt.state) == "succeeded"
            )
        )
        desk_out = await session.scalar(
            select(func.coalesce(func.sum(col(RefundAttempt.amount_fen)), 0))
            .join(PaymentAttempt, col(PaymentAttempt.id) == col(RefundAttempt.payment_id))
            .where(col(PaymentAttempt.provider) == "cash", col(RefundAttempt.state) == "succeeded")
        )
    till_in = sum(p["amount_fen"] for p in house.till.payments().values() if p["state"] == "paid")
    till_out = sum(r["amount_fen"] for r in house.till.refunds().values() if r["state"] == "done")
    return sum(int(one) for one in told), till_in - till_out + int(desk_in or 0) - int(
        desk_out or 0
    )


async def _play(house: House, seed: int, acts: int) -> None:
    dice = random.Random(seed)
    owner, plan = await _stage(house, deposit_fen=dice.choice((0, 5_000)))
    orders: list[Order] = []
    for number in range(acts):
        if number % 6 == 0:
            house.guest = await _guest(house)
            gone = (house.cloud.clocks.now - house.noon).total_seconds() / 3600
            try:
                room = dice.choice(house.shop.rooms)
                orders.append(await house.order(room=room, in_h=int(gone) + dice.choice((3, 9))))
            except KaimenError:
                if not orders:
                    raise
        if number % 10 == 9:
            await rollup.catch_up(house.cloud)  # in the midst of it as well
        try:
            await _act(house, dice, owner, plan, dice.choice(orders))
        except (KaimenError, httpx.HTTPStatusError):
            continue
    house.passes(4 * 86400)
    await _settle_everything(house, owner)
    await rollup.catch_up(house.cloud)
    assert await _assert_statistics_are_the_ledgers(house) > 1
    told, moved = await _cash(house)
    assert told == moved
    before = await _snapshot(house)
    async with house.cloud.db.write() as session:
        await rollup.touch(session, min(d for _, d in before), max(d for _, d in before))
    assert await rollup.catch_up(house.cloud) >= len(before)
    assert await _snapshot(house) == before


async def _snapshot(house: House) -> dict[tuple[str, date], tuple[int, ...]]:
    async with house.cloud.db.read() as session:
        rows = (await session.exec(select(ReportDay))).all()
    return {(r.store_id, r.day): tuple(getattr(r, c) for c in COLUMNS) for r in rows}


async def test_statistics_equal_the_ledger(house: House) -> None:
    await _play(house, 3, 24)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(200, 220))
async def test_many_statistics_equal_the_ledger(house: House, seed: int) -> None:
    await _play(house, seed, 150)


async def test_control_a_figure_that_is_off_is_found(house: House) -> None:
    """The negative control: a fen more in a rollup, and the comparison says so; a rebuild mends it."""
    used = await house.paid_order()
    house.passes(30 * 3600)
    async with house.cloud.db.write() as session:
        await store_events.complete_forgotten(session, used.id, house.cloud.clocks)
    house.passes(600)
    await rollup.catch_up(house.cloud)
    assert await _assert_statistics_are_the_ledgers(house) >= 1
    async with house.cloud.db.write() as session:
        day = (
            await session.exec(select(col(LedgerTxn.day)).where(col(LedgerTxn.kind) == "order"))
        ).one()
        await session.exec(
            update(ReportDay)
            .where(col(ReportDay.day) == day)
            .values(room_fen=col(ReportDay.room_fen) + 1)
        )
    with pytest.raises(AssertionError):
        await _assert_statistics_are_the_ledgers(house)
    async with house.cloud.db.write() as session:
        await rollup.rebuild(session, house.shop.store.id, day, house.cloud.clocks)
    await _assert_statistics_are_the_ledgers(house)
