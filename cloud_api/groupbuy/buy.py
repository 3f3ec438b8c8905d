"""Buying of a campaign: stock, limit and seat are held while the customer pays."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy import seats, terms
from cloud_api.groupbuy.models import Campaign, GroupOrder, Team
from cloud_api.groupbuy.transitions import lock_campaign, lock_order, lock_team, move_order
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_number, new_token
from cloud_api.payments import dispatch
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.providers.base import Payer
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.stored_value import paying
from cloud_api.stores.models import Store

KIND: Final = "groupbuy"
HOLD: Final = "groupbuy.hold"
DEADLINE: Final = "groupbuy.deadline"
HOLD_FOR: Final = timedelta(minutes=15)
_LEAST: Final = timedelta(seconds=5)


def pays(order_id: str) -> str:
    """How a payment names the group order it is for."""
    return f"{KIND}:{order_id}"


async def buy(
    session: AsyncSession,
    customer: Customer,
    campaign_id: str,
    quantity: int,
    clocks: Clocks,
    *,
    team_token: str | None = None,
    alone: bool = False,
    shared_by: str | None = None,
) -> GroupOrder:
    """Hold ``quantity`` of a campaign for a customer: in the team of ``team_token``, or in a new one.

    ``alone`` buys at the list price without a team. Raises NotFound; Conflict ``campaign.closed``,
    ``campaign.sold_out`` (with ``left``), ``campaign.limit``, ``team.full``, ``team.over``,
    ``team.joined``; KaimenError ``campaign.quantity`` (422).
    """
    campaign = await lock_campaign(session, System(), campaign_id)
    _check_open(campaign, clocks)
    if not 1 <= quantity <= campaign.most_per_order:
        raise KaimenError(
            "campaign.quantity",
            _("一次最多买 {most_per_order} 张").format(most_per_order=campaign.most_per_order),
            status=422,
            field="quantity",
        )
    if not await seats.take_stock(session, campaign, quantity):
        left = max(0, (campaign.stock or 0) - campaign.taken)
        words = _("只剩 {left} 张了").format(left=left) if left else _("卖完了，看看别的套餐")
        raise Conflict("campaign.sold_out", words, left=left)
    if not await seats.take_limit(session, campaign, customer.account_id, quantity):
        raise Conflict(
            "campaign.limit",
            _("每人最多买 {most_per_customer} 张").format(
                most_per_customer=campaign.most_per_customer
            ),
        )
    team = None
    if not alone and campaign.team_size > 1:
        team = await _seat(session, customer, campaign, team_token, clocks)
    price = campaign.list_fen if alone and campaign.team_size > 1 else campaign.price_fen
    store = await session.get_one(Store, campaign.store_ids[0])
    order = GroupOrder(
        merchant_id=campaign.merchant_id,
        store_id=store.id,
        account_id=customer.account_id,
        campaign_id=campaign.id,
        team_id=None if team is None else team.id,
        number=await _free_number(session, store, clocks),
        quantity=quantity,
        price_fen=price,
        total_fen=price * quantity,
        terms=terms.bought(campaign),
        hold_expires_at=clocks.now + HOLD_FOR,
        shared_by=shared_by,
        created_at=clocks.now,
    )
    try:
        async with session.begin_nested():
            session.add(order)
            await session.flush()
    except IntegrityError as error:
        raise Conflict("team.joined", "你已经在这个团里了，请把链接发给朋友") from error
    await schedule(
        session,
        merchant_id=order.merchant_id,
        kind=HOLD,
        ref=order.id,
        run_at=order.hold_expires_at,
    )
    return order


async def pay(
    cloud: Cloud,
    customer: Customer,
    order_id: str,
    *,
    provider: str,
    channel: str = "page",
    return_path: str | None = None,
    payer: Payer | None = None,
    balance_fen: int = 0,
) -> PaymentAttempt:
    """Open a payment for a group order, or give back the one that is open.

    ``balance`` as provider pays out of the guest's balance at once; ``balance_fen`` of it pays a part beside
    another provider. Raises NotFound, KaimenError ``pay.balance``, Conflict ``balance.too_little``,
    ``team.over``, ``group_order.not_payable``, ``order.hold_over``, ``payment.pending_elsewhere``, and what
    opening raises.
    """
    async with cloud.db.write() as session:
        if provider == paying.BALANCE:  # it settles here: locks in their order
            await _lock_above(session, customer, order_id)
        order = await lock_order(session, customer, order_id)
        if order.status != "pending_payment":
            words = (
                _("订单已取消，请重新买") if order.status == "cancelled" else _("订单已经支付过了")
            )
            raise Conflict("group_order.not_payable", words, status_now=order.status)
        attempts = await payments.payments_of(session, pays(order.id))
        if any(attempt.state == "succeeded" for attempt in attempts):
            raise Conflict("group_order.not_payable", "钱已到账，正在确认订单", status_now="paid")
        open_ones = [attempt for attempt in attempts if attempt.state in OPEN_PAYMENT]
        if open_ones and open_ones[0].provider != provider:
            raise Conflict(
                "payment.pending_elsewhere",
                "上一次支付还没有结果，请先完成它，或等它关闭",
                provider=open_ones[0].provider,
            )
        payment = open_ones[0] if open_ones else None
        if payment is None:
            if order.hold_expires_at - cloud.clocks.now < _LEAST:
                raise Conflict("order.hold_over", "保留时间已到，请重新买")
            await _check_team(session, order, cloud.clocks)
            campaign = await session.get_one(Campaign, order.campaign_id)
            path = return_path or f"/groupbuy/orders/{order.id}"
            store = await session.get_one(Store, order.store_id)
            count = 1 + sum(1 for one in attempts if not one.with_id)
            number, subject = f"{order.number}-{count}", f"{campaign.name} ×{order.quantity}"
            if provider == paying.BALANCE:
                payment = await paying.pay_all(
                    session,
                    store=store,
                    account_id=order.account_id,
                    pays=pays(order.id),
                    part_of=pays(order.id),
                    number=number,
                    amount_fen=order.total_fen,
                    subject=subject,
                    expires_at=order.hold_expires_at,
                    clocks=cloud.clocks,
                )
                await dispatch.settle(session, payment.id, cloud.clocks)
                return payment
            if balance_fen and not 0 < balance_fen < order.total_fen:
                raise KaimenError(
                    "pay.balance", "余额要付的部分不对，请重新选", status=422, field="balance_fen"
                )
            payment = await payments.open_payment(
                session,
                store=store,
                account_id=order.account_id,
                pays=pays(order.id),
                number=number,
                amount_fen=order.total_fen - balance_fen,
                subject=subject,
                return_url=cloud.settings.public_url.rstrip("/") + path,
                expires_at=order.hold_expires_at,
                provider=provider,
                channel=channel,
                clocks=cloud.clocks,
                payer=payer,
            )
            if balance_fen:
                await paying.hold(session, payment, balance_fen, cloud.clocks)
    return await payments.begin(cloud, payment.id)


async def cancel(
    session: AsyncSession, customer: Customer, order_id: str, clocks: Clocks
) -> GroupOrder:
    """Give an unpaid group order up; one that is cancelled already is given back as it is.

    Raises NotFound, Conflict ``group_order.wrong_state`` once it is paid: then its vouchers are given back.
    """
    known = (
        await session.exec(scoped(customer, GroupOrder).where(col(GroupOrder.id) == order_id))
    ).first()
    if known is None:
        raise NotFound("group_order", "没有这个团购订单")
    await lock_campaign(session, System(), known.campaign_id)
    order = await lock_order(session, customer, order_id)
    if order.status == "cancelled":
        return order
    await move_order(session, order, "cancelled", clocks, why="customer")
    await seats.give_up(session, order.campaign_id, order.account_id, order.team_id, order.quantity)
    for payment in await payments.payments_of(session, pays(order.id)):
        if payment.state in OPEN_PAYMENT:
            await payments.close_later(session, payment, clocks)
    return order


def _check_open(campaign: Campaign, clocks: Clocks) -> None:
    if campaign.state != "published" or clocks.now >= campaign.ends_at:
        raise Conflict("campaign.closed", "这个活动已经结束，看看别的套餐", state=campaign.state)
    if clocks.now < campaign.starts_at:
        raise Conflict(
            "campaign.closed", "这个活动还没开始", starts_at=campaign.starts_at.isoformat()
        )


async def _lock_above(session: AsyncSession, customer: Customer, order_id: str) -> None:
    """The campaign and the team of one's own order. Raises NotFound."""
    query = scoped(customer, GroupOrder).where(col(GroupOrder.id) == order_id)
    known = (await session.exec(query)).first()
    if known is None:
        raise NotFound("group_order", "没有这个团购订单")
    await lock_campaign(session, System(), known.campaign_id)
    if known.team_id is not None:
        await lock_team(session, System(), known.team_id)


async def _check_team(session: AsyncSession, order: GroupOrder, clocks: Clocks) -> None:
    """No money is taken for a team that has its result, or is about to have it."""
    team = None if order.team_id is None else await session.get_one(Team, order.team_id)
    if team is not None and (team.state != "open" or team.deadline <= clocks.now):
        raise Conflict("team.over", "这个团的时间到了，自己开一个吧")


async def _seat(
    session: AsyncSession, customer: Customer, campaign: Campaign, token: str | None, clocks: Clocks
) -> Team:
    if token is None:
        team = Team(
            merchant_id=campaign.merchant_id,
            campaign_id=campaign.id,
            token=new_token(128),
            opened_by=customer.account_id,
            size=campaign.team_size,
            deadline=min(clocks.now + timedelta(hours=campaign.team_hours), campaign.ends_at),
            created_at=clocks.now,
        )
        session.add(team)
        await session.flush()
        await schedule(
            session,
            merchant_id=team.merchant_id,
            kind=DEADLINE,
            ref=team.id,
            run_at=team.deadline,
        )
        return team
    query = scoped(System(), Team).where(
        col(Team.token) == token, col(Team.campaign_id) == campaign.id
    )
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("team", "没有这个团，自己开一个吧")
    if not await seats.take_seat(session, found.id, clocks):
        await session.refresh(found)
        if found.state == "failed" or found.deadline <= clocks.now:
            raise Conflict("team.over", "这个团的时间到了，自己开一个吧")
        raise Conflict("team.full", "这个团满了，自己开一个吧")
    await session.refresh(found)
    return found


async def _free_number(session: AsyncSession, store: Store, clocks: Clocks) -> str:
    while True:
        number = f"G{new_number(clocks.now, store.tz)}"
        taken = await session.exec(
            select(col(GroupOrder.id)).where(col(GroupOrder.number) == number)
        )
        if taken.first() is None:
            return number
