"""Who books at a merchant: figures of each customer's orders, and the list that finds any of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import String, case, cast
from sqlalchemy import select as sa_select
from sqlmodel import col, func, or_
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.service import account_of_phone
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import NotFound
from cloud_api.kit.ids import new_id
from cloud_api.kit.paging import page_of
from cloud_api.members.models import MemberProfile, Membership
from cloud_api.members.profiles import lock_profile, profile_of
from cloud_api.orders.models import BlockedCustomer, Order
from cloud_api.staff.permissions import CUSTOMER_READ

FIGURES: Final = "member.figures"  # ref: merchant.account.id
SORTS: Final = ("last", "spent", "visits")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list of members is asked for; empty is all."""

    text: str = ""  # four last digits, or a whole number
    tag: str = ""
    level_id: str = ""
    blocked: bool = False
    sort: str = "last"
    downwards: bool = True


async def follow(session: AsyncSession, order: Order, _was: str, _by: str, clocks: Clocks) -> None:
    """An order changed: its customer's figures are made anew after the commit."""
    await recount(session, order.merchant_id, order.account_id, clocks)


async def recount(session: AsyncSession, merchant_id: str, account_id: str, clocks: Clocks) -> None:
    """Have a customer's figures made anew; each change has a job of its own, also within one instant."""
    await schedule(
        session,
        merchant_id=merchant_id,
        kind=FIGURES,
        ref=f"{merchant_id}.{account_id}.{new_id()}",
        run_at=clocks.now,
    )


async def count(session: AsyncSession, merchant_id: str, account_id: str, clocks: Clocks) -> None:
    """The job's: figures from the orders as they are now, counted under the lock of what they go into."""
    profile = await lock_profile(session, merchant_id, account_id, clocks.now)
    live = col(Order.status) != "cancelled"
    seen = col(Order.status).in_(["in_use", "completed"])
    figures: tuple[Any, ...] = (
        func.count(),
        func.coalesce(func.sum(case((seen, 1), else_=0)), 0),
        func.coalesce(
            func.sum(case((live, col(Order.paid_fen) - col(Order.refunded_fen)), else_=0)), 0
        ),
        func.min(col(Order.created_at)),
        func.max(case((live, col(Order.starts_at)), else_=col(Order.created_at))),
    )
    query = sa_select(*figures).where(
        col(Order.merchant_id) == merchant_id, col(Order.account_id) == account_id
    )
    orders, visits, spent, first, last = (await session.execute(query)).one()
    profile.orders, profile.visits, profile.spent_fen = int(orders), int(visits), int(spent)
    if orders:
        profile.first_at, profile.last_at = min(profile.first_at, first), last
        profile.merged_into = None
    session.add(profile)


async def find(
    session: AsyncSession,
    staff: Staff,
    wanted: Wanted,
    *,
    now: datetime,
    cursor: str | None,
    limit: int = 30,
) -> tuple[list[MemberProfile], str | None]:
    """A page of members. Needs customer.read; staff of some stores find who booked in these."""
    staff.need(CUSTOMER_READ)
    query = scoped(staff, MemberProfile).where(col(MemberProfile.merged_into).is_(None))
    if staff.store_ids is not None:
        query = query.where(col(MemberProfile.account_id).in_(_of_stores(staff)))
    if wanted.text:
        query = query.where(await _texts(session, wanted.text))
    if wanted.tag:
        # Tags are a JSON list: one of them stands in its text between quotes, on SQLite in ASCII.
        text = cast(col(MemberProfile.tags), String)
        forms = {json.dumps(wanted.tag, ensure_ascii=only) for only in (True, False)}
        query = query.where(or_(*(text.like(f"%{_plain(one)}%", escape="\\") for one in forms)))
    if wanted.level_id:
        mine = scoped(staff, Membership).where(col(Membership.level_id) == wanted.level_id)
        query = query.where(
            col(MemberProfile.account_id).in_(mine.with_only_columns(col(Membership.account_id)))
        )
    if wanted.blocked:
        barred = scoped(staff, BlockedCustomer).where(BlockedCustomer.in_force(now))
        ids = barred.with_only_columns(col(BlockedCustomer.account_id))
        query = query.where(col(MemberProfile.account_id).in_(ids))
    by: dict[str, Any] = {
        "last": MemberProfile.last_at,
        "spent": MemberProfile.spent_fen,
        "visits": MemberProfile.visits,
    }
    return await page_of(
        session,
        query,
        by=by.get(wanted.sort, MemberProfile.last_at),
        key=MemberProfile.id,
        cursor=cursor,
        limit=limit,
        downwards=wanted.downwards,
    )


async def one(session: AsyncSession, staff: Staff, account_id: str) -> MemberProfile:
    """A member that ``staff`` may see. Needs customer.read. Raises NotFound."""
    staff.need(CUSTOMER_READ)
    found = await profile_of(session, staff.merchant_id, account_id)
    if found is not None and staff.store_ids is not None:
        query = _of_stores(staff).where(col(Order.account_id) == account_id).limit(1)
        if (await session.exec(query)).first() is None:
            found = None
    if found is None:
        raise NotFound("member", "没有这个会员，或不在你的门店订过")
    return found


async def levels_of(session: AsyncSession, staff: Staff, account_ids: list[str]) -> dict[str, str]:
    """The level's id by account."""
    query = scoped(staff, Membership).where(col(Membership.account_id).in_(account_ids))
    return {row.account_id: row.level_id for row in (await session.exec(query)).all()}


async def blocks_of(
    session: AsyncSession, staff: Staff, account_ids: list[str], now: datetime
) -> dict[str, BlockedCustomer]:
    """Who is blocked now, by account."""
    query = scoped(staff, BlockedCustomer).where(
        col(BlockedCustomer.account_id).in_(account_ids), BlockedCustomer.in_force(now)
    )
    return {row.account_id: row for row in (await session.exec(query)).all()}


async def orders_of(session: AsyncSession, staff: Staff, account_id: str) -> list[Order]:
    """A member's last orders in one's stores."""
    query = scoped(staff, Order).where(col(Order.account_id) == account_id)
    return list((await session.exec(query.order_by(col(Order.id).desc()).limit(20))).all())


def _of_stores(staff: Staff) -> Any:
    return scoped(staff, Order).with_only_columns(col(Order.account_id))


async def _texts(session: AsyncSession, text: str) -> Any:
    digits = "".join(c for c in text if c.isdigit())
    if len(digits) == 11 or (len(digits) == 13 and digits.startswith("86")):
        account = await account_of_phone(session, f"+86{digits[-11:]}")
        ids = [] if account is None else [account.id]
        return col(MemberProfile.account_id).in_(ids)
    number = scoped(System(), Order).where(col(Order.number) == text.strip())
    numbered = number.with_only_columns(col(Order.account_id))
    return or_(
        col(MemberProfile.phone_tail) == (digits[-4:] or "-"),
        col(MemberProfile.account_id).in_(numbered),
    )


def _plain(tag: str) -> str:
    """A tag as it stands in JSON text, with nothing that LIKE takes for a pattern."""
    for mark in ("\\", "%", "_"):
        tag = tag.replace(mark, f"\\{mark}")
    return tag
