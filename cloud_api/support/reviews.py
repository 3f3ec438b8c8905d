"""Reviews: one per stay, by who had it; answered by the house, hidden for a reason, never deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.notices import notify
from cloud_api.orders.service import get_order
from cloud_api.staff.permissions import ORDER_READ, TICKET_HANDLE
from cloud_api.support import photos
from cloud_api.support.models import Review

PAGE: Final = 20
WITHIN: Final = timedelta(days=30)  # after the end of the stay


async def write(
    session: AsyncSession,
    customer: Customer,
    order_id: str,
    stars: int,
    text: str,
    clocks: Clocks,
    shots: Sequence[str] = (),
) -> Review:
    """Say how a stay was, with photos that were sent before. Raises NotFound, Conflict ``review.not_yet``, ``review.late``, ``review.done``."""
    order = await get_order(session, customer, order_id)
    if order.status != "completed":
        raise Conflict("review.not_yet", "用完了再评价")
    if clocks.now > (order.ended_at or order.ends_at) + WITHIN:
        raise Conflict("review.late", "结束超过 30 天，不能再评价了")
    known = scoped(customer, Review).where(col(Review.order_id) == order.id)
    if (await session.exec(known)).first() is not None:
        raise Conflict("review.done", "这一场已经评价过了")
    made = Review(
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        room_id=order.room_id,
        account_id=customer.account_id,
        order_id=order.id,
        stars=stars,
        text=text.strip(),
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    made.photos = await photos.take(session, customer, order.store_id, shots, f"review:{made.id}")
    await notify(
        session,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        event="review.new",
        to=f"staff:{TICKET_HANDLE}",
        subject=f"review:{made.id}",
        data={
            "room_id": order.room_id,
            "detail": _("{stars} 星 {text}").format(stars=stars, text=made.text[:60]).strip(),
        },
        key=made.id,
        at=clocks.now,
    )
    return made


async def of_order(session: AsyncSession, customer: Customer, order_id: str) -> Review | None:
    """One's own review of an order."""
    query = scoped(customer, Review).where(col(Review.order_id) == order_id)
    return (await session.exec(query)).first()


async def shown(
    session: AsyncSession, store_id: str, before: str | None = None, room_id: str | None = None
) -> tuple[list[Review], str | None]:
    """A store's reviews that anybody may read, or one room's, newest first, and the cursor of the next page."""
    query = scoped(System(), Review).where(
        col(Review.store_id) == store_id, col(Review.hidden_at).is_(None)
    )
    if room_id is not None:
        query = query.where(col(Review.room_id) == room_id)
    if before:
        query = query.where(col(Review.id) < before)
    found = (await session.exec(query.order_by(col(Review.id).desc()).limit(PAGE + 1))).all()
    rows = list(found[:PAGE])
    return rows, rows[-1].id if len(found) > PAGE else None


async def rating(
    session: AsyncSession, store_id: str, room_id: str | None = None
) -> tuple[float, int]:
    """The mean of the stars and how many, of a store or of one room; (0, 0) without any."""
    return rated(*(await session.execute(select(*rating_columns(store_id, room_id)))).one())


def rating_columns(
    store_id: str, room_id: str | None = None
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The same as columns of another query; ``rated`` reads them."""
    there = [col(Review.store_id) == store_id, col(Review.hidden_at).is_(None)]
    if room_id is not None:
        there.append(col(Review.room_id) == room_id)
    return (
        select(func.avg(col(Review.stars))).where(*there).scalar_subquery(),
        select(func.count(col(Review.id))).where(*there).scalar_subquery(),
    )


def rated(mean: Any, count: Any) -> tuple[float, int]:
    """The mean to a tenth, and how many."""
    return (round(float(mean), 1) if mean is not None else 0.0, int(count))


async def for_staff(session: AsyncSession, staff: Staff) -> list[Review]:
    """The newest reviews of one's stores, hidden ones too. Needs order.read."""
    staff.need(ORDER_READ)
    query = scoped(staff, Review).order_by(col(Review.id).desc()).limit(100)
    return list((await session.exec(query)).all())


async def reply(
    session: AsyncSession, staff: Staff, review_id: str, text: str, clocks: Clocks
) -> Review:
    """Answer a review, or answer it anew. Needs ticket.handle."""
    review = await _locked(session, staff, review_id)
    if not text.strip():
        raise KaimenError("review.empty", "写一句回复", status=422, field="text")
    review.reply, review.replied_by, review.replied_at = text.strip(), staff.ref, clocks.now
    session.add(review)
    await _record(session, staff, review, "review.reply", text.strip(), clocks)
    return review


async def hide(
    session: AsyncSession, staff: Staff, review_id: str, why: str, clocks: Clocks
) -> Review:
    """Take a review off the pages, for a reason; with no reason show it again. Needs ticket.handle."""
    review = await _locked(session, staff, review_id)
    if why.strip():
        review.hidden_at, review.hidden_by, review.hidden_why = (
            clocks.now,
            staff.ref,
            why.strip(),
        )
    else:
        review.hidden_at, review.hidden_by, review.hidden_why = None, None, None
    session.add(review)
    act = "review.hide" if why.strip() else "review.show"
    await _record(session, staff, review, act, why.strip(), clocks)
    return review


async def _locked(session: AsyncSession, staff: Staff, review_id: str) -> Review:
    staff.need(TICKET_HANDLE)
    query = scoped(staff, Review).where(col(Review.id) == review_id).with_for_update()
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("review", "没有这条评价")
    return found


async def _record(
    session: AsyncSession, staff: Staff, review: Review, act: str, why: str, clocks: Clocks
) -> None:
    await audit.record(
        session,
        staff,
        act,
        merchant_id=review.merchant_id,
        store_id=review.store_id,
        subject=f"review:{review.id}",
        after={"stars": review.stars},
        why=why,
        clocks=clocks,
    )
