"""/me/balance and /topups for members; /console: plans and members' balances."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.payments.payer_codes import payer_of
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import BALANCE_EDIT, CUSTOMER_READ
from cloud_api.stored_value import office, topup
from cloud_api.stored_value.schemas import (
    AdjustIn,
    BalanceOut,
    PayOutIn,
    PlanIn,
    PlanOut,
    RuleIn,
    TopupIn,
    TopupOut,
)
from cloud_api.stores.service import get_store

router = APIRouter(tags=["stored value"])
Who = Annotated[Customer, Depends(customer)]
Office = Annotated[Staff, Depends(staff_actor)]


@router.get("/me/balances")
async def my_balances(request: Request, who: Who, store_id: str | None = None) -> list[BalanceOut]:
    """One's balances: where one has any, and at the merchant of ``store_id``."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        at = await office.merchants_of(session, who.account_id)
        if store_id is not None:
            store = await get_store(session, who, store_id)
            at = [store.merchant_id, *(one for one in at if one != store.merchant_id)]
        return [await office.show(session, who, one, who.account_id) for one in at]


@router.get("/stores/{store_id}/topup-plans")
async def topup_plans(store_id: str, request: Request, who: Who) -> list[PlanOut]:
    """The plans on offer at a store."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store = await get_store(session, who, store_id)
        return [PlanOut.of(plan) for plan in await topup.plans(session, store.merchant_id)]


@router.post("/topups", response_model=TopupOut)
async def buy_topup(body: TopupIn, request: Request, who: Who) -> Response:
    """Buy a plan: opens a payment."""
    cloud = cloud_of(request)

    async def act() -> TopupOut:
        made, payment = await topup.buy(
            cloud,
            who,
            store_id=body.store_id,
            plan_id=body.plan_id,
            provider=body.provider,
            channel=body.channel,
            payer=payer_of(request, who),
        )
        return TopupOut(
            topup_id=made.id,
            payment_id=payment.id,
            state=payment.state,
            amount_fen=payment.amount_fen,
            redirect_url=payment.redirect_url if payment.state == "pending" else None,
            next_href=payment.redirect_url or f"/payments/{payment.id}",
        )

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/console/topup-plans")
async def all_plans(request: Request, who: Office) -> list[PlanOut]:
    """Every plan of the merchant, also those no longer on offer. Needs balance.edit."""
    who.need(BALANCE_EDIT)
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await topup.plans(session, who.merchant_id, all_of_them=True)
        return [PlanOut.of(plan) for plan in found]


@router.post("/console/topup-plans", response_model=PlanOut)
async def add_plan(body: PlanIn, request: Request, who: Office) -> Response:
    """Add a plan. Needs balance.edit."""
    cloud = cloud_of(request)

    async def act() -> PlanOut:
        async with cloud.db.write() as session:
            return PlanOut.of(await topup.put_plan(session, who, None, body, cloud.clocks))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.put("/console/topup-plans/{plan_id}")
async def change_plan(plan_id: str, body: PlanIn, request: Request, who: Office) -> PlanOut:
    """Change a plan for those who buy it from now on. Needs balance.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return PlanOut.of(await topup.put_plan(session, who, plan_id, body, cloud.clocks))


@router.put("/console/balance-rule")
async def set_rule(body: RuleIn, request: Request, who: Office) -> RuleIn:
    """Which part of a balance is spent first. Needs balance.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await office.set_rule(session, who, body.spend, cloud.clocks)
    return body


@router.get("/console/members/{account_id}/balance")
async def member_balance(account_id: str, request: Request, who: Office) -> BalanceOut:
    """A member's balance and movements. Needs customer.read."""
    who.need(CUSTOMER_READ)
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        await office.known_member(session, who, account_id)
        return await office.show(session, who, who.merchant_id, account_id)


@router.post("/console/members/{account_id}/balance/adjust", response_model=BalanceOut)
async def adjust_balance(
    account_id: str, body: AdjustIn, request: Request, who: Office
) -> Response:
    """Add to or take from a balance, for a reason. Needs balance.edit, within the role's limit."""
    cloud = cloud_of(request)

    async def act() -> BalanceOut:
        async with cloud.db.write() as session:
            await office.known_member(session, who, account_id)
            await office.adjust(session, who, account_id, body, cloud.clocks)
            return await office.show(session, who, who.merchant_id, account_id)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/console/members/{account_id}/balance/pay-out", response_model=BalanceOut)
async def pay_out_balance(
    account_id: str, body: PayOutIn, request: Request, who: Office
) -> Response:
    """Pay paid money out of a balance the way it came. Needs balance.edit, within the role's limit."""
    cloud = cloud_of(request)

    async def act() -> BalanceOut:
        async with cloud.db.write() as session:
            await office.known_member(session, who, account_id)
            await office.pay_out(session, who, account_id, body, cloud.clocks)
            return await office.show(session, who, who.merchant_id, account_id)

    return await once(cloud, who.ref, request, await request.body(), act)
