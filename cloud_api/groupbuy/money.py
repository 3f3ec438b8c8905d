"""What money does to a group order: it fills a seat once, issues vouchers, or goes back itself (I2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import structlog
from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy import books, seats, terms
from cloud_api.groupbuy.buy import KIND, pays
from cloud_api.groupbuy.models import Campaign, GroupOrder, Team
from cloud_api.groupbuy.transitions import (
    lock_campaign,
    lock_order,
    lock_team,
    move_order,
    move_team,
)
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.i18n import later
from cloud_api.kit.models import DueJob
from cloud_api.kit.notices import notify
from cloud_api.orders.differences import left_of
from cloud_api.payments import dispatch, hold_end
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.payments.records import beyond, lock_payment
from cloud_api.payments.transitions import GIVEN_BACK
from cloud_api.payments.transitions import note as note_payment
from cloud_api.stored_value import paying
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Voucher
from cloud_api.vouchers.transitions import move as move_voucher

_SYSTEM: Final = System()
_log = structlog.get_logger(__name__)


async def settle(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    """Let a payment that succeeded have its one effect; again changes nothing.

    Waiting for it, or given up and still to be had: paid, and issued once its team is full. Else
    (sold out meanwhile, the team has its result, paid twice, the part that a balance was to pay is spent)
    the money goes back in full, each part to where it came from.
    """
    known = await session.get_one(PaymentAttempt, payment_id)
    order_id = dispatch.ref_of(known.pays)
    first = await session.get_one(GroupOrder, order_id)
    campaign = await lock_campaign(session, _SYSTEM, first.campaign_id)
    team = None if first.team_id is None else await lock_team(session, _SYSTEM, first.team_id)
    order = await lock_order(session, _SYSTEM, order_id)
    payment = await lock_payment(session, payment_id)
    if payment.state != "succeeded" or payment.applied is not None:
        return
    await paying.settled(session, payment.id, clocks)
    parts = await paying.parts_of(session, payment)
    whole = sum(part.amount_fen for part in parts) >= order.total_fen
    if whole and order.status == "pending_payment" and (team is None or team.state == "open"):
        applied = "groupbuy"
        await _paid(session, campaign, team, order, clocks)
    elif (
        whole
        and order.status == "cancelled"
        and await _regain(session, campaign, team, order, clocks)
    ):
        applied = "late_restored"
        await _paid(session, campaign, team, order, clocks)
    else:
        late = order.status in {"pending_payment", "cancelled"}
        applied = "late_refunded" if late else "duplicate_refunded"
        if order.status == "pending_payment":  # the team ended, or the balance beside it is spent
            await move_order(session, order, "cancelled", clocks, why="team_over")
            await seats.give_up(
                session, campaign.id, order.account_id, order.team_id, order.quantity
            )
        reason = later("团购已结束，全额退回") if late else later("重复支付，全额退回")
        for part in parts:
            await payments.ask_refund(
                session,
                part.id,
                tag="late" if late else "dup",
                amount_fen=part.amount_fen,
                reason=reason,
                clocks=clocks,
            )
    for part in parts:
        await note_payment(session, part, applied=applied)
    await books.follow_later(session, order.merchant_id, order.id, clocks)
    _log.info("payment.applied", number=payment.number, applied=applied, order=order.number)


async def team_due(cloud: Cloud, job: DueJob) -> None:
    """Job ``groupbuy.deadline``: a team that is not full by now fails, or is completed anyway."""
    async with cloud.db.write() as session:
        first = await session.get_one(Team, job.ref)
        campaign = await lock_campaign(session, _SYSTEM, first.campaign_id)
        team = await lock_team(session, _SYSTEM, first.id)
        if team.state != "open":
            return
        orders = await _paid_orders(session, team)
        if orders and campaign.on_fail == "complete":
            await _fill(session, campaign, team, cloud.clocks)
            return
        await move_team(session, team, "failed", cloud.clocks)
        for order in orders:
            await move_order(session, order, "refunding", cloud.clocks, why="team_failed")
            await seats.give_up(
                session, campaign.id, order.account_id, order.team_id, order.quantity
            )
            await _send_back(
                session, order, order.total_fen, "team", later("没有成团"), cloud.clocks
            )
            await books.follow_later(session, order.merchant_id, order.id, cloud.clocks)
            await _tell(
                session, order, "team.failed", campaign, cloud.clocks, amount_fen=order.total_fen
            )


async def hold_ended(cloud: Cloud, job: DueJob) -> None:
    """Job ``groupbuy.hold``: paid → settle; not paid → close, then let go; unknown → keep and ask again."""
    async with cloud.db.read() as session:
        order = await session.get_one(GroupOrder, job.ref)
        attempts = await payments.payments_of(session, pays(job.ref))
    if order.status != "pending_payment":
        return
    if await hold_end.money_came(cloud, job, attempts):
        return
    async with cloud.db.write() as session:
        await lock_campaign(session, _SYSTEM, order.campaign_id)
        order = await lock_order(session, _SYSTEM, job.ref)
        if order.status != "pending_payment":
            return
        hold_end.nothing_comes(await payments.payments_of(session, pays(job.ref)))
        await move_order(session, order, "cancelled", cloud.clocks, why="hold_expired")
        await seats.give_up(
            session, order.campaign_id, order.account_id, order.team_id, order.quantity
        )


async def refund_voucher(
    session: AsyncSession, voucher: Voucher, reason: str, clocks: Clocks
) -> bool:
    """Send back what was paid for a voucher that is locked and whole, or expired; once.

    False where somebody used it a moment ago. Its place in stock and limit becomes free again.
    """
    order_id = voucher.source.removeprefix(f"{KIND}:")
    if not await move_voucher(session, voucher, "refunding", gift_hash=None):
        return False
    order = await session.get_one(GroupOrder, order_id)
    await seats.give_up(session, order.campaign_id, order.account_id, None, 1)
    if voucher.value_fen:
        tag = f"v{voucher.id[-10:]}"
        await _send_back(session, order, voucher.value_fen, tag, reason, clocks)
    else:
        await move_voucher(session, voucher, "refunded")
    await books.follow_later(session, order.merchant_id, order.id, clocks)
    return True


async def give_back_part(
    session: AsyncSession, voucher: Voucher, amount_fen: int, clocks: Clocks
) -> None:
    """Send ``amount_fen`` of a locked voucher back that a late cancelling used up; nothing is free again."""
    order = await session.get_one(GroupOrder, voucher.source.removeprefix(f"{KIND}:"))
    if amount_fen and not voucher.returned_fen:
        voucher.returned_fen = amount_fen
        session.add(voucher)
        tag, reason = f"p{voucher.id[-10:]}", later("取消订单，按规则退一部分")
        await _send_back(session, order, amount_fen, tag, reason, clocks)
    await books.follow_later(session, order.merchant_id, order.id, clocks)


async def refund_changed(session: AsyncSession, refund_id: str, clocks: Clocks) -> None:
    """Take a refund's new state into its order and voucher; again changes nothing."""
    refund = await session.get_one(RefundAttempt, refund_id)
    payment = await session.get_one(PaymentAttempt, refund.payment_id)
    order = await lock_order(session, _SYSTEM, dispatch.ref_of(payment.pays))
    await session.refresh(refund)
    refunds = await payments.refunds_of(session, pays(order.id))
    back = payments.sums(await payments.payments_of(session, pays(order.id)), refunds)
    refunded = min(back.refunded, order.total_fen)
    if refunded != order.refunded_fen:
        await session.exec(
            update(GroupOrder)
            .where(col(GroupOrder.id) == order.id)
            .values(refunded_fen=refunded, version=col(GroupOrder.version) + 1)
            .execution_options(synchronize_session=False)
        )
        await session.refresh(order)
    if order.status == "refunding" and back.refunding == 0 and back.refunded >= order.total_fen:
        await move_order(session, order, "refunded", clocks)
    for voucher in await vouchers.of_source(session, pays(order.id)):
        if voucher.state == "refunding" and _is_back(voucher, refunds):
            await move_voucher(session, voucher, "refunded")
    await books.follow_later(session, order.merchant_id, order.id, clocks)


def _is_back(voucher: Voucher, refunds: Sequence[RefundAttempt]) -> bool:
    """Whether the money of a voucher has gone back: by its own refund, or, where there is none because
    nothing was left to give, by those that somebody made in the provider's own console.
    """
    tag = f"-Rv{voucher.id[-10:]}"
    mine = [one for one in refunds if tag in one.number and one.replaced_by is None]
    of_it = mine or [one for one in refunds if one.origin == "provider" and one.state != "failed"]
    return bool(of_it) and all(one.state in GIVEN_BACK for one in of_it)


async def _paid(
    session: AsyncSession, campaign: Campaign, team: Team | None, order: GroupOrder, clocks: Clocks
) -> None:
    await move_order(session, order, "paid", clocks, why="payment", paid_at=clocks.now)
    if team is None:
        await _issue(session, campaign, order, clocks)
        return
    await session.exec(
        update(Team)
        .where(col(Team.id) == team.id)
        .values(paid=col(Team.paid) + 1)
        .execution_options(synchronize_session=False)
    )
    await session.refresh(team)
    if team.paid == team.size:
        await _fill(session, campaign, team, clocks)


async def _fill(session: AsyncSession, campaign: Campaign, team: Team, clocks: Clocks) -> None:
    """Vouchers for everybody who paid, in the transaction that says that the team is full."""
    await move_team(session, team, "full", clocks)
    for order in await _paid_orders(session, team):
        await _issue(session, campaign, order, clocks)
        until = terms.of_order(order, campaign, clocks).valid_until
        await _tell(session, order, "team.full", campaign, clocks, at=until.isoformat())


async def _issue(
    session: AsyncSession, campaign: Campaign, order: GroupOrder, clocks: Clocks
) -> None:
    await move_order(session, order, "issued", clocks)
    await books.follow_later(session, order.merchant_id, order.id, clocks)
    await vouchers.issue(
        session,
        merchant_id=order.merchant_id,
        account_id=order.account_id,
        source=pays(order.id),
        campaign_id=campaign.id,
        terms=terms.of_order(order, campaign, clocks),
        count=order.quantity,
        clocks=clocks,
    )


async def _regain(
    session: AsyncSession, campaign: Campaign, team: Team | None, order: GroupOrder, clocks: Clocks
) -> bool:
    """Stock, limit and seat again for money that came late; all of them or none.

    Not for somebody who has taken another seat of the same team meanwhile.
    """
    if campaign.state == "ended" or order.why != "hold_expired":
        return False
    if team is not None and await _sits(session, team, order.account_id):
        return False
    async with session.begin_nested() as point:
        got = (
            await seats.take_stock(session, campaign, order.quantity)
            and await seats.take_limit(session, campaign, order.account_id, order.quantity)
            and (team is None or await seats.take_seat(session, team.id, clocks))
        )
        if not got:
            await point.rollback()
    if team is not None:
        await session.refresh(team)
    return got


async def _sits(session: AsyncSession, team: Team, account_id: str) -> bool:
    query = scoped(_SYSTEM, GroupOrder).where(
        col(GroupOrder.team_id) == team.id,
        col(GroupOrder.account_id) == account_id,
        col(GroupOrder.status).in_(("pending_payment", "paid", "issued")),
    )
    return (await session.exec(query)).first() is not None


async def _paid_orders(session: AsyncSession, team: Team) -> list[GroupOrder]:
    query = (
        scoped(_SYSTEM, GroupOrder)
        .where(col(GroupOrder.team_id) == team.id, col(GroupOrder.status) == "paid")
        .order_by(col(GroupOrder.id))
        .with_for_update()
    )
    return list((await session.exec(query.execution_options(populate_existing=True))).all())


async def _tell(
    session: AsyncSession,
    order: GroupOrder,
    event: str,
    campaign: Campaign,
    clocks: Clocks,
    **data: Any,
) -> None:
    await notify(
        session,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        event=event,
        to=f"account:{order.account_id}",
        subject=f"group_order:{order.id}",
        data={"name": campaign.name, **data},
        key=order.id,
        at=clocks.now,
    )


async def _send_back(
    session: AsyncSession, order: GroupOrder, amount_fen: int, tag: str, reason: str, clocks: Clocks
) -> None:
    """Ask for ``amount_fen`` back over the order's payments, in the order their money came; once by ``tag``.

    What somebody gave back in the provider's own console is not given twice, with an alarm.
    """
    refunds = await payments.refunds_of(session, pays(order.id))
    if any(one.number.rpartition("-R")[2] == tag for one in refunds):
        return
    paid = [
        one
        for one in await payments.payments_of(session, pays(order.id))
        if one.applied in ("groupbuy", "late_restored")
    ]
    left = amount_fen
    for payment, rest in left_of(paid, refunds):
        part = min(left, rest)
        if part > 0:
            await payments.ask_refund(
                session, payment.id, tag=tag, amount_fen=part, reason=reason, clocks=clocks
            )
            left -= part
    if not left:
        return
    by_id = {one.id: one for one in paid}
    theirs = [one for one in refunds if one.origin == "provider" and one.payment_id in by_id]
    if not theirs or left > sum(one.amount_fen for one in theirs):
        _log.error("groupbuy.nothing_to_refund", order=order.number, left_fen=left)
        return
    await beyond(session, by_id[theirs[-1].payment_id], left, clocks)
    await payments.given_already(session, theirs[-1], tag, clocks)
