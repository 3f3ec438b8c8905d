"""Groups of a merchant's customers by what they ordered: whom coupons are issued to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.models import Account
from cloud_api.auth.phones import normal
from cloud_api.coupons.schemas import IssueIn
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import KaimenError
from cloud_api.members.models import Membership
from cloud_api.orders.models import Order

MOST: Final = 5000  # of one issue: it is one transaction
_BOUGHT: Final = ("paid", "ready", "in_use", "completed")
_MONTH: Final = timedelta(days=30)
_QUARTER: Final = timedelta(days=90)
_REGULAR: Final = 5


async def accounts_of(
    session: AsyncSession, merchant_id: str, wanted: IssueIn, now: datetime
) -> tuple[list[str], int]:
    """The accounts of a segment (at most 5,000) and how many phones are nobody's here."""
    if wanted.segment == "phones":
        return await _by_phone(session, wanted.phones)
    if wanted.segment == "level":
        members = select(col(Membership.account_id)).where(
            col(Membership.merchant_id) == merchant_id,
            col(Membership.level_id) == wanted.level_id,
        )
        return list((await session.exec(members.limit(MOST))).all()), 0
    query = (
        select(col(Order.account_id))
        .where(col(Order.merchant_id) == merchant_id, col(Order.status).in_(_BOUGHT))
        .group_by(col(Order.account_id))
        .order_by(col(Order.account_id))
    )
    if wanted.segment == "new":
        query = query.having(func.min(col(Order.created_at)) >= now - _MONTH)
    elif wanted.segment == "quiet":
        query = query.having(func.max(col(Order.created_at)) < now - _MONTH)
    elif wanted.segment == "regular":
        query = query.where(col(Order.created_at) >= now - _QUARTER).having(
            func.count() >= _REGULAR
        )
    return list((await session.exec(query.limit(MOST))).all()), 0


async def _by_phone(session: AsyncSession, phones: list[str]) -> tuple[list[str], int]:
    wanted, unknown = set(), 0
    for phone in phones:
        try:
            wanted.add(vault().index(normal(phone)))
        except KaimenError:
            unknown += 1
    found = (
        await session.exec(select(col(Account.id)).where(col(Account.phone_index).in_(wanted)))
    ).all()
    return sorted(found), unknown + len(wanted) - len(found)
