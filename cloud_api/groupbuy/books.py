"""A group order in the books: an advance while its team forms, then vouchers owed, then revenue at use.

A voucher is locked last and its order before it, so the books of an order are brought up to date by a
job of their own, written in the transaction of each change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy.buy import pays
from cloud_api.groupbuy.models import GroupOrder
from cloud_api.groupbuy.transitions import lock_order
from cloud_api.kit.actor import System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import DueJob
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.many import by_many, moved
from cloud_api.ledger.service import Slot, carry, holds_of, moves
from cloud_api.ledger.verify import still_to_run
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Voucher

BOOKS: Final = "groupbuy.books"
_SYSTEM: Final = System()


async def follow_later(
    session: AsyncSession, merchant_id: str, order_id: str, clocks: Clocks
) -> None:
    """Have the books of a group order follow, after this transaction."""
    await schedule(
        session,
        merchant_id=merchant_id,
        kind=BOOKS,
        ref=f"{order_id}:{new_id()}",  # each change has a job of its own, also within one instant
        run_at=clocks.real,
        clock="wire",
    )


async def follow(cloud: Cloud, job: DueJob) -> None:
    """Job ``groupbuy.books``: bring an order's accounts to where they belong; again does nothing."""
    async with cloud.db.write() as session:
        order = await lock_order(session, _SYSTEM, job.ref.partition(":")[0])
        await carry(
            session,
            store_id=order.store_id,
            subject=pays(order.id),
            targets=await _targets(session, order),
            kind="groupbuy",
            clocks=cloud.clocks,
        )


def targets(
    paid: Sequence[PaymentAttempt], refunds: Sequence[RefundAttempt], made: Sequence[Voucher]
) -> dict[Slot, int]:
    """Where the money of a group order belongs besides its advance: fen, as credits."""

    def worth(*states: str) -> int:
        return sum(one.value_fen - one.returned_fen for one in made if one.state in states)

    found: dict[Slot, int] = {
        (Account.REFUND_PAYABLE, ""): payments.sums(paid, refunds).refunding,
        (Account.VOUCHER, ""): worth("issued")
        + sum(v.value_fen for v in made if v.state == "expired" and v.refund_on_expiry),
        (Account.REVENUE, "voucher"): worth("redeemed"),
        (Account.REVENUE, "voucher_expired"): sum(
            v.value_fen for v in made if v.state == "expired" and not v.refund_on_expiry
        ),
    }
    return {slot: amount for slot, amount in found.items() if amount}


async def check(session: AsyncSession, merchant_id: str) -> list[str]:
    """For ``ledger.verify``: group orders whose accounts are not where their money belongs."""
    wrong: list[str] = []
    waiting = {ref.partition(":")[0] for ref in await still_to_run(session, merchant_id, BOOKS)}
    async for found in by_many(session, GroupOrder, merchant_id):
        subjects = [pays(one.id) for one in found]
        held = await holds_of(session, subjects)
        money = await moved(session, subjects)
        made = await vouchers.of_sources(session, subjects)
        for order, subject in zip(found, subjects, strict=True):
            if order.id in waiting:
                continue
            belongs = targets(money[subject].paid, money[subject].refunds, made[subject])
            wrong += [
                f"group order {order.number}: {line.account} is off by {line.amount_fen}"
                for line in moves(held.get(subject, {}), belongs)
            ]
    return wrong


async def _targets(session: AsyncSession, order: GroupOrder) -> dict[Slot, int]:
    return targets(
        await payments.payments_of(session, pays(order.id)),
        await payments.refunds_of(session, pays(order.id)),
        await vouchers.of_source(session, pays(order.id)),
    )
