"""Refund requests, deposits and the desk: of guests under /orders, of staff under /console."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.kit.seen import Saw, marked
from cloud_api.orders import deposit_claims, deposits, desk, refund_requests, service, views
from cloud_api.orders.money_schemas import (
    ApproveIn,
    ClaimIn,
    ClaimOut,
    DecideIn,
    DepositRuleIn,
    DepositRuleOut,
    ReasonIn,
    RefundAskIn,
    RefundRequestOut,
    StaffRefundRequestOut,
)
from cloud_api.orders.schemas import ConsoleOrderOut, WhyIn
from cloud_api.staff.deps import staff_actor
from cloud_api.stores.service import get_store

router = APIRouter(tags=["orders"])
console = APIRouter(prefix="/console", tags=["console: orders"])
Who = Annotated[Customer, Depends(customer)]
Office = Annotated[Staff, Depends(staff_actor)]
Act = Callable[[AsyncSession, Clocks], Awaitable[Any]]


async def _write(request: Request, ref: str, act: Act) -> Response:
    """Run ``act`` once in a transaction of its own."""
    cloud = cloud_of(request)

    async def whole() -> Any:
        async with cloud.db.write() as session:
            return await act(session, cloud.clocks)

    return await once(cloud, ref, request, await request.body(), whole)


@router.post("/orders/{order_id}/refund-requests", response_model=RefundRequestOut)
async def ask_refund(order_id: str, body: RefundAskIn, request: Request, who: Who) -> Response:
    """Ask for money back; staff decide."""

    async def act(session: AsyncSession, clocks: Clocks) -> RefundRequestOut:
        made = await refund_requests.ask(session, who, order_id, body.why, body.amount_fen, clocks)
        return RefundRequestOut.of(made)

    return await _write(request, who.ref, act)


@router.get("/orders/{order_id}/refund-requests")
async def list_refund_requests(order_id: str, request: Request, who: Who) -> list[RefundRequestOut]:
    """What one asked for an order, oldest first."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        order = await service.get_order(session, who, order_id)
        found = await refund_requests.of_order(session, order.id)
        return [RefundRequestOut.of(one) for one in found]


@router.post(
    "/orders/{order_id}/refund-requests/{request_id}/withdraw", response_model=RefundRequestOut
)
async def withdraw_refund(order_id: str, request_id: str, request: Request, who: Who) -> Response:
    """Take a request back that nobody has decided yet."""

    async def act(session: AsyncSession, clocks: Clocks) -> RefundRequestOut:
        return RefundRequestOut.of(
            await refund_requests.withdraw(session, who, order_id, request_id, clocks)
        )

    return await _write(request, who.ref, act)


@router.post("/orders/{order_id}/deposit/claims/{claim_id}/object", response_model=ClaimOut)
async def object_to_claim(
    order_id: str, claim_id: str, body: ReasonIn, request: Request, who: Who
) -> Response:
    """Object to what staff want to keep of one's deposit."""

    async def act(session: AsyncSession, clocks: Clocks) -> ClaimOut:
        return ClaimOut.of(
            await deposit_claims.object_to(session, who, order_id, claim_id, body.why, clocks)
        )

    return await _write(request, who.ref, act)


@console.post("/orders/{order_id}/refund-requests", response_model=StaffRefundRequestOut)
async def ask_refund_for(
    order_id: str, body: RefundAskIn, request: Request, who: Office
) -> Response:
    """Ask for money back for a guest; who may approve it decides. Needs order.refund."""

    async def act(session: AsyncSession, clocks: Clocks) -> StaffRefundRequestOut:
        return StaffRefundRequestOut.of(
            await refund_requests.ask_for(session, who, order_id, body.why, body.amount_fen, clocks)
        )

    return await _write(request, who.ref, act)


@console.get("/refund-requests")
async def refund_queue(
    request: Request,
    who: Office,
    decided: bool = False,
    store_id: Annotated[str, Query(max_length=64)] = "",
) -> list[StaffRefundRequestOut]:
    """What waits for a decision, oldest first; or what was decided. Needs order.refund."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await refund_requests.queue(session, who, decided=decided, store_id=store_id)
        return [StaffRefundRequestOut.of(one) for one in found]


@console.post("/refund-requests/{request_id}/approve", response_model=StaffRefundRequestOut)
async def approve_refund(
    request_id: str, body: ApproveIn, request: Request, who: Office
) -> Response:
    """Give money back. Needs order.refund, within the role's limit."""

    async def act(session: AsyncSession, clocks: Clocks) -> StaffRefundRequestOut:
        return StaffRefundRequestOut.of(
            await refund_requests.approve(
                session, who, request_id, body.amount_fen, body.why, clocks
            )
        )

    return await _write(request, who.ref, act)


@console.post("/refund-requests/{request_id}/decline", response_model=StaffRefundRequestOut)
async def decline_refund(
    request_id: str, body: ReasonIn, request: Request, who: Office
) -> Response:
    """Say no, with a reason. Needs order.refund."""

    async def act(session: AsyncSession, clocks: Clocks) -> StaffRefundRequestOut:
        return StaffRefundRequestOut.of(
            await refund_requests.decline(session, who, request_id, body.why, clocks)
        )

    return await _write(request, who.ref, act)


@console.post("/refund-requests/{request_id}/pass-up", response_model=StaffRefundRequestOut)
async def pass_up_refund(
    request_id: str, body: ReasonIn, request: Request, who: Office
) -> Response:
    """Leave it to the manager. Needs order.refund."""

    async def act(session: AsyncSession, clocks: Clocks) -> StaffRefundRequestOut:
        return StaffRefundRequestOut.of(
            await refund_requests.pass_up(session, who, request_id, body.why, clocks)
        )

    return await _write(request, who.ref, act)


@console.post("/orders/{order_id}/cash", response_model=ConsoleOrderOut)
async def take_cash(order_id: str, body: WhyIn, request: Request, who: Office) -> Response:
    """The guest paid in cash what is due. Needs cash.take."""

    async def act(session: AsyncSession, clocks: Clocks) -> ConsoleOrderOut:
        order = await desk.take_cash(session, who, order_id, body.why, clocks)
        return (await views.for_staff(session, [order], clocks))[0]

    return await _write(request, who.ref, act)


@console.post("/orders/{order_id}/refunds/{number}/cash", response_model=ConsoleOrderOut)
async def hand_back_cash(
    order_id: str, number: str, body: WhyIn, request: Request, who: Office
) -> Response:
    """The guest got the cash of a refund. Needs cash.take."""

    async def act(session: AsyncSession, clocks: Clocks) -> ConsoleOrderOut:
        order = await desk.hand_back(session, who, order_id, number, body.why, clocks)
        return (await views.for_staff(session, [order], clocks))[0]

    return await _write(request, who.ref, act)


@console.post("/orders/{order_id}/deposit/claims", response_model=ClaimOut)
async def claim_deposit(order_id: str, body: ClaimIn, request: Request, who: Office) -> Response:
    """Want to keep some of a deposit, with reason and picture. Needs order.refund."""

    async def act(session: AsyncSession, clocks: Clocks) -> ClaimOut:
        return ClaimOut.of(
            await deposit_claims.claim(
                session, who, order_id, body.amount_fen, body.why, body.photo, clocks
            )
        )

    return await _write(request, who.ref, act)


@console.post("/orders/{order_id}/deposit/claims/{claim_id}/decide", response_model=ClaimOut)
async def decide_claim(
    order_id: str, claim_id: str, body: DecideIn, request: Request, who: Office
) -> Response:
    """Keep what was claimed, or let it go. Needs order.refund."""

    async def act(session: AsyncSession, clocks: Clocks) -> ClaimOut:
        return ClaimOut.of(
            await deposit_claims.decide(
                session, who, order_id, claim_id, body.keep, body.why, clocks
            )
        )

    return await _write(request, who.ref, act)


@console.get("/stores/{store_id}/deposit-rules")
async def get_deposit_rules(store_id: str, request: Request, who: Office) -> list[DepositRuleOut]:
    """A store's deposits. Needs price.edit."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store = await get_store(session, who, store_id)
        found = await deposits.rules_of(session, who, store.id)
        return [DepositRuleOut.of(rule) for rule in found]


@console.put("/stores/{store_id}/deposit-rules")
async def put_deposit_rule(
    store_id: str,
    body: DepositRuleIn,
    request: Request,
    response: Response,
    who: Office,
    saw: Saw = None,
) -> DepositRuleOut:
    """Say what deposit the store or one of its rooms asks from now on. Needs price.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        rule = await deposits.put_rule(
            session,
            who,
            store_id,
            body.room_id,
            body.amount_fen,
            body.return_minutes,
            cloud.clocks,
            saw,
        )
        marked(response, deposits.facts_of(rule))
        return DepositRuleOut.of(rule)
