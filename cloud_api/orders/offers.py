"""What a change of an order would be, before anybody agrees to it: allowed or why not, and its price.

Nothing is written here. ``changes.hold`` takes what was offered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import suggest
from cloud_api.claims.booking_rules import Rules, rules_of, span_words
from cloud_api.claims.moving import next_block
from cloud_api.claims.service import RoomTaken
from cloud_api.coupons.models import Coupon, CouponGrant
from cloud_api.coupons.service import offer_of
from cloud_api.devices.status import get_status
from cloud_api.kit.actor import Customer, Staff, System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders.change_price import sum_of, timed_fen
from cloud_api.orders.models import Order, OrderChange, OrderLine
from cloud_api.pricing.lines import TIMED
from cloud_api.pricing.offers import refused_at
from cloud_api.pricing.service import book_of, price_interval
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import get_room

MOVE: Final = "move"
EXTENSION: Final = "extension"
IN_STORE: Final = timedelta(hours=48)  # so far ahead a store knows its stays
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Offer:
    """A change and its price. ``diff_fen`` is to be paid, fee included; below zero it goes back."""

    kind: str
    room: Room
    starts_at: datetime
    ends_at: datetime
    block_until: datetime
    lines: list[dict[str, Any]]
    fee_fen: int
    diff_fen: int
    total_fen: int


async def move(
    session: AsyncSession,
    actor: Customer | Staff,
    order: Order,
    *,
    room_id: str | None,
    starts_at: datetime | None,
    ends_at: datetime | None,
    clocks: Clocks,
) -> Offer:
    """Another time, another room, or both, for an order that has not begun.

    Left out stays as it is; a new start alone keeps the length. Raises Conflict ``change.*``,
    ``book.taken`` with what is free, and for customers the ``booking.*`` rules.
    """
    store = await session.get_one(Store, order.store_id)
    room = await get_room(session, actor, room_id or order.room_id)
    if room.store_id != store.id:
        raise KaimenError(
            "change.other_store", "只能换到同一家店的包间", status=422, field="room_id"
        )
    begin = starts_at or order.starts_at
    end = ends_at or begin + (order.ends_at - order.starts_at)
    rules = await rules_of(session, store, room.id)
    if (room.id, begin, end) == (order.room_id, order.starts_at, order.ends_at):
        raise KaimenError(
            "change.same", "还是原来的时间和包间，没有变", status=422, field="starts_at"
        )
    sooner = room.id == order.room_id and begin < order.starts_at and end == order.ends_at
    may_move(order, rules, actor, clocks.now, sooner=sooner)
    await store_hears(session, order, min(begin, order.starts_at), clocks)
    if isinstance(actor, Customer):
        await suggest.admit(session, store, room, begin, end, clocks)
    elif not begin < end:
        raise KaimenError("booking.order", "结束时间要晚于开始时间", status=422, field="ends_at")
    blocked = await next_block(session, room.id, begin, order.id)
    if blocked is not None and blocked < end + rules.cleaning:
        raise RoomTaken(
            nearest=await suggest.nearest(
                session, store, room, begin, end - begin, clocks.now, skip=order.id
            )
        )
    voucher = await _voucher_time(session, order, begin, end, actor)
    lines = voucher or (await price_interval(session, System(), room.id, begin, end))[0]
    fee = 0
    if isinstance(actor, Customer):
        await _coupon_fits(session, order, room, sum_of(lines), begin, end)
        fee = 0 if sooner else await _fee(session, order, rules)
    return await _offer(session, MOVE, order, room, begin, end, rules, lines, fee)


async def extend(
    session: AsyncSession,
    actor: Customer | Staff,
    order: Order,
    minutes: int,
    clocks: Clocks,
) -> Offer:
    """``minutes`` more at the end of an order, into free time only. Staff extend by the minute.

    Raises Conflict ``extend.not_running``, ``extend.past`` (with ``least_minutes``) where all of it is over
    already, ``extend.no_room`` (with ``free_minutes`` and ``nearest``), KaimenError ``extend.step``.
    """
    store = await session.get_one(Store, order.store_id)
    room = await session.get_one(Room, order.room_id)
    rules = await rules_of(session, store, room.id)
    if order.status not in {"ready", "in_use"} or order.finished_early:
        raise Conflict("extend.not_running", "这个订单现在不能续时", status_now=order.status)
    step = rules.extend_step_minutes
    if minutes <= 0 or (isinstance(actor, Customer) and minutes % step):
        raise KaimenError(
            "extend.step",
            _("续时要按 {time} 加").format(time=span_words(step)),
            status=422,
            field="minutes",
        )
    least = least_minutes(order, step, clocks.now)
    if order.ends_at + minutes * _MINUTE <= clocks.now:
        raise Conflict(
            "extend.past",
            _("这么一会儿已经过了，至少续 {time}").format(time=span_words(least)),
            least_minutes=least,
        )
    free = await free_minutes(session, order, rules)
    if free is not None and minutes > free:
        # Another room for the rest of the evening, or this one once it is free again.
        length = timedelta(minutes=max(minutes, rules.min_minutes))
        nearest = await suggest.nearest(
            session, store, room, order.ends_at, length, clocks.now, skip=order.id
        )
        raise Conflict(
            "extend.no_room",
            "后面有人接着用，这间续不了了"
            if free < step
            else _("最多还能续 {time}").format(time=span_words(free)),
            free_minutes=free,
            nearest=nearest,
        )
    end = order.ends_at + minutes * _MINUTE
    lines, _total = await price_interval(session, System(), room.id, order.ends_at, end)
    return await _offer(session, EXTENSION, order, room, order.starts_at, end, rules, lines, 0)


def least_minutes(order: Order, step: int, now: datetime) -> int:
    """The least to extend by, in whole steps: who stayed past the end pays to a time that is to come."""
    past = max(0, int((now - order.ends_at) // _MINUTE))
    return (past // step + 1) * step


async def free_minutes(session: AsyncSession, order: Order, rules: Rules) -> int | None:
    """How many minutes an order could still be extended by; None where nobody comes after it."""
    blocked = await next_block(session, order.room_id, order.ends_at, order.id)
    if blocked is None:
        return None
    return max(0, int((blocked - rules.cleaning - order.ends_at).total_seconds() // 60))


def may_move(
    order: Order, rules: Rules, actor: Customer | Staff, now: datetime, *, sooner: bool = False
) -> None:
    """Raise Conflict ``change.not_paid``, ``change.started`` or ``change.too_late``.

    ``sooner``: it begins earlier and ends as before. Nobody loses a time by it, so it is never too late.
    """
    if order.status == "pending_payment":
        raise Conflict("change.not_paid", "还没付款，直接取消重新选就行")
    if order.status not in {"paid", "ready"} or (
        isinstance(actor, Customer) and now >= order.starts_at
    ):
        raise Conflict("change.started", "已经开始或已经结束，不能再改", status_now=order.status)
    until = order.starts_at - rules.change_until_minutes * _MINUTE
    if isinstance(actor, Customer) and now > until and not sooner:
        raise Conflict(
            "change.too_late",
            _("离开始不到 {time}，不能改了；有事请打给店家").format(
                time=span_words(rules.change_until_minutes)
            ),
        )


async def _coupon_fits(
    session: AsyncSession, order: Order, room: Room, price_fen: int, begin: datetime, end: datetime
) -> None:
    """Raise Conflict ``change.coupon`` where the coupon of an order does not fit the new time: what a
    large booking was made cheaper by would pay a small one, and one for Mondays a Saturday.
    """
    query = (
        select(Coupon)
        .join(CouponGrant, col(CouponGrant.coupon_id) == col(Coupon.id))
        .where(col(CouponGrant.order_id) == order.id)
    )
    coupon = (await session.exec(query)).first()
    if coupon is None:
        return
    book = await book_of(session, System(), room.id)
    short = price_fen < coupon.min_fen or end - begin < coupon.min_minutes * _MINUTE
    if short or refused_at(offer_of("", coupon), book, begin):
        raise Conflict(
            "change.coupon",
            _("改成这样就用不了“{name}”了；可以取消这单（券会回来），再重新订").format(
                name=coupon.name
            ),
        )


async def _voucher_time(
    session: AsyncSession, order: Order, begin: datetime, end: datetime, actor: Customer | Staff
) -> list[dict[str, Any]]:
    """The time that a voucher pays, moved by staff at the same length: its price stays. Else nothing.

    Raises Conflict ``change.voucher`` for the guest: a voucher has its own terms, and by the price of
    the hour its time would be paid a second time.
    """
    query = select(OrderLine).where(col(OrderLine.order_id) == order.id)
    lines = (await session.exec(query.order_by(col(OrderLine.position)))).all()
    if not any(line.kind == "voucher" for line in lines):
        return []
    if isinstance(actor, Customer):
        raise Conflict(
            "change.voucher", "用团购券订的不能直接改：先取消，券会回来，再用券订新的时间"
        )
    if end - begin != order.ends_at - order.starts_at:
        return []
    timed = [line for line in lines if line.kind in TIMED]
    span = {"from": begin.isoformat(), "to": end.isoformat()}
    return [
        {
            **timed[0].detail,
            **span,
            "kind": timed[0].kind,
            "text": timed[0].text,
            "amount_fen": timed_fen(timed),
            "minutes": round((end - begin) / _MINUTE),
        }
    ]


async def store_hears(
    session: AsyncSession, order: Order, earliest: datetime, clocks: Clocks
) -> None:
    """Raise Conflict ``change.store_offline``: a store that is away and knows the booking would let two
    guests in, so the change has to wait.
    """
    if earliest - clocks.now >= IN_STORE or order.status != "ready":
        return
    status = await get_status(session, System(), order.store_id, clocks.real)
    if not status.online:
        raise Conflict(
            "change.store_offline",
            "门店暂时断网，收不到改动，原来的时间和包间照样有效。恢复后再改，或打给店家",
        )


async def _fee(session: AsyncSession, order: Order, rules: Rules) -> int:
    done = await session.exec(
        select(func.count())
        .select_from(OrderChange)
        .where(
            col(OrderChange.order_id) == order.id,
            col(OrderChange.kind) == MOVE,
            col(OrderChange.state) == "applied",
            col(OrderChange.by).startswith("customer:"),
        )
    )
    if done.one() < rules.change_free_times:
        return 0
    return (order.total_fen * rules.change_per_cent + 50) // 100


async def _offer(
    session: AsyncSession,
    kind: str,
    order: Order,
    room: Room,
    begin: datetime,
    end: datetime,
    rules: Rules,
    lines: list[dict[str, Any]],
    fee_fen: int,
) -> Offer:
    now = (await session.exec(select(OrderLine).where(col(OrderLine.order_id) == order.id))).all()
    was = timed_fen(now) if kind == MOVE else 0
    total = max(0, order.total_fen - was + sum_of(lines) + fee_fen)
    return Offer(
        kind=kind,
        room=room,
        starts_at=begin,
        ends_at=end,
        block_until=end + rules.cleaning,
        lines=lines,
        fee_fen=fee_fen,
        diff_fen=total - order.total_fen,
        total_fen=total,
    )
