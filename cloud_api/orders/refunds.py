"""Staff settle what a provider refused to give back: by another number, or by hand with proof."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import record
from cloud_api.kit.actor import Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.orders.models import Order
from cloud_api.orders.money import pays
from cloud_api.orders.sums import recount
from cloud_api.orders.transitions import lock_order, note
from cloud_api.payments import refund_desk, repair
from cloud_api.payments.models import RefundAttempt
from cloud_api.staff.permissions import ORDER_REFUND


async def retry(cloud: Cloud, staff: Staff, order_id: str, number: str, why: str) -> Order:
    """Submit a refused refund under a new number; first the provider is asked about the old one.

    Needs ``order.refund`` and, for the amount, the role's limit. Raises NotFound, Conflict
    ``refund.not_refused``, KaimenError ``refund.why``.
    """
    refund, why = await _begin(cloud, staff, order_id, number, why)
    asked = await repair.look_again(cloud, refund.id)
    async with cloud.db.write() as session:
        order = await lock_order(session, staff, order_id)
        again = await repair.go_on(session, refund, asked, cloud.clocks)
        await _write_down(session, cloud, staff, order, "retry", refund, why, again.number)
        return order


async def paid_by_hand(
    cloud: Cloud, staff: Staff, order_id: str, number: str, why: str, proof: str
) -> Order:
    """Say that the guest got a refused refund by other means; ``proof`` says where to look.

    Raises as ``retry``, and KaimenError ``refund.proof`` without a proof.
    """
    proof = refund_desk.need_proof(proof)
    refund, why = await _begin(cloud, staff, order_id, number, why)
    await repair.look_again(cloud, refund.id)
    async with cloud.db.write() as session:
        order = await lock_order(session, staff, order_id)
        await repair.paid_by_hand(session, refund.id, proof, cloud.clocks)
        await _write_down(session, cloud, staff, order, "by_hand", refund, why, proof)
        return order


async def _begin(
    cloud: Cloud, staff: Staff, order_id: str, number: str, why: str
) -> tuple[RefundAttempt, str]:
    staff.need(ORDER_REFUND)
    why = refund_desk.need_why(why)
    async with cloud.db.read() as session:
        refund = await repair.find_refund(session, staff, pays(order_id), number)
    staff.need_refund(refund.amount_fen)
    return refund, why


async def _write_down(
    session: AsyncSession,
    cloud: Cloud,
    staff: Staff,
    order: Order,
    what: str,
    refund: RefundAttempt,
    why: str,
    result: str,
) -> None:
    kind = f"refund_{what}"
    body = {"number": refund.number, "amount_fen": refund.amount_fen, "result": result}
    await note(session, order, kind, by=staff.ref, clocks=cloud.clocks, why=why, body=body)
    await record(
        session,
        staff,
        f"refund.{what}",
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        subject=f"order:{order.id}",
        after=body,
        why=why,
        clocks=cloud.clocks,
    )
    await recount(session, order)
