"""Group-buy on the phone: campaigns, a team round its table, and the order that pays for a seat."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy import buy, recommend, shares
from cloud_api.groupbuy import routes as api
from cloud_api.groupbuy.models import Campaign
from cloud_api.groupbuy.schemas import CampaignOut, GroupOrderOut, TeamOut
from cloud_api.kit.actor import System
from cloud_api.kit.asgi import CSP
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.payments import service as payments
from cloud_api.payments.house import LABELS
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.providers.base import StepKind
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.stores import service as stores
from cloud_api.stores.models import Store
from cloud_api.web import qr, words
from cloud_api.web.customer import paying, sharing, wechat_payer
from cloud_api.web.customer.routes import door_tab
from cloud_api.web.pages import Visit, go, page, svg, visit
from cloud_api.web.view_models import PayForm
from cloud_api.web.view_models.groupbuy import (
    CampaignPage,
    CampaignsPage,
    GroupOrderPage,
    GroupOrdersPage,
    TeamPage,
)

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Cursor = Annotated[str, Query(max_length=300)]
Out = TypeVar("Out", bound=BaseModel)
LOOKS: Final = {  # what a group order's chip is: surface, icon
    "pending_payment": ("is-held", "hourglass"),
    "paid": ("is-booked", "users"),
    "issued": ("is-free", "ticket"),
    "cancelled": ("is-done", "x"),
    "refunding": ("is-grace", "undo-2"),
    "refunded": ("is-done", "undo-2"),
}


def localised(seen: Visit, told: Out) -> Out:
    """What the API says, with its instants in the page's zone."""
    values: dict[str, Any] = {}
    for name in type(told).model_fields:
        value = getattr(told, name)
        if hasattr(value, "astimezone"):
            values[name] = seen.local(value)
        elif isinstance(value, BaseModel):
            values[name] = localised(seen, value)
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            values[name] = [localised(seen, one) for one in value]
    return told.model_copy(update=values)


@router.get("/groupbuy")
async def campaigns(seen: Seen, cursor: Cursor = "") -> Response:
    """What may be bought now."""
    told = await api.list_campaigns(seen.request, None, cursor or None, 20)
    async with seen.cloud.db.read() as session:
        href, _card = await door_tab(session, seen)
        best = await recommend.for_guest(session, seen.who, seen.cloud.clocks) if not cursor else []
    following = told.next_cursor
    model = CampaignsPage(
        tuple(localised(seen, one) for one in told.items),
        advice=tuple(api.advice_out(one) for one in best),
        more_href=f"/groupbuy?cursor={following}" if following else "",
    )
    return page(seen, "customer/groupbuy.html", model, shell=seen.shell(stay_href=href))


@router.get("/s/{store_id}/offers")
async def offers(seen: Seen, store_id: str) -> Response:
    """What is worth its money at a store, for its page."""
    async with seen.cloud.db.read() as session:
        store = await stores.get_store(session, seen.who, store_id)
        here = seen.at_store(store)
        best = await recommend.for_guest(session, seen.who, seen.cloud.clocks, store.id)
    rows = tuple(api.advice_out(one) for one in best)
    return page(here, "customer/_offers.html", rows, shell=here.shell())


@router.get("/groupbuy/orders")
async def group_orders(seen: Seen, cursor: Cursor = "") -> Response:
    """One's own group orders, newest first."""
    told = await api.list_orders(seen.request, seen.customer, cursor or None, 20)
    following = told.next_cursor
    model = GroupOrdersPage(
        tuple(localised(seen, one) for one in told.items),
        more_href=f"/groupbuy/orders?cursor={following}" if following else "",
    )
    return page(seen, "customer/group_orders.html", model, shell=seen.shell(), looks=LOOKS)


@router.get("/groupbuy/{campaign_id}")
async def campaign(seen: Seen, campaign_id: str) -> Response:
    """One campaign, with the teams that may be joined."""
    told = await api.get_campaign(campaign_id, seen.request)
    here = await _at(seen, told)
    model = CampaignPage(
        localised(here, told),
        words.hours(told.minutes),
        _closed(here, told),
        share_url=sharing.campaign_url(seen, told),
        share_picture=sharing.picture(seen, told, f"/groupbuy/{told.id}"),
    )
    return sharing.shared(here, page(here, "customer/campaign.html", model, shell=here.shell()))


@router.get("/g/{token}")
async def team(seen: Seen, token: str) -> Response:
    """The page of a team's link: who shares it, who opens it."""
    told = await api.get_team(token, seen.request, seen.who)
    one = await api.get_campaign(told.campaign_id, seen.request)
    here = await _at(seen, one)
    if not told.mine:
        async with seen.cloud.db.write() as session:
            campaign = await session.get_one(Campaign, one.id)
            await shares.opened(session, campaign, seen.cloud.clocks)
    model = TeamPage(
        one=localised(here, one),
        team=localised(here, told),
        length=words.hours(one.minutes),
        share_url=_share(seen, told),
        closed=_over(here, told) or _closed(here, one),
        share_picture=sharing.picture(seen, one, f"/g/{token}"),
    )
    return sharing.shared(here, page(here, "customer/team.html", model, shell=here.shell()))


@router.get("/g/{token}/code.svg")
async def team_code(seen: Seen, token: str) -> Response:
    """A team's link as a code to scan off this screen."""
    return svg(qr.svg(_share(seen, await api.get_team(token, seen.request, seen.who))))


@router.get("/g/{token}/poster.png")
async def team_poster(seen: Seen, token: str) -> Response:
    """A picture of the team to share in chats: what it costs, who is missing, the way in as a code."""
    told = await api.get_team(token, seen.request, seen.who)
    one = await api.get_campaign(told.campaign_id, seen.request)
    missing = _("还差 {n} 人").format(n=told.missing) if told.missing else _("已成团")
    team_line = _("{n} 人团，{missing}").format(n=told.size, missing=missing)
    return await sharing.poster_of(await _at(seen, one), one, team_line, _share(seen, told))


@router.get("/groupbuy/{campaign_id}/poster.png")
async def campaign_poster(seen: Seen, campaign_id: str) -> Response:
    """A picture of the campaign to share in chats, with the way to its page as a code."""
    one = await api.get_campaign(campaign_id, seen.request)
    line = _("{n} 人成团").format(n=one.team_size) if one.team_size > 1 else _("不用拼，买了就能用")
    return await sharing.poster_of(await _at(seen, one), one, line, sharing.campaign_url(seen, one))


@router.get("/groupbuy/orders/{order_id}")
async def group_order(seen: Seen, order_id: str) -> Response:
    """One group order: pay it, wait for the team, use its vouchers."""
    told = await api.get_order(order_id, seen.request, seen.customer)
    async with seen.cloud.db.read() as session:
        store = await stores.get_store(session, System(), told.store_id)
        attempts = await payments.payments_of(session, buy.pays(order_id))
        accounts = await payments.accounts_of(session, store)
        here = seen.at_store(store)
        model = GroupOrderPage(
            one=localised(here, told),
            line=_line(here, told),
            tone=LOOKS[told.status][0],
            icon=LOOKS[told.status][1],
            share_url=_share(seen, told.team) if told.team is not None else "",
        )
        if told.status == "pending_payment":
            if not attempts and (away := wechat_payer.lead(here, accounts)) is not None:
                return away
            model = _with_paying(here, model, attempts, accounts)
    return page(here, "customer/group_order.html", model, shell=here.shell())


@router.get("/groupbuy/orders/{order_id}/pay/go")
async def pay_go(seen: Seen, order_id: str) -> Response:
    """On to a provider that wants a form posted by the browser."""
    step = paying.step_of(await _open_payment(seen, order_id), StepKind.FORM)
    if step is None:
        return go(f"/groupbuy/orders/{order_id}")
    model = PayForm(str(step["url"]), tuple(dict(step.get("fields") or {}).items()))
    answer = page(seen, "customer/pay_go.html", model, shell=seen.shell())
    answer.headers["Content-Security-Policy"] = paying.form_policy(CSP, model.action)
    return answer


@router.get("/groupbuy/orders/{order_id}/pay/code.svg")
async def pay_code(seen: Seen, order_id: str) -> Response:
    """The code of an open payment, to be scanned with another device."""
    step = paying.step_of(await _open_payment(seen, order_id), StepKind.QR)
    if step is None:
        raise NotFound("payment", "这笔支付没有要扫的码，或已经有结果了")
    return svg(qr.svg(str(step["text"])))


async def _open_payment(seen: Visit, order_id: str) -> PaymentAttempt | None:
    await api.get_order(order_id, seen.request, seen.customer)
    async with seen.cloud.db.read() as session:
        return paying.running(await payments.payments_of(session, buy.pays(order_id)))


def _with_paying(
    here: Visit, model: GroupOrderPage, attempts: Any, accounts: Any
) -> GroupOrderPage:
    """The order's page with how it is paid, or what became of the payment that is open."""
    order = model.one
    open_one = paying.running(attempts)
    arrived = any(one.state == "succeeded" for one in attempts)
    ways = order.pay_with
    fitting = paying.methods(
        ways,
        paying.place_of(here.request.headers.get("user-agent", "")),
        openid=wechat_payer.knows(here, accounts),
    )
    state = "choose"
    if open_one is not None or arrived:
        state = "waiting"
    elif attempts and attempts[-1].state not in OPEN_PAYMENT:
        state = "failed"
    names = {key: _(name) for key, name in LABELS.items()}
    names |= {way.provider: way.name for way in ways if not way.balance_fen}
    asked = open_one or (attempts[-1] if attempts else None)
    at = f"/groupbuy/orders/{order.id}"
    sheet = paying.step_of(open_one, StepKind.JSAPI)
    led = paying.step_of(open_one, StepKind.REDIRECT)
    form = paying.step_of(open_one, StepKind.FORM)
    values = {
        "pay": state,
        "methods": fitting,
        "elsewhere": bool(ways) and not fitting,
        "provider_name": names.get(asked.provider, "") if asked else "",
        "go_on_href": str(led.get("url", "")) if led else f"{at}/pay/go" if form else "",
        "code_href": f"{at}/pay/code.svg" if paying.step_of(open_one, StepKind.QR) else "",
        "jsapi": json.dumps(dict(sheet.get("fields") or {})) if sheet else "",
        "open_state": "" if open_one is None else open_one.state,
    }
    return GroupOrderPage(**{**vars(model), **values})


def _line(here: Visit, order: GroupOrderOut) -> str:
    """What is so, and what comes next."""
    if order.status == "paid" and order.team is not None:
        until = words.moment(here.local(order.team.deadline), here.now)
        return _("还差 {n} 人，{time} 前凑够就成团").format(n=order.team.missing, time=until)
    return {
        "pending_payment": _("名额给你留着，付好就算数"),
        "paid": _("钱收到了，券马上就到"),
        "issued": _("成团了，券在下面") if order.team else _("券在下面，随时能用"),
        "cancelled": _("没有扣钱，想要可以再买"),
        "refunding": _("{sum} 正在原路退回").format(sum=yuan(order.total_fen)),
        "refunded": _("{sum} 已原路退回").format(sum=yuan(order.refunded_fen)),
    }[order.status]


def _closed(here: Visit, one: CampaignOut) -> str:
    """Why nothing of it can be bought now; empty where something can."""
    now = here.cloud.clocks.now
    if one.state != "published" or now >= one.ends_at:
        return _("这个活动已经结束，看看别的套餐")
    if now < one.starts_at:
        start = words.moment(here.local(one.starts_at), here.now)
        return _("{time} 开始卖").format(time=start)
    return _("卖完了，看看别的套餐") if one.left == 0 else ""


def _over(here: Visit, found: TeamOut) -> str:
    if found.state == "full" or found.seats_left == 0:
        return _("这个团满了，自己开一个吧")
    if found.state == "failed" or found.deadline <= here.cloud.clocks.now:
        return _("这个团的时间到了，自己开一个吧")
    return ""


def _share(seen: Visit, found: TeamOut) -> str:
    return f"{seen.cloud.settings.public_url.rstrip('/')}/g/{found.token}"


async def _at(seen: Visit, one: CampaignOut) -> Visit:
    """The visit in the zone of the campaign's first store."""
    async with seen.cloud.db.read() as session:
        store: Store | None = await _first(session, one)
    return seen.at_store(store) if store is not None else seen


async def _first(session: AsyncSession, one: CampaignOut) -> Store | None:
    return await session.get(Store, one.store_ids[0]) if one.store_ids else None
