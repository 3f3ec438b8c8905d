"""Giving a voucher back that was not used: its money returns the way it came."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy import money
from cloud_api.groupbuy.models import GroupOrder
from cloud_api.groupbuy.transitions import lock_campaign
from cloud_api.kit.actor import Customer, System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict
from cloud_api.kit.i18n import later
from cloud_api.payments import dispatch
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Voucher
from cloud_api.vouchers.transitions import lock_voucher


async def give_back(
    session: AsyncSession, customer: Customer, voucher_id: str, clocks: Clocks
) -> Voucher:
    """Refund one's own whole voucher; one that is on its way back is given back as it is.

    The money goes to who paid: one that was a present cannot be turned into money by its new owner.
    Raises NotFound, Conflict ``voucher.not_whole``, ``voucher.not_refundable``, ``voucher.a_present``.
    """
    known = await vouchers.get(session, customer, voucher_id)
    order = await session.get_one(GroupOrder, dispatch.ref_of(known.source))
    await lock_campaign(session, System(), order.campaign_id)
    voucher = await lock_voucher(session, customer, voucher_id)
    if voucher.state in ("refunding", "refunded"):
        return voucher
    if voucher.state != "issued":
        raise Conflict("voucher.not_whole", "这张券已经用过或过期了，不能退", state=voucher.state)
    if order.account_id != customer.account_id:
        raise Conflict("voucher.a_present", "这张券是别人送的，只能由买的人退")
    if not voucher.refundable:
        raise Conflict("voucher.not_refundable", "这张券买的时候说明了不能退")
    if not await money.refund_voucher(session, voucher, later("顾客退券"), clocks):
        raise Conflict("voucher.moved", "这张券刚刚有变化，请刷新再试")
    return voucher
