"""Orders as a day of bars, where a booking is moved by dragging or by keys, and as a month of days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.booking_rules import rules_by_room
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.dates import full_day, near_day
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders.models import Order
from cloud_api.orders.views import phone_tails
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import ORDER_CREATE, ORDER_READ, STORE_READ
from cloud_api.stores.models import Room
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.room_days import rooms_of_all
from cloud_api.web.view_models.day import (
    Block,
    CalendarDay,
    CalendarPage,
    DayPage,
    DayRow,
    DayStore,
)

router = APIRouter(prefix="/console", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
Text = Annotated[str, Query(max_length=10)]
BEGINS = time(6)
HOURS = 24
_KINDS = {
    "pending_payment": "held",
    "paid": "booked",
    "ready": "booked",
    "in_use": "in_use",
    "completed": "done",
}
_WORDS = {
    "held": "待支付",
    "booked": "已预约",
    "in_use": "使用中",
    "done": "已完成",
    "cleaning": "保洁",
    "maintenance": "维护",
}


@router.get("/timeline")
async def timeline(seen: Seen, who: Who, day: Text = "") -> Response:
    """A day of all rooms, 06:00 to 06:00. Needs order.read and store.read."""
    who.need(ORDER_READ)
    who.need(STORE_READ)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        running = running_day(here.now)
        wanted = _day(day, running)
        begin = datetime.combine(wanted, BEGINS, here.zone)
        rooms = await rooms_of_all(session, who, frame.stores)
        stores = await _stores(session, here, who, frame, rooms, begin)
    path = "/console/timeline?day="
    model = DayPage(
        day=wanted.isoformat(),
        text=near_day(wanted, running) or full_day(wanted, running),
        starts_at=begin,
        hours=HOURS,
        before_href=f"{path}{wanted - timedelta(days=1)}",
        after_href=f"{path}{wanted + timedelta(days=1)}",
        today_href="/console/timeline",
        stores=stores,
        can_move=ORDER_CREATE in who.permissions,
        offset=f"{begin:%z}"[:3] + ":" + f"{begin:%z}"[3:],
    )
    return console_page(here, who, frame, "console/timeline.html", model, here="timeline")


@router.get("/calendar")
async def calendar(seen: Seen, who: Who, month: Text = "") -> Response:
    """A month of days: how many orders begin, and for how much. Needs order.read."""
    who.need(ORDER_READ)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        first = _day(f"{month}-01", here.now.date()).replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
        begin = first - timedelta(days=first.weekday())
        end = after + timedelta(days=-after.weekday() % 7)
        counted = await _counted(session, here, who, begin, end)
    most = max((counted[day][0] for day in counted if first <= day < after), default=0)
    days = [
        _calendar_day(here, begin + timedelta(days=n), counted, most, first, after)
        for n in range((end - begin).days)
    ]
    inside = [one for one in days if one.inside]
    model = CalendarPage(
        text=_("{y} 年 {m} 月").format(y=first.year, m=first.month),
        before_href=f"/console/calendar?month={first - timedelta(days=1):%Y-%m}",
        after_href=f"/console/calendar?month={after:%Y-%m}",
        weeks=tuple(tuple(days[n : n + 7]) for n in range(0, len(days), 7)),
        count=sum(one.count for one in inside),
        money_fen=sum(one.money_fen for one in inside),
    )
    return console_page(here, who, frame, "console/calendar.html", model, here="calendar")


def running_day(now: datetime) -> date:
    """The day that runs at local ``now``, from 06:00 to 06:00: a night belongs to its evening."""
    return (now - timedelta(hours=BEGINS.hour)).date()


def _day(text: str, otherwise: date) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return otherwise
    return day if 2000 <= day.year < 2100 else otherwise


def _calendar_day(
    seen: Visit,
    day: date,
    counted: dict[date, tuple[int, int]],
    most: int,
    first: date,
    after: date,
) -> CalendarDay:
    count, money = counted.get(day, (0, 0))
    return CalendarDay(
        date=datetime.combine(day, time(), seen.zone),
        href=f"/console/timeline?day={day}",
        count=count,
        money_fen=money,
        inside=first <= day < after,
        today=day == seen.now.date(),
        share=0 if not count or not most else max(1, round(4 * count / most)),
    )


async def _counted(
    session: AsyncSession, seen: Visit, who: Staff, begin: date, end: date
) -> dict[date, tuple[int, int]]:
    """Orders and their money by the local day they begin on; cancelled ones do not count."""
    query = (
        scoped(who, Order)
        .where(
            col(Order.starts_at) >= datetime.combine(begin, time(), seen.zone),
            col(Order.starts_at) < datetime.combine(end, time(), seen.zone),
            col(Order.status) != "cancelled",
        )
        .with_only_columns(col(Order.starts_at), col(Order.total_fen))
    )
    found: dict[date, tuple[int, int]] = {}
    for starts_at, total in await session.execute(query):
        day = starts_at.astimezone(seen.zone).date()
        count, money = found.get(day, (0, 0))
        found[day] = (count + 1, money + total)
    return found


async def _stores(
    session: AsyncSession,
    seen: Visit,
    who: Staff,
    frame: Frame,
    rooms: Sequence[Room],
    begin: datetime,
) -> tuple[DayStore, ...]:
    end = begin + timedelta(hours=HOURS)
    query = scoped(who, Order).where(
        col(Order.starts_at) < end,
        col(Order.ends_at) > begin,
        col(Order.status).in_(list(_KINDS)),
    )
    orders = (await session.exec(query.order_by(col(Order.starts_at)))).all()
    tails = await phone_tails(session, {one.account_id for one in orders})
    claims = (
        await session.exec(
            select(RoomClaim)
            .where(
                col(RoomClaim.room_id).in_([room.id for room in rooms]),
                col(RoomClaim.kind).in_(["cleaning", "maintenance"]),
                col(RoomClaim.state) != "released",
                col(RoomClaim.block_from) < end,
                col(RoomClaim.block_until) > begin,
            )
            .order_by(col(RoomClaim.block_from))
        )
    ).all()
    rules = await rules_by_room(session, frame.stores, rooms)
    blocks: dict[str, list[Block]] = {}
    for order in orders:
        kind = _KINDS[order.status]
        blocks.setdefault(order.room_id, []).append(
            Block(
                id=order.id,
                kind=kind,
                starts_at=seen.local(order.starts_at),
                ends_at=seen.local(order.ends_at),
                title=_(_WORDS[kind]),
                who=tails.get(order.account_id, ""),
                href=f"/console/orders/{order.id}",
                money_fen=order.total_fen,
                movable=order.status in ("paid", "ready")
                and order.starts_at > seen.cloud.clocks.now,
            )
        )
    for claim in claims:
        blocks.setdefault(claim.room_id, []).append(
            Block(
                id=claim.id,
                kind=claim.kind,
                starts_at=seen.local(claim.block_from),
                ends_at=seen.local(claim.block_until),
                title=_(_WORDS[claim.kind]),
            )
        )
    made = []
    for store in frame.stores:
        mine = [room for room in rooms if room.store_id == store.id]
        count = sum(order.store_id == store.id for order in orders)
        money = sum(order.total_fen for order in orders if order.store_id == store.id)
        made.append(
            DayStore(
                id=store.id,
                name=store.name,
                line=_("{n} 间 · {k} 单 · {m}").format(n=len(mine), k=count, m=yuan(money)),
                step_min=min((rules[room.id].step_minutes for room in mine), default=30),
                rows=tuple(
                    DayRow(
                        room.id,
                        room.name,
                        _("{n} 人").format(n=room.capacity),
                        tuple(sorted(blocks.get(room.id, []), key=lambda one: one.starts_at)),
                    )
                    for room in mine
                ),
            )
        )
    return tuple(made)
