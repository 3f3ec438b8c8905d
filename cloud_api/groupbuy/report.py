"""Group-buy in numbers: what was sold, redeemed, expired and refunded, by one dimension.

Sales count on the day they were paid, redemptions on the day they happened (one that was undone counts
not), expiries on the day the voucher ended, refunds on the day they were asked for. Other platforms' vouchers
count where they were used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy.buy import KIND
from cloud_api.groupbuy.desk import bounds, zone_of
from cloud_api.groupbuy.models import Campaign, GroupOrder, ShareVisit, Team
from cloud_api.groupbuy.schemas import ReportOut, ReportRow
from cloud_api.groupbuy.views import names_of
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import export_sheet
from cloud_api.payments.dispatch import ref_of
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.platform_vouchers.models import PlatformUse
from cloud_api.platform_vouchers.transitions import COUNTED
from cloud_api.stores.models import Store
from cloud_api.vouchers.models import Redemption, Voucher

LINK: Final = "朋友分享"
JOINED: Final = "从团链接参团"
OPENED: Final = "自己开团"
ALONE: Final = "直接买"
_LONGEST_DAYS: Final = 366
_SOLD: Final = ("paid", "issued", "refunding", "refunded")
_WAYS: Final = {
    "scan": "扫码核销", "code": "输码核销", "pick": "选单核销", "online": "顾客自己用", "door": "在门口用", "scanner": "在扫码窗用",
}  # fmt: skip


async def report(
    session: AsyncSession, staff: Staff, first: date, last: date, by: str
) -> ReportOut:
    """Rows by ``campaign``, ``store``, ``staff``, ``day``, ``way`` or ``channel`` (where a buyer came from).

    Raises KaimenError ``report.days``.
    """
    if not 0 <= (last - first).days < _LONGEST_DAYS:
        raise KaimenError(
            "report.days", "一次最多看一年，结束不能早于开始", status=422, field="last"
        )
    zone = await zone_of(session, staff, None)
    begins, ends = bounds(first, last, zone)
    span = (begins, ends)
    rows: dict[str, ReportRow] = {}

    def row(key: str) -> ReportRow:
        return rows.setdefault(key, ReportRow(key=key, name=key))

    def day(at: datetime) -> str:
        return f"{at.astimezone(zone):%Y-%m-%d}"

    await _sold(session, staff, span, by, row, day)
    await _used(session, staff, span, by, row, day)
    await _ended(session, staff, span, by, row, day)
    if by in ("campaign", "day"):
        for visit in await _visits(session, staff, first, last):
            row(
                visit.campaign_id if by == "campaign" else visit.day.isoformat()
            ).visits += visit.visits
    await _name(session, staff, rows, by)
    ordered = sorted(rows.values(), key=lambda one: (-one.sold_fen, -one.redeemed, one.name))
    if by == "day":
        ordered = [rows[key] for key in sorted(rows)]
    return ReportOut(by=by, rows=ordered, liability_fen=await liability(session, staff))


async def _sold(
    session: AsyncSession,
    staff: Staff,
    span: tuple[datetime, datetime],
    by: str,
    row: Callable[[str], ReportRow],
    day: Callable[[datetime], str],
) -> None:
    for order, channel in await _orders(session, staff, span):
        assert order.paid_at is not None
        key = {
            "campaign": order.campaign_id,
            "store": order.store_id,
            "day": day(order.paid_at),
            "channel": channel,
        }.get(by)
        if key is not None:
            one = row(key)
            one.sold += order.quantity
            one.sold_fen += order.total_fen
            shared = channel in (LINK, JOINED)
            one.from_shares += order.quantity if shared else 0
            one.share_orders += shared


async def _used(
    session: AsyncSession,
    staff: Staff,
    span: tuple[datetime, datetime],
    by: str,
    row: Callable[[str], ReportRow],
    day: Callable[[datetime], str],
) -> None:
    undone = select(col(Redemption.undoes)).where(col(Redemption.undoes).is_not(None))
    used = scoped(staff, Redemption).where(
        col(Redemption.at) >= span[0],
        col(Redemption.at) < span[1],
        col(Redemption.kind) == "redeem",
        col(Redemption.id).not_in(undone),
    )
    for use in (await session.exec(used)).all():
        if by == "channel":
            continue
        one = row(
            {
                "campaign": use.campaign_id,
                "store": use.store_id,
                "day": day(use.at),
                "staff": use.by_name
                or (_("顾客自己") if use.by.startswith("customer:") else _("系统")),
                "way": _WAYS.get(use.way, use.way),
            }[by]
        )
        one.redeemed += 1
        one.redeemed_fen += use.amount_fen
    for one_use in await _platforms(session, staff, span):
        assert one_use.verified_at is not None
        key = {
            "store": one_use.store_id,
            "day": day(one_use.verified_at),
            "channel": one_use.label,
        }.get(by)
        if key is not None:
            row(key).redeemed += 1
            row(key).redeemed_fen += one_use.worth_fen


async def _orders(
    session: AsyncSession, staff: Staff, span: tuple[datetime, datetime]
) -> list[tuple[GroupOrder, str]]:
    """What was paid, with where its buyer came from."""
    query = scoped(staff, GroupOrder).where(
        col(GroupOrder.status).in_(_SOLD),
        col(GroupOrder.paid_at) >= span[0],
        col(GroupOrder.paid_at) < span[1],
    )
    found = (await session.exec(query)).all()
    ids = {order.team_id for order in found if order.team_id is not None}
    teams = scoped(staff, Team).where(col(Team.id).in_(ids))
    opened = {team.id: team.opened_by for team in (await session.exec(teams)).all()}
    return [(order, _channel(order, opened)) for order in found]


def _channel(order: GroupOrder, opened: dict[str, str]) -> str:
    if order.shared_by is not None:
        return LINK
    if order.team_id is None:
        return ALONE
    return OPENED if opened.get(order.team_id) == order.account_id else JOINED


async def _platforms(
    session: AsyncSession, staff: Staff, span: tuple[datetime, datetime]
) -> list[PlatformUse]:
    query = scoped(staff, PlatformUse).where(
        col(PlatformUse.state).in_(sorted(COUNTED)),
        col(PlatformUse.verified_at) >= span[0],
        col(PlatformUse.verified_at) < span[1],
    )
    return list((await session.exec(query)).all())


async def _ended(
    session: AsyncSession,
    staff: Staff,
    span: tuple[datetime, datetime],
    by: str,
    row: Callable[[str], ReportRow],
    day: Callable[[datetime], str],
) -> None:
    """Vouchers on the day they expired unused, refunds on the day they were asked for."""
    if by not in ("campaign", "store", "day"):
        return
    over = scoped(staff, Voucher).where(
        col(Voucher.state) == "expired",
        col(Voucher.valid_until) >= span[0],
        col(Voucher.valid_until) < span[1],
    )
    for voucher in (await session.exec(over)).all():
        keys = {"campaign": voucher.campaign_id, "store": str(voucher.store_ids[0])}
        row(keys.get(by) or day(voucher.valid_until)).expired += 1
    back = scoped(staff, RefundAttempt).where(
        col(RefundAttempt.created_at) >= span[0],
        col(RefundAttempt.created_at) < span[1],
        col(RefundAttempt.replaced_by).is_(None),
        col(RefundAttempt.state) != "failed",
        col(RefundAttempt.payment_id).in_(
            select(col(PaymentAttempt.id)).where(col(PaymentAttempt.pays).startswith(f"{KIND}:"))
        ),
    )
    found = (await session.exec(back)).all()
    paid = {one.payment_id for one in found}
    known = scoped(staff, PaymentAttempt).where(col(PaymentAttempt.id).in_(paid))
    pays_of = {one.id: one.pays for one in (await session.exec(known)).all()}
    refunds = [(one, pays_of[one.payment_id]) for one in found if one.payment_id in pays_of]
    ids = {ref_of(pays) for _refund, pays in refunds}
    query = scoped(staff, GroupOrder).where(col(GroupOrder.id).in_(ids))
    orders = {order.id: order for order in (await session.exec(query)).all()}
    for refund, pays in refunds:
        order = orders.get(ref_of(pays))
        if order is None:
            continue
        keys = {"campaign": order.campaign_id, "store": order.store_id}
        one = row(keys.get(by) or day(refund.created_at))
        one.refunded += max(1, round(refund.amount_fen / order.price_fen))
        one.refunded_fen += refund.amount_fen


async def _visits(
    session: AsyncSession, staff: Staff, first: date, last: date
) -> Sequence[ShareVisit]:
    query = scoped(staff, ShareVisit).where(
        col(ShareVisit.day) >= first, col(ShareVisit.day) <= last
    )
    return (await session.exec(query)).all()


def sheet(told: ReportOut) -> Iterator[tuple[export_sheet.Cell, ...]]:
    """A report as the rows of a sheet, its head first; money in yuan."""
    yield (
        _("名称"), _("卖出（张）"), _("卖出（元）"), _("核销（次）"), _("核销（元）"), _("过期（张）"),
        _("退（张）"), _("退（元）"), _("分享打开（次）"), _("分享带来（单）"), _("分享带来（张）"),
    )  # fmt: skip
    for one in told.rows:
        yield (
            one.name, one.sold, one.sold_fen / 100, one.redeemed, one.redeemed_fen / 100,
            one.expired, one.refunded, one.refunded_fen / 100, one.visits, one.share_orders,
            one.from_shares,
        )  # fmt: skip


async def liability(session: AsyncSession, staff: Staff) -> int:
    """What was paid for vouchers that may still be used, in fen."""
    mine = scoped(staff, Voucher).where(col(Voucher.state) == "issued").subquery()
    return int((await session.exec(select(func.coalesce(func.sum(mine.c.value_fen), 0)))).one())


async def _name(session: AsyncSession, staff: Staff, rows: dict[str, ReportRow], by: str) -> None:
    names: dict[str, str] = {}
    if by in ("channel", "way"):
        names = {key: _(key) for key in rows}
    elif by == "store":
        names = await names_of(session, Store, set(rows))
    elif by == "campaign":
        query = scoped(staff, Campaign).where(col(Campaign.id).in_(rows))
        names = {one.id: one.name for one in (await session.exec(query)).all()}
    for key, one in rows.items():
        one.name = names.get(key, key)
