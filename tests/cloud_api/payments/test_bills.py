"""Reconciliation at the real simulators: what is missing heals, the rest waits for a person, or is balanced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import col, func, select

import cloud_api.ledger.jobs  # noqa: F401  registers its handlers
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError, NotFound
from cloud_api.kit.models import AlarmSignal, DueJob
from cloud_api.ledger.fees import check as fees_checked
from cloud_api.ledger.models import LedgerEntry
from cloud_api.payments import bill_desk, bills
from cloud_api.payments.bill_models import BillDifference
from cloud_api.payments.matching import Ours, compare
from cloud_api.payments.models import Notification, ProviderAccount
from cloud_api.payments.providers.base import BillLine
from cloud_api.staff.permissions import MONEY_RECONCILE, REPORT_READ
from tests.cloud_api.house import House
from tests.cloud_api.market import Market, both_counters, open_market
from tests.support.providers import Counter


@pytest.fixture
def counters(clocks: Clocks) -> Iterator[dict[str, Counter]]:
    with both_counters(clocks) as running:
        yield running


@pytest.fixture
async def market(house: House, counters: dict[str, Counter]) -> Market:
    return await open_market(house, counters)


def owner_of(market: Market, *permissions: str) -> Staff:
    merchant = market.house.shop.merchant.id
    return Staff("s1", "a1", merchant, frozenset(permissions or (REPORT_READ, MONEY_RECONCILE)))


async def test_a_day_of_both_providers_from_payment_to_balanced(market: Market) -> None:
    """Also: keys fetched by the job, notifications, refunds at both, foreign refunds, wrong bills, and fees
    in the books, which follow a bill that is read again.
    """
    house = market.house
    async with house.cloud.db.read() as session:
        wechat = await session.get_one(ProviderAccount, market.accounts["wechat"].id)
        assert len(wechat.keys) == 1
    paid: dict[str, tuple[int, int]] = {}

    async def booked(provider: str) -> int:
        async with house.cloud.db.read() as session:
            assert await fees_checked(session, house.shop.merchant.id) == []
            kept = select(func.sum(col(LedgerEntry.amount_fen))).where(
                col(LedgerEntry.account) == "provider_fee",
                col(LedgerEntry.detail) == market.accounts[provider].id,
                col(LedgerEntry.store_id) == house.shop.store.id,
            )
            return int((await session.exec(kept)).one() or 0)

    gaps: list[BillDifference] = []
    for hour, provider in enumerate(("wechat", "alipay")):
        counter = market.counters[provider]
        kept, kept_payment = await market.paid(provider, in_h=3 + 3 * hour)
        assert (await house.again(kept)).paid_fen == kept.total_fen
        # Somebody refunds a part in the provider's own console: it is recorded here.
        counter.give_back(kept_payment.number, f"OWN-{provider}-R1", 1000)

        async def known(order: object = kept) -> bool:
            house.passes(2)
            return (await house.again(order)).refunded_fen == 1000  # type: ignore[arg-type]

        await house.run(known)
        assert [r.origin for r in await house.refunds(kept)] == ["provider"]
        # The money of this one came, and nobody told us; the watch sees it, or the bill.
        order = await house.order(in_h=9 + 3 * hour)
        payment = await market.pay(order, provider)
        counter.faults(payment.number, notify_drop=-1)
        house.passes(700)
        await house.finish_all()
        assert (await house.again(order)).status == "cancelled"
        counter.pay(payment.number, late=True)
        paid[provider] = (kept.total_fen, payment.amount_fen)
        counter.faults(kept_payment.number, bill_extra=True, bill_off_fen=5)
    day = market.to_bill_time()
    for provider in ("wechat", "alipay"):
        bill, gaps = await market.bill(provider, day)
        assert (bill.state, bill.healed, bill.lines) == ("open", 1, 4), (provider, bill, gaps)
        fen = paid[provider][0]
        assert sorted((g.category, g.kind, g.theirs_fen, g.ours_fen) for g in gaps) == [
            ("amount", "payment", fen + 5, fen),
            ("missing_here", "payment", fen, None),
        ]
        await house.quiet()
        assert await booked(provider) == bill.fee_fen  # also of the line that is nobody's
        await house.finish_all()  # the late money has its effect: room back, or refunded
        market.counters[provider].faults()
        again, gaps = await market.bill(provider, day)
        assert again.state == "balanced", gaps
        assert {g.state for g in gaps} == {"healed"}
        assert again.theirs_paid_fen == again.ours_paid_fen == sum(paid[provider])
        assert again.theirs_refunded_fen == again.ours_refunded_fen
        assert again.fee_fen > 0
        await house.quiet()
        assert await booked(provider) == again.fee_fen
    async with house.cloud.db.read() as session:
        signals = select(AlarmSignal).where(col(AlarmSignal.kind) == bills.UNBALANCED)
        assert [s.active for s in (await session.exec(signals)).all()] == [False, False]


async def test_what_is_left_is_closed_by_a_person_with_a_note(market: Market) -> None:
    house = market.house
    _, payment = await market.paid("wechat")
    market.counters["wechat"].faults(payment.number, bill_missing=True)
    day = market.to_bill_time()
    bill, _ = await market.bill("wechat", day)
    assert (bill.state, bill.last_error) == ("waiting", "empty, though there was money")
    gaps: list[BillDifference] = []
    for _ in range(6):
        bill, gaps = await market.bill("wechat", day)
    assert [(g.category, g.number, g.pays) for g in gaps] == [
        ("missing_there", payment.number, payment.pays)
    ]
    clocks = house.cloud.clocks
    stranger = Staff("s2", "a2", "another", frozenset({REPORT_READ, MONEY_RECONCILE}))
    async with house.cloud.db.write() as session:
        with pytest.raises(Forbidden):
            await bill_desk.resolve(
                session, owner_of(market, REPORT_READ), gaps[0].id, "looked", clocks
            )
        with pytest.raises(NotFound):
            await bill_desk.resolve(session, stranger, gaps[0].id, "looked", clocks)
        with pytest.raises(KaimenError, match="查到了什么"):
            await bill_desk.resolve(session, owner_of(market), gaps[0].id, " ", clocks)
        await bill_desk.resolve(session, owner_of(market), gaps[0].id, "已核对", clocks)
        with pytest.raises(Conflict):
            await bill_desk.resolve(session, owner_of(market), gaps[0].id, "again", clocks)
    bill, gaps = await market.bill("wechat", day)  # read anew: what a person closed stays closed
    assert (bill.state, [g.state for g in gaps], gaps[0].note) == (
        "balanced",
        ["resolved"],
        "已核对",
    )
    async with house.cloud.db.write() as session:
        shown = await bill_desk.list_bills(session, owner_of(market), state="balanced")
        assert [read.bill.day for read in shown] == [day]
        assert await bill_desk.list_bills(session, stranger) == []
        await bill_desk.read_again(session, owner_of(market), bill.id, clocks)
    tries = bill.tries
    await house.quiet()
    bill, _ = await market.bill("wechat", day)
    assert bill.tries == tries + 3  # the daily one, the one that was asked for, and this


async def test_the_bill_of_each_day_is_read_by_itself_and_the_next_day_after_it(
    market: Market,
) -> None:
    house = market.house
    await market.paid("alipay")
    await house.finish_all()
    house.passes(24 * 3600)

    async def read() -> bool:
        async with house.cloud.db.write() as session:
            found = await bill_desk.list_bills(session, owner_of(market))
        return [one.bill.state for one in found] == ["balanced"]

    await house.run(read)
    async with house.cloud.db.read() as session:
        query = select(DueJob).where(col(DueJob.kind) == bills.BILL, col(DueJob.done_at).is_(None))
        ahead = (await session.exec(query)).all()
    assert [job.ref.rpartition(":")[2] for job in ahead] == ["2026-11-24"]


@pytest.mark.parametrize("provider", ["wechat", "alipay"])
async def test_each_way_of_lying_about_a_payment_moves_nothing(
    market: Market, provider: str
) -> None:
    """Through the real endpoint, in the provider's own words; in the end the money counts once."""
    house, counter = market.house, market.counters[provider]
    knobs = ["notify_bad_signature", "notify_other_merchant", "notify_unknown_serial"]
    knobs += ["notify_probe", "notify_stale"] if provider == "wechat" else []
    order = await house.order()
    payment = await market.pay(order, provider)
    counter.faults(
        payment.number, notify_duplicate=1, notify_again_as_new=1, **dict.fromkeys(knobs, 1)
    )
    counter.pay(payment.number)

    async def taken() -> bool:
        house.passes(30)
        return bool(counter.messages()[0]["done"] == "taken")

    await house.run(taken)
    await house.finish_all()
    assert (await house.again(order)).paid_fen == 7600
    async with house.cloud.db.read() as session:
        told = (await session.exec(select(Notification))).all()
    assert told
    assert all(row.handled_at is not None for row in told if row.result)


ours = st.builds(
    Ours,
    kind=st.sampled_from(["payment", "refund"]),
    number=st.sampled_from(["a", "b", "c"]),
    amount_fen=st.sampled_from([1, 2]),
    moved=st.booleans(),
    state=st.just(""),
    pays=st.just(""),
    store_id=st.just(""),
)
line = st.builds(
    BillLine,
    kind=st.sampled_from(["payment", "refund"]),
    number=st.sampled_from(["a", "b", "c"]),
    payment_number=st.just("p"),
    amount_fen=st.sampled_from([1, 2]),
    at=st.just(datetime(2026, 11, 23, tzinfo=UTC)),
    state=st.sampled_from(["succeeded", "failed"]),
)


@given(
    lines=st.lists(line, unique_by=lambda one: (one.kind, one.number), max_size=6),
    mine=st.lists(ours, unique_by=lambda one: one.key, max_size=6),
)
def test_nothing_to_tell_means_that_the_sums_are_the_same(
    lines: list[BillLine], mine: list[Ours]
) -> None:
    """And the other way round: each difference in a number is told."""
    found = compare(lines, {one.key: one for one in mine}, mine, ())
    theirs = {(one.kind, one.number): one.amount_fen for one in lines if one.state == "succeeded"}
    counted = {one.key: one.amount_fen for one in mine if one.moved}
    assert (not found) is (theirs == counted)
