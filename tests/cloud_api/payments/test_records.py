"""Any sequence of a provider's words, doubled, late, contradictory, leaves the tables of transitions.

Hypothesis invents what the provider says; each word is recorded in a transaction of its own on a real
database. Whatever is said: the state is reachable by the table, a success is never lost again, it is
settled by exactly one job, and a success of another amount is no success.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import DueJob
from cloud_api.payments.models import PaymentAttempt, ProviderAccount, RefundAttempt
from cloud_api.payments.providers.base import Back, Money, PaymentView, RefundView
from cloud_api.payments.records import SETTLED, record_payment, record_refund
from cloud_api.payments.transitions import GIVEN_BACK, PAYMENT, REFUND
from cloud_api.settings import Settings
from store_link.clock import ManualClock
from tests.cloud_api.factories import Shop, make_customer, make_store

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
AMOUNT = 7600

said_of_payments = st.lists(
    st.tuples(st.sampled_from(list(Money)), st.sampled_from([AMOUNT, AMOUNT, AMOUNT, 1, None])),
    max_size=12,
)
said_of_refunds = st.lists(
    st.tuples(st.sampled_from(list(Back)), st.sampled_from([AMOUNT, AMOUNT, AMOUNT, 1])),
    max_size=12,
)


@dataclass
class Desk:
    """A database on one engine, with a loop of its own: Hypothesis calls plain functions."""

    runner: asyncio.Runner
    db: Database
    shop: Shop
    account: ProviderAccount
    guest_id: str
    clocks: Clocks

    async def payment(self, state: str = "created") -> PaymentAttempt:
        number = new_id()
        payment = PaymentAttempt(
            merchant_id=self.shop.merchant.id,
            store_id=self.shop.store.id,
            account_id=self.guest_id,
            account_ref=self.account.id,
            provider="cashier",
            pays=f"order:{number}",
            part_of=f"order:{number}",
            number=number,
            amount_fen=AMOUNT,
            state=state,
            expires_at=NOON + timedelta(minutes=10),
            created_at=NOON,
        )
        async with self.db.write() as session:
            session.add(payment)
        return payment

    async def settled(self, payment: PaymentAttempt) -> int:
        async with self.db.read() as session:
            query = select(DueJob).where(col(DueJob.kind) == SETTLED, col(DueJob.ref) == payment.id)
            return len((await session.exec(query)).all())


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    use_vault(Settings(secrets="11" * 32).vault)
    clock = ManualClock(NOON)
    clocks = Clocks(clock, clock)
    kind = "sqlite_templates" if request.param == "sqlite" else "postgres_templates"
    with asyncio.Runner() as runner, request.getfixturevalue(kind).fresh() as url:

        async def make() -> Desk:
            db = Database(url)
            async with db.write() as session:
                shop = await make_store(session, NOON)
                guest = await make_customer(session, NOON)
                account = ProviderAccount(
                    merchant_id=shop.merchant.id,
                    provider="cashier",
                    name="收银台",
                    credentials="{}",
                    created_at=NOON,
                )
                session.add(account)
            return Desk(runner, db, shop, account, guest.id, clocks)

        made = runner.run(make())
        yield made
        runner.run(made.db.close())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=said_of_payments)
def test_payments(desk: Desk, said: list[tuple[Money, int | None]]) -> None:
    async def play() -> None:
        payment = await desk.payment()
        states = [payment.state]
        for money, amount in said:
            async with desk.db.write() as session:
                view = PaymentView(
                    money, payment.number, amount_fen=amount, provider_txn=f"T{payment.number}"
                )
                payment = await record_payment(session, payment.id, view, desk.clocks)
            states.append(payment.state)
        for was, now in pairwise(states):
            assert was == now or now in PAYMENT[was]
        right = (Money.SUCCEEDED, AMOUNT) in said
        assert (payment.state == "succeeded") is right
        assert await desk.settled(payment) == int(right)
        if right:
            assert states.index("succeeded") == 1 + said.index((Money.SUCCEEDED, AMOUNT))

    desk.runner.run(play())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=said_of_refunds)
def test_refunds(desk: Desk, said: list[tuple[Back, int]]) -> None:
    async def play() -> None:
        payment = await desk.payment("succeeded")
        refund = RefundAttempt(
            merchant_id=payment.merchant_id,
            store_id=payment.store_id,
            account_id=payment.account_id,
            payment_id=payment.id,
            number=f"{payment.number}-R1",
            amount_fen=AMOUNT,
            reason="test",
            created_at=NOON,
        )
        async with desk.db.write() as session:
            session.add(refund)
        states = [refund.state]
        for back, amount in said:
            async with desk.db.write() as session:
                view = RefundView(back, refund.number, amount_fen=amount, provider_refund="R")
                refund = await record_refund(session, refund.id, view, desk.clocks)
            states.append(refund.state)
        for was, now in pairwise(states):
            assert was == now or now in REFUND[was]
        ends = [
            back
            for back, fen in said
            if (back, fen) == (Back.SUCCEEDED, AMOUNT) or back is Back.FAILED
        ]
        assert (refund.state == "succeeded") is (ends[-1:] == [Back.SUCCEEDED])  # it may come back

    desk.runner.run(play())


def test_the_tables_end_where_money_has_moved() -> None:
    assert PAYMENT["succeeded"] == frozenset()
    assert {state: set(REFUND[state]) for state in GIVEN_BACK} == {
        "succeeded": {"failed"},  # a bank may send it back
        "by_hand": set(),
    }
    for table in (PAYMENT, REFUND):
        assert set().union(*table.values()) <= set(table)
        assert all("succeeded" in after for was, after in table.items() if was not in GIVEN_BACK)
