"""Group-buy in numbers: what was sold, redeemed, expired and refunded, by one dimension.

Sales count on the day they were paid, redemptions on the day they happened (one that was undone counts
not), expiries and refunds on the day the voucher ended.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy.desk import bounds, zone_of
from cloud_api.groupbuy.models import Campaign, GroupOrder
from cloud_api.groupbuy.schemas import ReportOut, ReportRow
from cloud_api.groupbuy.views import names_of
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.stores.models import Store
from cloud_api.vouchers.models import Redemption, Voucher

_LONGEST_DAYS: Final = 366
_SOLD: Final = ("paid", "issued", "refunding", "refunded")
_WAYS: Final = {
    "scan": "扫码核销", "code": "输码核销", "pick": "选单核销", "online": "顾客自己用", "door": "在门口用", "scanner": "在扫码窗用",
}  # fmt: skip


async def report(
    session: AsyncSession, staff: Staff, first: date, last: date, by: str
) -> ReportOut:
    """Rows by ``campaign``, ``store``, ``staff``, ``day`` or ``way``. Raises KaimenError ``report.days``."""
    if not 0 <= (last - first).days < _LONGEST_DAYS:
        raise KaimenError(
            "report.days", "一次最多看一年，结束不能早于开始", status=422, field="last"
        )
    zone = await zone_of(session, staff, None)
    begins, ends = bounds(first, last, zone)
    rows: dict[str, ReportRow] = {}

    def row(key: str) -> ReportRow:
        return rows.setdefault(key, ReportRow(key=key, name=key))

    sold = scoped(staff, GroupOrder).where(
        col(GroupOrder.status).in_(_SOLD),
        col(GroupOrder.paid_at) >= begins,
        col(GroupOrder.paid_at) < ends,
    )
    for order in (await session.exec(sold)).all():
        assert order.paid_at is not None
        key = {
            "campaign": order.campaign_id,
            "store": order.store_id,
            "day": f"{order.paid_at.astimezone(zone):%Y-%m-%d}",
        }.get(by)
        if key is not None:
            one = row(key)
            one.sold += order.quantity
            one.sold_fen += order.total_fen
            one.from_shares += order.quantity if order.shared_by or order.team_id else 0
    used = scoped(staff, Redemption).where(col(Redemption.at) >= begins, col(Redemption.at) < ends)
    for use in (await session.exec(used)).all():
        one = row(
            {
                "campaign": use.campaign_id,
                "store": use.store_id,
                "day": f"{use.at.astimezone(zone):%Y-%m-%d}",
                "staff": use.by_name
                or (_("顾客自己") if use.by.startswith("customer:") else _("系统")),
                "way": _WAYS.get(use.way, use.way),
            }[by]
        )
        one.redeemed += 1 if use.kind == "redeem" else -1
        one.redeemed_fen += use.amount_fen
    ended = scoped(staff, Voucher).where(
        col(Voucher.state).in_(("expired", "refunding", "refunded")),
        col(Voucher.valid_until) >= begins,
    )
    if by == "campaign":
        for voucher in (await session.exec(ended)).all():
            one = row(voucher.campaign_id)
            if voucher.state == "expired":
                one.expired += 1
            else:
                one.refunded += 1
                one.refunded_fen += voucher.value_fen
    await _name(session, staff, rows, by)
    ordered = sorted(rows.values(), key=lambda one: (-one.sold_fen, -one.redeemed, one.name))
    if by == "day":
        ordered = [rows[key] for key in sorted(rows)]
    return ReportOut(by=by, rows=ordered, liability_fen=await liability(session, staff))


async def liability(session: AsyncSession, staff: Staff) -> int:
    """What was paid for vouchers that may still be used, in fen."""
    mine = scoped(staff, Voucher).where(col(Voucher.state) == "issued").subquery()
    return int((await session.exec(select(func.coalesce(func.sum(mine.c.value_fen), 0)))).one())


async def _name(session: AsyncSession, staff: Staff, rows: dict[str, ReportRow], by: str) -> None:
    names: dict[str, str] = {}
    if by == "store":
        names = await names_of(session, Store, set(rows))
    elif by == "campaign":
        query = scoped(staff, Campaign).where(col(Campaign.id).in_(rows))
        names = {one.id: one.name for one in (await session.exec(query)).all()}
    for key, one in rows.items():
        one.name = names.get(key, key)
