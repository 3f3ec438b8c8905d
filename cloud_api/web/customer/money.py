"""My balance, and asking for money back: pages of the guest's own money."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import refund_requests, refund_rules, service
from cloud_api.orders.money_schemas import RefundRequestOut
from cloud_api.orders.schemas import PayWayOut
from cloud_api.payments import service as payments
from cloud_api.payments.ways import ways_of
from cloud_api.stored_value import office
from cloud_api.stored_value.schemas import BalanceOut
from cloud_api.stored_value.split import RULES
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import get_store, list_stores
from cloud_api.web.customer import paying, wechat_payer
from cloud_api.web.customer.routes import door_tab
from cloud_api.web.pages import Visit, page, visit
from cloud_api.web.view_models.money import (
    Balance,
    BalanceMove,
    BalancePage,
    Gift,
    PayWay,
    PlanCard,
    RefundForm,
)

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]


@router.get("/me/balance")
async def my_balance(seen: Seen, store: str = "") -> Response:
    """One's balances; with ``store`` the plans of its merchant, to be bought there."""
    who = seen.customer
    async with seen.cloud.db.read() as session:
        href, _card = await door_tab(session, seen)
        at = await office.merchants_of(session, who.account_id)
        place: Store | None = None
        if store:
            place = await get_store(session, who, store)
        elif len(at) == 1:
            place = await _a_store_of(session, seen, at[0])
        if place is not None:
            at = [place.merchant_id, *(one for one in at if one != place.merchant_id)]
        shown = [await office.show(session, who, one, who.account_id) for one in at]
        ways: tuple[PayWay, ...] = ()
        if place is not None and shown[0].plans:
            accounts = await payments.accounts_of(session, place)
            cheapest = min(plan.pay_fen for plan in shown[0].plans)
            fitting = paying.methods(
                [
                    PayWayOut(provider=way.provider, channel=way.channel, name=way.name)
                    for way in ways_of(accounts, cheapest, seen.cloud.clocks.real)
                ],
                paying.place_of(seen.request.headers.get("user-agent", "")),
                openid=wechat_payer.knows(seen, accounts),
            )
            ways = tuple(PayWay(way.provider, way.channel, way.name) for way in fitting)
            if (away := wechat_payer.lead(seen, accounts)) is not None:
                return away
    here = seen if place is None else seen.at_store(place)
    model = BalancePage(
        balances=tuple(
            balance_view(
                here, one, plans=place is not None and one.merchant_id == place.merchant_id
            )
            for one in shown
        ),
        store_id="" if place is None else place.id,
        store_name="" if place is None else place.name,
        ways=ways,
    )
    return page(here, "customer/balance.html", model, shell=here.shell(stay_href=href))


@router.get("/orders/{order_id}/refund")
async def ask_refund(seen: Seen, order_id: str) -> Response:
    """Ask for money back for one order, or see what became of it."""
    async with seen.cloud.db.read() as session:
        order = await service.get_order(session, seen.customer, order_id)
        store = await session.get_one(Store, order.store_id)
        room = await session.get_one(Room, order.room_id)
        earlier = await refund_requests.of_order(session, order.id)
    here = seen.at_store(store)
    proposal = refund_rules.propose(order, seen.cloud.clocks.now)
    last = RefundRequestOut.of(earlier[-1]) if earlier else None
    model = RefundForm(
        order_id=order.id,
        number=order.number,
        room_name=room.name,
        kept_fen=proposal.kept_fen,
        proposal=_(proposal.text) if proposal.amount_fen else "",
        state="" if last is None else last.state,
        word="" if last is None else last.word,
        why="" if last is None else last.why,
        answer="" if last is None else last.decided_why,
        asked_fen=0 if last is None else last.asked_fen,
        approved_fen=None if last is None else last.approved_fen,
    )
    return page(here, "customer/refund.html", model, shell=here.shell())


def balance_view(seen: Visit, told: BalanceOut, *, plans: bool) -> Balance:
    """A balance for a page; ``seen`` is in the zone of its times."""
    return Balance(
        merchant=told.merchant,
        paid_fen=told.paid_fen,
        gift_fen=told.gift_fen,
        total_fen=told.total_fen,
        held_fen=told.held_fen,
        refundable_fen=told.refundable_fen,
        spend=_(RULES[told.spend]),
        gifts=tuple(
            Gift(gift.left_fen, seen.local(gift.expires_at))
            for gift in told.gifts
            if gift.expires_at is not None
        ),
        moves=tuple(
            BalanceMove(
                seen.local(move.at),
                move.word,
                move.text,
                move.paid_fen + move.gift_fen,
                move.after_fen,
            )
            for move in told.moves
        ),
        plans=tuple(
            PlanCard(plan.id, plan.name, plan.pay_fen, plan.gift_fen, _plan_note(plan.gift_days))
            for plan in (told.plans if plans else [])
        ),
    )


def _plan_note(days: int | None) -> str:
    if days is None:
        return _("赠送不过期")
    return _("赠送 {n} 天内用").format(n=days)


async def _a_store_of(session: AsyncSession, seen: Visit, merchant_id: str) -> Store | None:
    found = await list_stores(session, seen.customer)
    return next((store for store in found if store.merchant_id == merchant_id), None)
