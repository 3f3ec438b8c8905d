"""What runs later around group-buy: holds, deadlines of teams, vouchers that expire, money that moved.

Importing this module registers the handlers.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy import books, buy, money, platform, platform_hand, platform_order, redeem
from cloud_api.groupbuy.models import GroupOrder
from cloud_api.groupbuy.transitions import lock_campaign
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.i18n import later
from cloud_api.kit.models import DueJob
from cloud_api.kit.notices import notify
from cloud_api.ledger.verify import check
from cloud_api.orders import refund_wait
from cloud_api.payments import dispatch
from cloud_api.platform_vouchers import service as platforms
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Voucher
from cloud_api.vouchers.transitions import lock_voucher, move

_SYSTEM: Final = System()


async def expire(cloud: Cloud, job: DueJob) -> None:
    """Job ``voucher.expire``: a voucher that nobody used ends, and its money goes back unless not so sold."""
    async with cloud.db.write() as session:
        voucher = await _locked(session, job.ref)
        if voucher.valid_until > cloud.clocks.now:  # extended meanwhile
            return
        if voucher.state == "issued" and not await move(session, voucher, "expired"):
            return
        order_id = dispatch.ref_of(voucher.source)
        await books.follow_later(session, voucher.merchant_id, order_id, cloud.clocks)
        if (
            voucher.state == "expired"
            and voucher.refund_on_expiry
            and await money.refund_voucher(session, voucher, later("团购券到期未用"), cloud.clocks)
        ):
            await _tell(session, voucher, "voucher.expired", cloud, amount_fen=voucher.value_fen)


async def remind(cloud: Cloud, job: DueJob) -> None:
    """Job ``voucher.remind``: three days before a voucher that is still whole ends, its owner hears of it."""
    async with cloud.db.write() as session:
        voucher = await lock_voucher(session, _SYSTEM, job.ref)
        left = voucher.valid_until - cloud.clocks.now
        if voucher.state != "issued" or not timedelta() < left <= vouchers.REMIND_BEFORE:
            return
        voucher.reminded_at = cloud.clocks.now
        session.add(voucher)
        at = voucher.valid_until.isoformat()
        await _tell(session, voucher, "voucher.expiring", cloud, at=at)


async def _tell(
    session: AsyncSession, voucher: Voucher, event: str, cloud: Cloud, **data: Any
) -> None:
    await notify(
        session,
        merchant_id=voucher.merchant_id,
        store_id=str(voucher.store_ids[0]),
        event=event,
        to=f"account:{voucher.account_id}",
        subject=f"voucher:{voucher.id}",
        data={"name": voucher.name, **data},
        key=f"{voucher.id}:{voucher.valid_until.isoformat()}",
        at=cloud.clocks.now,
    )


async def _locked(session: AsyncSession, voucher_id: str) -> Voucher:
    """The voucher, with its campaign locked before it: its stock may become free."""
    known = await session.get_one(Voucher, voucher_id)
    order = await session.get(GroupOrder, dispatch.ref_of(known.source))
    if order is not None:
        await lock_campaign(session, _SYSTEM, order.campaign_id)
    return await lock_voucher(session, _SYSTEM, voucher_id)


register(books.BOOKS, books.follow)
check("groupbuy", books.check)
register(buy.HOLD, money.hold_ended)
register(buy.DEADLINE, money.team_due)
register(vouchers.EXPIRE, expire)
register(vouchers.REMIND, remind)
dispatch.register(buy.KIND, settle=money.settle, refund_changed=money.refund_changed)
refund_wait.when_unused("groupbuy", redeem.unused)
register(platforms.LOOK, platform.look)
register(platforms.CANCEL, platform_order.take_back)
register(platforms.LAPSE, platform_hand.lapse)
refund_wait.when_unused("platform_vouchers", platform_order.unused)
