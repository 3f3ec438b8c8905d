"""Finding orders for staff: by state, store, day, number, or what one remembers of a phone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement
from sqlmodel import and_, col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.auth import phones
from cloud_api.auth.models import Account
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.paging import PAGE, page_of
from cloud_api.orders.books import part_of
from cloud_api.orders.models import Order
from cloud_api.orders.service import local_day
from cloud_api.payments.models import PaymentAttempt, ProviderAccount
from cloud_api.staff.permissions import ORDER_READ
from cloud_api.stores.service import get_store

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "unpaid": ("pending_payment",),
    "ready": ("paid", "ready"),
    "in_use": ("in_use",),
    "done": ("completed",),
    "cancelled": ("cancelled",),
}
REFUNDING: Final = "refunding"  # crosses the states: money is on its way back
SORTS: Final[Mapping[str, Any]] = {
    "created": Order.created_at,
    "starts": Order.starts_at,
    "total": Order.total_fen,
}
_TAIL = re.compile(r"[0-9]{4}", re.ASCII)
_RECEIPT = re.compile(r"[0-9A-Za-z_-]{12,64}", re.ASCII)
_MANY_DIGITS = re.compile(r"\+?[0-9][0-9 \-]{6,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """``group`` is a key of GROUPS or ``refunding``; ``day`` is local to the store, else to ``tz``.

    ``until`` is the last day of a range that begins with ``day``; None: that day alone.
    """

    group: str = ""
    status: tuple[str, ...] = ()
    store_id: str = ""
    day: date | None = None
    until: date | None = None
    text: str = ""
    sort: str = "created"
    downwards: bool = True
    tz: str = "Asia/Shanghai"
    ids: tuple[str, ...] = ()  # none: all that fit
    member: str = ""  # an account's id: of one guest alone


async def find(
    session: AsyncSession,
    actor: Staff,
    wanted: Wanted,
    *,
    cursor: str | None = None,
    limit: int = PAGE,
) -> tuple[list[Order], str | None]:
    """The orders that fit, and the cursor of the next page. Needs order.read.

    Raises KaimenError ``order.bad_filter`` (422), ``cursor.bad`` (422), NotFound for a foreign store.
    """
    query = await chosen(session, actor, wanted)
    if wanted.sort not in SORTS:
        raise KaimenError("order.bad_filter", "不能按这一项排", status=422, field="sort")
    return await page_of(
        session,
        query,
        by=SORTS[wanted.sort],
        key=Order.id,
        downwards=wanted.downwards,
        cursor=cursor,
        limit=limit,
    )


async def chosen(session: AsyncSession, actor: Staff, wanted: Wanted) -> SelectOfScalar[Order]:
    """The query of the orders that fit, in no order. Needs order.read; raises as ``find`` does."""
    actor.need(ORDER_READ)
    query = scoped(actor, Order)
    tz = wanted.tz
    if wanted.store_id:
        store = await get_store(session, actor, wanted.store_id)
        query, tz = query.where(col(Order.store_id) == store.id), store.tz
    if wanted.group == REFUNDING:
        query = query.where(col(Order.refunding_fen) > 0)
    elif wanted.group:
        if wanted.group not in GROUPS:
            raise KaimenError("order.bad_filter", "没有这种状态", status=422, field="state")
        query = query.where(col(Order.status).in_(GROUPS[wanted.group]))
    if wanted.member:
        query = query.where(col(Order.account_id) == wanted.member)
    if wanted.ids:
        query = query.where(col(Order.id).in_(wanted.ids))
    if wanted.status:
        query = query.where(col(Order.status).in_(wanted.status))
    if wanted.day is not None:
        start, end = local_day(tz, wanted.day)
        if wanted.until is not None:
            end = local_day(tz, wanted.until)[1]
        query = query.where(col(Order.starts_at) >= start, col(Order.starts_at) < end)
    if wanted.text:
        query = _matching(query, actor, wanted.text)
    return query


def _matching(query: SelectOfScalar[Order], actor: Staff, text: str) -> SelectOfScalar[Order]:
    """A whole number finds its orders by the blind index, four digits by the tail, the rest by number: the
    order's, or the one that a guest reads on the provider's receipt, ours or the provider's.
    """
    text = text.strip()
    found: list[ColumnElement[bool]] = [col(Order.number).icontains(text, autoescape=True)]
    if _RECEIPT.fullmatch(text):
        found.append(col(Order.id).in_(_receipts(actor, text)))
    if _TAIL.fullmatch(text):
        tails = select(col(Account.id)).where(col(Account.phone_tail) == text)
        found.append(col(Order.account_id).in_(tails))
    elif _MANY_DIGITS.fullmatch(text):
        with suppress(KaimenError):
            index = vault().index(phones.normal(text))
            whose = select(col(Account.id)).where(col(Account.phone_index) == index)
            found.append(col(Order.account_id).in_(whose))
    return query.where(or_(*found))


def _receipts(actor: Staff, text: str) -> Any:
    """The ids of orders whose payment has this number, at us or at its provider."""
    accounts = select(col(ProviderAccount.id)).where(
        col(ProviderAccount.merchant_id) == actor.merchant_id
    )
    ours = text.replace("_", "-")  # Alipay takes no hyphens
    return (
        scoped(actor, PaymentAttempt)
        .with_only_columns(func.substr(col(PaymentAttempt.part_of), len(part_of("")) + 1))
        .where(
            col(PaymentAttempt.part_of).startswith(part_of("")),
            or_(
                col(PaymentAttempt.number) == ours,
                and_(
                    col(PaymentAttempt.account_ref).in_(accounts),
                    col(PaymentAttempt.provider_txn) == text,
                ),
            ),
        )
    )
