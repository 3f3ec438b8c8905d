"""/payments/{id}: a payment of one's own, whatever it is for; where it stands, and what to do next."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel
from sqlmodel import col

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.payments import dispatch, service
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.transitions import OPEN_PAYMENT

router = APIRouter(prefix="/payments", tags=["payments"])
Who = Annotated[Customer, Depends(customer)]


class OwnPaymentOut(BaseModel):
    """``status``: pending_payment while it is open, else how it ended. ``step``: what a page does next."""

    id: str
    number: str
    status: str
    payment_state: str
    provider: str
    amount_fen: int
    subject: str
    expires_at: AwareDatetime
    step: dict[str, Any] | None

    @classmethod
    def of(cls, payment: PaymentAttempt) -> "OwnPaymentOut":
        """From the table."""
        waits = payment.state in OPEN_PAYMENT
        return cls(
            id=payment.id,
            number=payment.number,
            status="pending_payment" if waits else payment.state,
            payment_state=payment.state,
            provider=payment.provider,
            amount_fen=payment.amount_fen,
            subject=payment.subject,
            expires_at=payment.expires_at,
            step=payment.step if payment.state == "pending" else None,
        )


async def own_payment(cloud: Cloud, who: Customer, payment_id: str) -> PaymentAttempt:
    """A payment of ``who``. Raises NotFound."""
    async with cloud.db.read() as session:
        query = scoped(who, PaymentAttempt).where(col(PaymentAttempt.id) == payment_id)
        found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("payment", "没有这笔付款")
    return found


@router.get("/{payment_id}")
async def get_payment(payment_id: str, request: Request, who: Who) -> OwnPaymentOut:
    """Where it stands."""
    return OwnPaymentOut.of(await own_payment(cloud_of(request), who, payment_id))


@router.post("/{payment_id}/check-payment")
async def check_payment(payment_id: str, request: Request, who: Who) -> OwnPaymentOut:
    """Ask the provider now; money that came has its effect at once."""
    cloud = cloud_of(request)
    payment = await own_payment(cloud, who, payment_id)
    if payment.state in OPEN_PAYMENT:
        payment = await service.look(cloud, payment.id)
    await _settle(cloud, payment)
    return OwnPaymentOut.of(payment)


@router.post("/{payment_id}/close-payment", response_model=OwnPaymentOut)
async def close_payment(payment_id: str, request: Request, who: Who) -> Response:
    """Make sure that it is never paid, to choose another way.

    409 ``payment.not_closed`` (with ``provider``, ``until``) while nobody can promise it.
    """
    cloud = cloud_of(request)

    async def act() -> OwnPaymentOut:
        payment = await own_payment(cloud, who, payment_id)
        if await service.settle_or_close(cloud, payment.id) == "unknown":
            raise Conflict(
                "payment.not_closed",
                "上一次支付还没有结果，现在也关不掉。先别再付一次，有结果这里会自己更新",
                provider=payment.provider,
                until=payment.expires_at.isoformat(),
            )
        payment = await own_payment(cloud, who, payment_id)
        await _settle(cloud, payment)
        return OwnPaymentOut.of(payment)

    return await once(cloud, who.ref, request, await request.body(), act)


async def _settle(cloud: Cloud, payment: PaymentAttempt) -> None:
    if payment.state == "succeeded" and payment.applied is None:
        async with cloud.db.write() as session:
            await dispatch.settle(session, payment.id, cloud.clocks)
