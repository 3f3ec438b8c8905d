"""What runs later around orders: the end of a hold, money that arrived, refunds that moved.

Importing this module registers the handlers.
"""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob
from cloud_api.ledger.verify import check
from cloud_api.orders import (
    books,
    books_check,
    changes,
    confirm,
    deposit_claims,
    deposits,
    export,
    followers,
    guests,
    hold,
    money,
    no_show,
    overstay,
    overtime,
    place,
    refund_wait,
    store_events,
    transitions,
    waitlist,
)
from cloud_api.payments import dispatch


async def _settle_order(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    await money.settle(session, payment_id, clocks)


async def _settle_overtime(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    await overtime.settle(session, payment_id, clocks)


async def _settle_change(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    await changes.settle(session, payment_id, clocks)


async def _refund_changed(session: AsyncSession, refund_id: str, clocks: Clocks) -> None:
    await money.refund_changed(session, refund_id, clocks)


async def _forgotten(cloud: Cloud, job: DueJob) -> None:
    async with cloud.db.write() as session:
        await store_events.complete_forgotten(session, job.ref, cloud.clocks)


async def _figures(cloud: Cloud, job: DueJob) -> None:
    merchant_id, account_id = job.ref.split(".")[:2]
    async with cloud.db.write() as session:
        await guests.count(session, merchant_id, account_id, cloud.clocks)


register(guests.FIGURES, _figures)
followers.follow("guests", guests.follow)
followers.follow("refund_wait", refund_wait.cancelled)
register(export.MAKE, export.make)
register(money.FORGOTTEN, _forgotten)
register(overstay.LOOK, overstay.look)
register(place.HOLD, hold.hold_ended)
register(books.DEPOSIT_RETURN, deposits.return_due)
register(deposit_claims.CLAIM, deposit_claims.claim_due)
check("orders", books_check.check)
register(refund_wait.LOOK, refund_wait.look)
register(changes.END, changes.ended)
register(no_show.LOOK, no_show.look)
register(transitions.WAITLIST, waitlist.look)
register(waitlist.OFFER_END, waitlist.offer_ended)
register(money.NOT_CONFIRMED, confirm.late)
money.on_ready(no_show.watch)
dispatch.register("order", settle=_settle_order, refund_changed=_refund_changed)
dispatch.register(overtime.KIND, settle=_settle_overtime, refund_changed=_refund_changed)
for _kind in changes.KINDS.values():
    dispatch.register(_kind, settle=_settle_change, refund_changed=_refund_changed)
