"""/console/stuck-refunds: what providers refused to give back or are stuck with, for any kind of sale."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.payments import refund_desk
from cloud_api.payments.ways import label_of
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console/stuck-refunds", tags=["payments"])
Who = Annotated[Staff, Depends(staff_actor)]


class StuckRefundOut(BaseModel):
    """A refund. ``for_what``: ``order:<id>``, ``groupbuy:<id>`` or ``topup:<id>``.

    ``state``: failed (refused: ask under a new number, or pay by hand), abnormal (the provider is stuck
    with it), or where it stands once somebody acted.
    """

    id: str
    number: str
    state: str
    amount_fen: int
    reason: str
    detail: str
    provider: str
    provider_name: str
    payment_number: str
    subject: str
    for_what: str
    store_id: str
    at: AwareDatetime
    replaced_by: str | None
    proof: str | None

    @classmethod
    def of(cls, one: refund_desk.Stuck) -> "StuckRefundOut":
        """From the tables."""
        refund, payment = one
        return cls(
            id=refund.id,
            number=refund.number,
            state=refund.state,
            amount_fen=refund.amount_fen,
            reason=refund.reason,
            detail=refund.last_error or "",
            provider=payment.provider,
            provider_name=label_of(payment.provider),
            payment_number=payment.number,
            subject=payment.subject,
            for_what=payment.part_of,
            store_id=refund.store_id,
            at=refund.created_at,
            replaced_by=refund.replaced_by,
            proof=refund.proof,
        )


class AgainIn(BaseModel):
    """Why it is tried again."""

    model_config = ConfigDict(extra="forbid")
    why: Annotated[str, Field(max_length=200)] = ""


class PaidIn(AgainIn):
    """A refund that was paid by other means; ``proof`` says where to look."""

    proof: Annotated[str, Field(max_length=200)] = ""


@router.get("")
async def stuck(request: Request, who: Who) -> list[StuckRefundOut]:
    """What somebody has to see to, the oldest first. Needs order.refund."""
    async with cloud_of(request).db.read() as session:
        return [StuckRefundOut.of(one) for one in await refund_desk.stuck(session, who)]


@router.get("/{refund_id}")
async def one(refund_id: str, request: Request, who: Who) -> StuckRefundOut:
    """One refund, also after it was settled. Needs order.refund."""
    async with cloud_of(request).db.read() as session:
        return StuckRefundOut.of(await refund_desk.get(session, who, refund_id))


@router.post("/{refund_id}/retry", response_model=StuckRefundOut)
async def retry(refund_id: str, body: AgainIn, request: Request, who: Who) -> Response:
    """Have the provider give the money back after all. Needs order.refund."""
    cloud = cloud_of(request)

    async def act() -> StuckRefundOut:
        return StuckRefundOut.of(await refund_desk.retry(cloud, who, refund_id, body.why))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/{refund_id}/by-hand", response_model=StuckRefundOut)
async def by_hand(refund_id: str, body: PaidIn, request: Request, who: Who) -> Response:
    """Say that the guest got the money by other means, with proof. Needs order.refund."""
    cloud = cloud_of(request)

    async def act() -> StuckRefundOut:
        return StuckRefundOut.of(
            await refund_desk.paid_by_hand(cloud, who, refund_id, body.why, body.proof)
        )

    return await once(cloud, who.ref, request, await request.body(), act)
