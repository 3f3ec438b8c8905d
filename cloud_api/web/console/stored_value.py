"""Stored value and deposits for staff: plans, the rule of spending, a member's balance, what rooms ask."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.kit.seen import mark
from cloud_api.orders import deposits
from cloud_api.orders.views import phone_tails
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import BALANCE_EDIT, CUSTOMER_READ, PRICE_EDIT
from cloud_api.stored_value import office, service, topup
from cloud_api.stored_value.split import RULES
from cloud_api.stores.service import rooms_of
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.customer.money import balance_view
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.money import (
    DepositForm,
    DepositsPage,
    MemberBalancePage,
    PlanForm,
    PlansPage,
)

router = APIRouter(prefix="/console", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("/plans")
async def plans(seen: Seen, who: Who) -> Response:
    """The plans of a merchant, and which part of a balance is spent first. Needs balance.edit."""
    who.need(BALANCE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await topup.plans(session, who.merchant_id, all_of_them=True)
        spend = await service.rule_of(session, who.merchant_id)
    forms = tuple(
        PlanForm(
            plan.id,
            plan.name,
            plan.pay_fen,
            plan.gift_fen,
            plan.gift_days,
            plan.per_member,
            plan.active,
        )
        for plan in found
    )
    rules = tuple((key, _(name)) for key, name in RULES.items())
    model = PlansPage((*forms, PlanForm("", "", None, 0, None, None, True)), spend, rules)
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/plans.html", model, here="plans")


@router.get("/deposits")
async def deposit_rules(seen: Seen, who: Who) -> Response:
    """What deposit one's stores and their rooms ask. Needs price.edit."""
    who.need(PRICE_EDIT)
    shown = []
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        for store in frame.stores:
            rules = {r.room_id: r for r in await deposits.rules_of(session, who, store.id)}
            action = f"/api/v1/console/stores/{store.id}/deposit-rules"
            places = [
                (None, _("整店")),
                *((r.id, r.name) for r in await rooms_of(session, who, store.id)),
            ]
            forms = tuple(
                DepositForm(
                    action,
                    name,
                    room_id or "",
                    0 if (rule := rules.get(room_id)) is None else rule.amount_fen,
                    30 if rule is None else rule.return_minutes,
                    mark(deposits.facts_of(rule)),
                )
                for room_id, name in places
                if room_id is None or room_id in rules
            )
            shown.append((store.name, forms))
    here = seen.at(frame.tz)
    model = DepositsPage(tuple(shown))
    return console_page(here, who, frame, "console/deposits.html", model, here="deposits")


@router.get("/members/{account_id}/balance")
async def member_balance(seen: Seen, who: Who, account_id: str) -> Response:
    """A member's balance and movements. Needs customer.read."""
    who.need(CUSTOMER_READ)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        await office.known_member(session, who, account_id)
        told = await office.show(session, who, who.merchant_id, account_id)
        tails = await phone_tails(session, {account_id})
    here = seen.at(frame.tz)
    limit = who.limits.refund_fen
    model = MemberBalancePage(
        account_id=account_id,
        who=_("尾号 {tail}").format(tail=tails.get(account_id, "")),
        balance=balance_view(here, told, plans=False),
        stores=tuple((store.id, store.name) for store in frame.stores),
        can_edit=BALANCE_EDIT in who.permissions,
        limit="" if limit is None else _("你的岗位一次最多 {x}").format(x=yuan(limit)),
    )
    return console_page(here, who, frame, "console/member_balance.html", model, here="plans")
