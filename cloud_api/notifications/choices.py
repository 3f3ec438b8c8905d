"""What a guest wants to be told of outside the app: a text message, or one on WeChat.

The inbox holds all of it in any case; what cannot be done without (a link to pay by) is always sent. Nothing
said means yes to what belongs to one's own bookings, which is all that is ever sent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer, scoped
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.notices import FOR_CUSTOMERS
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.notifications.models import NoticeChoice

BOOKING: Final = "booking"
TIME: Final = "time"
OFFERS: Final = "offers"
NAMES: Final = {  # what people choose by, and what it is
    BOOKING: ("订单进展", "订好、改时间、取消、退款、客服回复"),
    TIME: ("到点提醒", "快开始、快结束、超时要付的钱"),
    OFFERS: ("拼团、券和候补", "成团没有、券快到期、空出来了"),
}
_KINDS: Final = {
    "order.starting_soon": TIME,
    "order.ending_soon": TIME,
    "order.no_show_soon": TIME,
    "overtime.due": TIME,
    "team.full": OFFERS,
    "team.failed": OFFERS,
    "voucher.expiring": OFFERS,
    "voucher.expired": OFFERS,
    "waitlist.offer": OFFERS,
    "order.pay_link": "",  # nothing can be paid without it
}


def kind_of(event: str) -> str:
    """What an event belongs to; ``""`` for what is always sent: to staff, and what one cannot do without."""
    return _KINDS.get(event, BOOKING) if event in FOR_CUSTOMERS else ""


async def choices(session: AsyncSession, account_id: str) -> dict[str, bool]:
    """Every kind, and whether it is wanted outside the app."""
    found = (await session.exec(scoped(Customer(account_id), NoticeChoice))).all()
    said = {one.kind: one.wanted for one in found}
    return {kind: said.get(kind, True) for kind in NAMES}


async def choose(
    session: AsyncSession, account_id: str, kind: str, wanted: bool, now: datetime
) -> None:
    """Keep what somebody wants; ``now`` is business time. Raises KaimenError ``notice.kind`` (422)."""
    if kind not in NAMES:
        raise KaimenError("notice.kind", "没有这一类消息", status=422, field="kind")
    row = {"account_id": account_id, "kind": kind, "wanted": wanted, "changed_at": now}
    if await insert_or_ignore(session, NoticeChoice, row):
        return
    await session.exec(
        update(NoticeChoice)
        .where(col(NoticeChoice.account_id) == account_id, col(NoticeChoice.kind) == kind)
        .values(wanted=wanted, changed_at=now)
        .execution_options(synchronize_session=False)
    )


async def wanted(session: AsyncSession, account_id: str, event: str) -> bool:
    """Whether an event may go to this person outside the app."""
    kind = kind_of(event)
    return not kind or (await choices(session, account_id))[kind]
