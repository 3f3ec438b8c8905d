"""Staff settle what a provider refused to give back of an order (payments/refund_desk.py), and the order tells it."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.orders.models import Order
from cloud_api.orders.money import pays
from cloud_api.orders.sums import recount
from cloud_api.orders.transitions import lock_order, note
from cloud_api.payments import refund_desk, repair
from cloud_api.staff.permissions import ORDER_REFUND


async def retry(cloud: Cloud, staff: Staff, order_id: str, number: str, why: str) -> Order:
    """Have the money of a refund of this number given back after all. Raises as ``refund_desk.retry``."""
    asked = await _begin(cloud, staff, order_id, number, why)
    async with cloud.db.write() as session:
        order = await lock_order(session, staff, order_id)
        again = await refund_desk.retry_in(session, staff, asked, cloud.clocks)
        await _tell(session, staff, order, "refund_retry", asked, again.number, cloud.clocks)
    await refund_desk.push(cloud, again)
    return order


async def paid_by_hand(
    cloud: Cloud, staff: Staff, order_id: str, number: str, why: str, proof: str
) -> Order:
    """Say that the guest got a refused refund by other means. Raises as ``refund_desk.paid_by_hand``."""
    proof = refund_desk.need_proof(proof)
    asked = await _begin(cloud, staff, order_id, number, why)
    async with cloud.db.write() as session:
        order = await lock_order(session, staff, order_id)
        await refund_desk.by_hand_in(session, staff, asked, proof, cloud.clocks)
        await _tell(session, staff, order, "refund_by_hand", asked, proof, cloud.clocks)
        return order


async def _begin(
    cloud: Cloud, staff: Staff, order_id: str, number: str, why: str
) -> refund_desk.Asked:
    staff.need(ORDER_REFUND)
    async with cloud.db.read() as session:
        refund = await repair.find_refund(session, staff, pays(order_id), number)
    return await refund_desk.begin(cloud, staff, refund.id, why)


async def _tell(
    session: AsyncSession,
    staff: Staff,
    order: Order,
    kind: str,
    asked: refund_desk.Asked,
    result: str,
    clocks: Clocks,
) -> None:
    before = asked.before
    body = {"number": before.number, "amount_fen": before.amount_fen, "result": result}
    await note(session, order, kind, by=staff.ref, clocks=clocks, why=asked.why, body=body)
    await recount(session, order)
