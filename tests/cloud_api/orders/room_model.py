"""One room and its bookings as a machine for hypothesis: every act on the real services, every outcome
beside a model that knows intervals and statuses only.

Time is injected. Money comes as a provider's word through payments/records.py and dispatch.py, late and
for what was given up as well; nothing is asked of a provider.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from sqlmodel import col, select

from cloud_api.auth.models import Account
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.actor import Customer
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.models import DueJob
from cloud_api.kit.process import make_cloud
from cloud_api.ledger.verify import verify
from cloud_api.orders import cancel, change_service, changes, differences, finish, hold, place
from cloud_api.orders import store_events as store
from cloud_api.orders.books import part_of
from cloud_api.orders.models import Order, OrderChange, OrderEvent, OrderLine
from cloud_api.orders.money import pays
from cloud_api.orders.transitions import TABLE
from cloud_api.payments import dispatch
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.payments.providers.base import Back, Money, PaymentView, RefundView
from cloud_api.payments.records import record_payment, record_refund
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.pricing import service as pricing
from cloud_api.settings import Settings
from cloud_api.worker import register_jobs
from store_link.clock import ManualClock
from store_link.messages import StayBody, StayState
from tests.cloud_api.conftest import NOON, SECRETS
from tests.cloud_api.factories import Shop, customer, make_customer, make_store

HALF = timedelta(minutes=30)
CLEANING = timedelta(minutes=15)
LIVE = {"pending_payment", "paid", "ready", "in_use"}
_Made = TypeVar("_Made")


@dataclass
class Booked:
    """What the model knows of an order."""

    who: Customer
    status: str
    starts: datetime
    ends: datetime
    held: str | None = None  # the change that waits for its money
    held_span: tuple[datetime, datetime] | None = None
    hold_ran_out: bool = False

    @property
    def span(self) -> tuple[datetime, datetime]:
        return self.starts, self.ends + CLEANING


class Ground:
    """The database, and a loop of its own: hypothesis runs its machines without one."""

    def __init__(self, url: str, folder: Path) -> None:
        register_jobs()
        self.runner = asyncio.Runner()
        settings = Settings(
            database_url=url, secrets=SECRETS, data_dir=folder, run_worker=False,
            public_url="http://kaimen.test",
        )  # fmt: skip
        self.business, self.wire = ManualClock(NOON), ManualClock(NOON)
        self.cloud: Cloud = make_cloud(settings, Clocks(self.business, self.wire))

    def close(self) -> None:
        self.runner.run(self.cloud.http.aclose())
        self.runner.run(self.cloud.db.close())
        self.runner.close()


class OneRoom(RuleBasedStateMachine):
    """A subclass names its ``ground``. Each run has a store of its own."""

    ground: Ground
    orders = Bundle("orders")
    attempts = Bundle("attempts")

    def run(self, act: Awaitable[_Made]) -> _Made:
        async def awaited() -> _Made:
            return await act

        return self.ground.runner.run(awaited())

    @property
    def now(self) -> datetime:
        return self.ground.cloud.clocks.now

    @initialize()
    def open_a_store(self) -> None:
        self.cloud = self.ground.cloud
        self.booked: dict[str, Booked] = {}
        self.blocks: list[tuple[datetime, datetime]] = []  # cleaning after stays that ended
        self.seen = 0
        self.shop: Shop = self.run(self._open())

    async def _open(self) -> Shop:
        # Whole hours, so that starts are on the store's step however far the last run went.
        ahead = (-self.now.timestamp()) % 3600
        self.pass_s(ahead)
        async with self.cloud.db.write() as session:
            shop = await make_store(session, self.now, rooms=1)
            await payments.add_account(
                session,
                merchant_id=shop.merchant.id,
                provider="cashier",
                name="收银台",
                credentials=json.dumps(
                    {
                        "base_url": "http://127.0.0.1:9",  # nothing is asked of it
                        "merchant": "m1",
                        "private_key": "11" * 32,
                        "cashier_key": "22" * 32,
                    }
                ),
                clocks=self.cloud.clocks,
            )
        return shop

    def pass_s(self, seconds: float) -> None:
        self.ground.business.pass_time(seconds)
        self.ground.wire.pass_time(seconds)

    def is_free(self, span: tuple[datetime, datetime], but: str | None = None) -> bool:
        """By the model: no live booking, held change or cleaning has any of it."""
        taken = [*self.blocks]
        for key, one in self.booked.items():
            if key != but and one.status in LIVE:
                taken.append(one.span)
            if key != but and one.held_span is not None:
                taken.append(one.held_span)
        return all(span[1] <= start or end <= span[0] for start, end in taken)

    # ------------------------------------------------------------------------------------- booking

    @rule(
        target=orders,
        slot=st.integers(2, 13),
        halves=st.integers(2, 6),
        paid=st.sampled_from([True, True, False]),
    )
    def book(self, slot: int, halves: int, paid: bool) -> object:
        """Hold the room: it works exactly where the model says that it is free."""
        first = NOON + HALF * -(-(self.now - NOON) // HALF)
        starts = first + HALF * slot
        ends = starts + HALF * halves
        free = self.is_free((starts, ends + CLEANING))
        try:
            order, guest = self.run(self._book(starts, ends))
        except Conflict as refused:
            if refused.code != "book.taken" or free:
                raise
            return multiple()
        assert free
        one = Booked(customer(guest), "pending_payment", starts, ends)
        self.booked[order.id] = one
        if paid:
            self._money(self.run(self._open_payment(order.id, one)))
        return order.id

    async def _book(self, starts: datetime, ends: datetime) -> tuple[Order, Account]:
        async with self.cloud.db.write() as session:
            guest = await make_customer(session, self.now)
            who, clocks = customer(guest), self.cloud.clocks
            quote = await pricing.quote(session, who, self.shop.room.id, starts, ends, clocks)
            return await place.place(session, who, quote.id, clocks), guest

    # --------------------------------------------------------------------------------------- money

    @rule(target=attempts, key=orders)
    def open_payment(self, key: str) -> object:
        """Write an attempt for what waits for money: the order, or its change."""
        one = self.booked[key]
        if one.status != "pending_payment" and one.held is None:
            return multiple()
        return self.run(self._open_payment(key, one))

    async def _open_payment(self, key: str, one: Booked) -> str:
        async with self.cloud.db.write() as session:
            order = await session.get_one(Order, key)
            change = None if one.held is None else await session.get_one(OrderChange, one.held)
            attempt = await differences.collect(
                session,
                self.cloud,
                order,
                pays=pays(key) if change is None else changes.pays(change),
                amount_fen=order.total_fen if change is None else change.diff_fen,
                subject="包间",
                expires_at=self.now + timedelta(minutes=10),
                provider="cashier",
            )
            return attempt.id

    @rule(attempt=consumes(attempts))
    def money_arrives(self, attempt: str) -> None:
        """In time, late, or for what was given up."""
        self._money(attempt)

    @rule(key=orders)
    def pay_for_change(self, key: str) -> None:
        """What an extension or another time costs, at once."""
        one = self.booked[key]
        if one.held is not None:
            self._money(self.run(self._open_payment(key, one)))

    def _money(self, attempt: str) -> None:
        """The model says what money may do."""
        payment, order, change = self.run(self._arrive(attempt))
        one = self.booked[order.id]
        if change is not None:
            if change.state == "applied":
                self._applied(one, change)
            elif one.held == change.id:
                one.held = one.held_span = None
            assert payment.applied is not None
            return
        half = one.starts + (one.ends - one.starts) / 2
        if one.status == "pending_payment":
            one.status = "ready"
        elif one.hold_ran_out and self.now < half and self.is_free(one.span):
            one.status, one.hold_ran_out = "ready", False
        if payment.applied not in {"order", "late_restored"}:
            assert order.refunding_fen + order.refunded_fen >= payment.amount_fen

    async def _arrive(self, attempt: str) -> tuple[PaymentAttempt, Order, OrderChange | None]:
        async with self.cloud.db.write() as session:
            payment = await session.get_one(PaymentAttempt, attempt)
            view = PaymentView(
                Money.SUCCEEDED,
                payment.number,
                amount_fen=payment.amount_fen,
                provider_txn=f"t-{payment.number}",
                at=self.now,
            )
            await record_payment(session, attempt, view, self.cloud.clocks)
            for _ in range(2):  # told twice, done once
                await dispatch.settle(session, attempt, self.cloud.clocks)
            await session.refresh(payment)
            order = await session.get_one(Order, payment.part_of.partition(":")[2])
            kind, _, ref = payment.pays.partition(":")
            change = None if kind == "order" else await session.get_one(OrderChange, ref)
            return payment, order, change

    @rule()
    def refunds_arrive(self) -> None:
        """Whatever is on its way back is there."""
        self.run(self._refunds_arrive())

    async def _refunds_arrive(self) -> None:
        async with self.cloud.db.write() as session:
            query = select(RefundAttempt).where(
                col(RefundAttempt.merchant_id) == self.shop.merchant.id,
                col(RefundAttempt.state) == "created",
            )
            for refund in (await session.exec(query)).all():
                view = RefundView(
                    Back.SUCCEEDED,
                    refund.number,
                    amount_fen=refund.amount_fen,
                    provider_refund=f"r-{refund.number}",
                )
                await record_refund(session, refund.id, view, self.cloud.clocks)
                await dispatch.refund_changed(session, refund.id, self.cloud.clocks)

    # ------------------------------------------------------------------------------------- changes

    @rule(key=orders, minutes=st.sampled_from([30, 60]))
    def extend(self, key: str, minutes: int) -> None:
        self._change(key, change_service.extend(self.cloud, self.booked[key].who, key, minutes))

    @rule(key=orders, halves=st.integers(-4, 4).filter(bool))
    def move(self, key: str, halves: int) -> None:
        one = self.booked[key]
        starts, ends = one.starts + HALF * halves, one.ends + HALF * halves
        self._change(key, change_service.move(self.cloud, one.who, key, None, starts, ends))

    def _change(self, key: str, act: Awaitable[OrderChange]) -> None:
        one = self.booked[key]
        try:
            made = self.run(act)
        except KaimenError as refused:
            if refused.status >= 500:
                raise
            return
        assert one.status in {"paid", "ready", "in_use"}
        one.held = one.held_span = None  # another that was held gave way
        span = (made.starts_at, made.ends_at + CLEANING)
        assert self.is_free(span, but=key)
        if made.state == "applied":
            self._applied(one, made)
        else:
            one.held, one.held_span = made.id, span

    def _applied(self, one: Booked, change: OrderChange) -> None:
        one.starts, one.ends = change.starts_at, change.ends_at
        one.held = one.held_span = None

    # ---------------------------------------------------------------------------------- the way out

    @rule(key=orders, sure=st.integers(0, 2))
    def give_up(self, key: str, sure: int) -> None:
        """Cancel: refused once it runs or is over, and then nothing has changed."""
        one = self.booked[key]
        if sure < 2:  # mostly people come
            return
        try:
            self.run(self._cancel(key, one))
        except Conflict as refused:
            if not refused.code.startswith("cancel.") or one.status in {
                "pending_payment", "cancelled",
            }:  # fmt: skip
                raise
            return
        assert one.status in {*LIVE, "cancelled"} - {"in_use"}
        if one.status != "cancelled":
            one.status, one.hold_ran_out = "cancelled", False
            one.held = one.held_span = None

    async def _cancel(self, key: str, one: Booked) -> None:
        async with self.cloud.db.write() as session:
            await cancel.cancel(session, one.who, key, self.cloud.clocks)

    @rule(minutes=st.sampled_from([2, 5, 9, 11, 40]))
    def time_passes(self, minutes: int) -> None:
        """Holds that ran out are given up, once their providers said that nobody will pay."""
        self.pass_s(minutes * 60)
        self.run(self._expire())

    async def _expire(self) -> None:
        clocks = self.cloud.clocks
        for key, one in self.booked.items():
            async with self.cloud.db.read() as session:
                order = await session.get_one(Order, key)
                change = None if one.held is None else await session.get_one(OrderChange, one.held)
            over = one.status == "pending_payment" and order.hold_expires_at <= self.now
            late = change is not None and change.hold_expires_at <= self.now
            if not (over or late):
                continue
            async with self.cloud.db.write() as session:
                for attempt in await payments.payments_in(session, part_of(key)):
                    if attempt.state in OPEN_PAYMENT:
                        view = PaymentView(Money.CLOSED, attempt.number)
                        await record_payment(session, attempt.id, view, clocks)
            if over:
                await hold.hold_ended(self.cloud, _job(self.shop, place.HOLD, key))
                one.status, one.hold_ran_out = "cancelled", True
            if late and one.held is not None:
                await changes.ended(self.cloud, _job(self.shop, changes.END, one.held))
                one.held = one.held_span = None

    @precondition(lambda self: any(one.status == "ready" for one in self.booked.values()))
    @rule()
    def go_in(self) -> None:
        """The next ready order's guests come at its start."""
        key, one = min(
            ((k, o) for k, o in self.booked.items() if o.status == "ready"),
            key=lambda pair: pair[1].starts,
        )
        if any(o.status == "in_use" for o in self.booked.values()):
            return
        self.pass_s(max(0.0, (one.starts - self.now).total_seconds()))
        self.run(self._expire())
        self.run(self._stay(key, StayState.OPEN, StayState.IN_USE, "unlock"))
        one.status = "in_use"

    @precondition(lambda self: any(one.status == "in_use" for one in self.booked.values()))
    @rule(early=st.booleans())
    def leave(self, early: bool) -> None:
        """Finish now, or stay until the end."""
        key, one = next((k, o) for k, o in self.booked.items() if o.status == "in_use")
        if early and self.now < one.ends:
            self.run(self._finish(key, one))
        else:
            self.pass_s(max(0.0, (one.ends - self.now).total_seconds()))
            self.run(self._expire())
        at = self.now
        self.run(self._stay(key, StayState.IN_USE, StayState.ENDED, "finished"))
        one.status = "completed"
        one.held = one.held_span = None
        self.blocks.append((min(one.starts, at), max(at, one.starts + timedelta(seconds=1))))
        until = at + CLEANING
        following = [
            o.starts for o in self.booked.values() if o.status in LIVE and o.starts >= at
        ] + [o.held_span[0] for o in self.booked.values() if o.held_span and o.held_span[0] >= at]
        self.blocks.append((at, min([until, *following])))

    async def _finish(self, key: str, one: Booked) -> None:
        async with self.cloud.db.write() as session:
            await finish.finish(session, one.who, key, self.cloud.clocks, "test")

    async def _stay(self, key: str, was: StayState, now: StayState, why: str) -> None:
        async with self.cloud.db.write() as session:
            order = await session.get_one(Order, key)
            body = StayBody(stay=order.claim_id, room=order.room_id, was=was, now=now, why=why)
            await store.apply_stay(session, self.shop.store, body, self.now, self.cloud.clocks)

    # ----------------------------------------------------------------------------- what always holds

    @invariant()
    def everything_agrees(self) -> None:
        if self.booked:
            self.run(self._look())

    async def _look(self) -> None:
        async with self.cloud.db.read() as session:
            mine = self.shop.store.id
            orders = (await session.exec(select(Order).where(col(Order.store_id) == mine))).all()
            claims = await session.exec(
                select(RoomClaim).where(
                    col(RoomClaim.store_id) == mine, col(RoomClaim.state) != "released"
                )
            )
            spans = sorted((one.block_from, one.block_until) for one in claims.all())
            assert all(a[1] <= b[0] for a, b in pairwise(spans)), "overlap"
            told = {key: one.status for key, one in self.booked.items()}
            assert {order.id: order.status for order in orders} == told
            for order in orders:
                one = self.booked[order.id]
                assert (order.starts_at, order.ends_at) == (one.starts, one.ends)
                paid = await payments.payments_in(session, part_of(order.id))
                back = await payments.refunds_in(session, part_of(order.id))
                came = sum(p.amount_fen for p in paid if p.state == "succeeded")
                went = sum(r.amount_fen for r in back if r.state == "succeeded")
                going = sum(r.amount_fen for r in back if r.state == "created")
                assert (order.paid_fen, order.refunded_fen, order.refunding_fen) == (
                    came, went, going,
                )  # fmt: skip
                assert went + going <= came
                lines = select(OrderLine.amount_fen).where(col(OrderLine.order_id) == order.id)
                assert sum((await session.exec(lines)).all()) == order.total_fen
            query = select(OrderEvent).where(
                col(OrderEvent.store_id) == mine, col(OrderEvent.kind) == "status"
            )
            for event in (await session.exec(query)).all():
                assert event.now in TABLE[event.was or ""], (event.was, event.now)
            assert await verify(session, self.shop.merchant.id) == []


def _job(shop: Shop, kind: str, ref: str) -> DueJob:
    return DueJob(merchant_id=shop.merchant.id, kind=kind, ref=ref, run_at=NOON)
