"""Changing one's order: other times, other rooms, more time; each with its price before the act."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.booking_rules import rules_of
from cloud_api.devices.status import get_status
from cloud_api.kit.actor import System
from cloud_api.kit.dates import day_month, full_day, near_day
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import changes, offers
from cloud_api.orders import pay as paying
from cloud_api.orders import service as orders
from cloud_api.orders.models import Order
from cloud_api.orders.schemas import PayWayOut
from cloud_api.payments import service as payments
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.payments.ways import ways_of
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room, Store
from cloud_api.web import words
from cloud_api.web.customer import wechat_payer
from cloud_api.web.customer.paying import methods, place_of
from cloud_api.web.pages import CUSTOMER_EVENTS, Visit, go, page, visit
from cloud_api.web.view_models.changes import (
    ChangeHead,
    ChangePage,
    ExtendChoice,
    ExtendPage,
    Nearby,
    PayChangePage,
)

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Word = Annotated[str, Query(max_length=64)]
_CHOICES = 6


async def _of(session: AsyncSession, seen: Visit, order_id: str) -> tuple[Order, Store, Room]:
    order = await orders.get_order(session, seen.customer, order_id)
    store = await stores.get_store(session, System(), order.store_id)
    return order, store, await stores.get_room(session, System(), order.room_id)


def _head(here: Visit, order: Order, room: Room) -> ChangeHead:
    return ChangeHead(
        order.id, order.number, room.name, here.local(order.starts_at), here.local(order.ends_at)
    )


@router.get("/orders/{order_id}/extend")
async def extend(
    seen: Seen, order_id: str, minutes: Annotated[int, Query(ge=0, le=2880)] = 0
) -> Response:
    """How much longer, and what it costs."""
    clocks = seen.cloud.clocks
    async with seen.cloud.db.read() as session:
        order, store, room = await _of(session, seen, order_id)
        here = seen.at_store(store)
        rules = await rules_of(session, store, room.id)
        free = await offers.free_minutes(session, order, rules)
        step = rules.extend_step_minutes
        least = offers.least_minutes(order, step, clocks.now)
        made: list[ExtendChoice] = []
        why_not = ""
        for more in range(least, least + _CHOICES * step, step):
            try:
                offer = await offers.extend(session, seen.customer, order, more, clocks)
            except KaimenError as error:
                why_not = why_not or error.message
                break
            made.append(
                ExtendChoice(
                    more,
                    words.hours(more),
                    here.local(offer.ends_at),
                    offer.diff_fen,
                    f"/orders/{order.id}/extend?minutes={more}",
                    more == (minutes or least),
                )
            )
        status = await get_status(session, System(), store.id, clocks.real)
    model = ExtendPage(
        head=_head(here, order, room),
        choices=tuple(made),
        chosen=next((one for one in made if one.on), made[0] if made else None),
        most=None if free is None else here.local(order.ends_at + timedelta(minutes=free)),
        why_not="" if made else _(why_not),
        store_offline=not status.online,
    )
    return page(here, "customer/extend.html", model, shell=here.shell(events=CUSTOMER_EVENTS))


@router.get("/orders/{order_id}/change")
async def change(
    seen: Seen,
    order_id: str,
    room: Word = "",
    day: Word = "",
    time: Word = "",
    minutes: Annotated[int, Query(ge=0, le=2880)] = 0,
) -> Response:
    """Another time or room: choose, see the difference, agree."""
    clocks = seen.cloud.clocks
    async with seen.cloud.db.read() as session:
        order, store, now_room = await _of(session, seen, order_id)
        here = seen.at_store(store)
        rules = await rules_of(session, store, room or now_room.id)
        rooms = await stores.rooms_of(session, seen.who, store.id)
        begin = here.local(order.starts_at)
        asked = local_time(here, day, time) if room or day or time or minutes else None
        length = minutes or round((order.ends_at - order.starts_at).total_seconds() / 60)
        found: dict[str, Any] = {}
        barred = ""
        try:
            offers.may_move(order, rules, seen.customer, clocks.now)
        except KaimenError as error:
            barred = _(error.message)
        if asked is not None:  # what only begins sooner may be had though nothing else may
            found = await _offer(session, here, order, room, asked, length)
        elif barred:
            found = {"why_not": barred}
    shown = asked or begin
    step = rules.step_minutes
    today = here.now.date()
    model = ChangePage(
        head=_head(here, order, now_room),
        rooms=tuple((one.id, one.name) for one in rooms if one.mode != "maintenance"),
        days=tuple(
            (d.isoformat(), day_word(d, today))
            for d in (today + timedelta(days=n) for n in range(rules.advance_days + 1))
        ),
        times=times(step, f"{shown:%H:%M}"),
        lengths=tuple(
            (n, words.hours(n)) for n in lengths(rules.min_minutes, rules.max_minutes, step, length)
        ),
        room_id=room or now_room.id,
        day=shown.date().isoformat(),
        time=f"{shown:%H:%M}",
        minutes=length,
        barred=bool(barred),
        phone=store.phone,
        extend_href=f"/orders/{order.id}/extend" if order.status == "in_use" else "",
        **found,
    )
    return page(here, "customer/change.html", model, shell=here.shell(events=CUSTOMER_EVENTS))


def local_time(here: Visit, day: str, time: str) -> datetime | None:
    """A local day and time from a form; None where they make no sense."""
    try:
        return datetime.combine(date.fromisoformat(day), clock_time.fromisoformat(time), here.zone)
    except ValueError:
        return None


def day_word(day: date, today: date) -> str:
    """``今天 11月23日``, ``11月27日 周五``: a choice among many says the date as well."""
    near = near_day(day, today)
    return f"{near} {day_month(day)}" if near else full_day(day, today)


def times(step: int, now: str) -> tuple[str, ...]:
    """The local times that bookings may start at, and ``now``."""
    grid = [f"{m // 60:02d}:{m % 60:02d}" for m in range(0, 1440, step)]
    return tuple(sorted({*grid, now}))


def lengths(least: int, most: int, step: int, now: int) -> list[int]:
    """Lengths to choose from in minutes, and ``now``."""
    first = -(-least // step) * step
    return sorted({*range(first, min(most, first + 15 * step) + 1, step), now})


async def _offer(
    session: AsyncSession, here: Visit, order: Order, room: str, begin: datetime, minutes: int
) -> dict[str, Any]:
    end = begin + timedelta(minutes=minutes)
    try:
        offer = await offers.move(
            session,
            here.customer,
            order,
            room_id=room or None,
            starts_at=begin,
            ends_at=end,
            clocks=here.cloud.clocks,
        )
    except KaimenError as error:
        near = error.extra.get("nearest", [])
        return {
            "why_not": _(error.message),
            "nearby": tuple(_nearby(here, order.id, one, minutes) for one in near),
        }
    body = {
        "room_id": offer.room.id,
        "starts_at": offer.starts_at.isoformat(),
        "ends_at": offer.ends_at.isoformat(),
        "expect_fen": offer.diff_fen,
    }
    return {
        "new_room": offer.room.name,
        "new_from": here.local(offer.starts_at),
        "new_until": here.local(offer.ends_at),
        "diff_fen": offer.diff_fen,
        "fee_fen": offer.fee_fen,
        "body": json.dumps(body),
    }


def _nearby(here: Visit, order_id: str, one: dict[str, Any], minutes: int) -> Nearby:
    begin = here.local(datetime.fromisoformat(one["starts_at"]))
    when = words.moment(begin, here.now)
    href = (
        f"/orders/{order_id}/change?room={one['room_id']}&day={begin.date().isoformat()}"
        f"&time={begin:%H:%M}&minutes={minutes}"
    )
    return Nearby(f"{one['room']} {when}", href)


@router.get("/orders/{order_id}/changes/{change_id}")
async def pay_change(seen: Seen, order_id: str, change_id: str) -> Response:
    """Pay what a change costs, or see what became of it."""
    cloud = seen.cloud
    async with cloud.db.read() as session:
        order = await orders.get_order(session, seen.customer, order_id)
        one = await changes.find(session, seen.customer, order.id, change_id)
        tried = await changes.attempts_of(session, order.id, one)
    if one.state == "held" and any(p.state in OPEN_PAYMENT for p in tried):
        await paying.check(cloud, seen.customer, order_id)
    async with cloud.db.read() as session:
        order, store, room = await _of(session, seen, order_id)
        one = await changes.find(session, seen.customer, order.id, change_id)
        tried = await changes.attempts_of(session, order.id, one)
        here = seen.at_store(store)
        if one.state != "held":
            return go(f"/orders/{order_id}")
        new_room = await stores.get_room(session, System(), one.room_id)
        accounts = await payments.accounts_of(session, store)
        ways = ways_of(accounts, one.diff_fen, cloud.clocks.real)
    if not tried and (away := wechat_payer.lead(here, accounts)) is not None:
        return away
    running = next((p for p in tried if p.state in OPEN_PAYMENT), None)
    model = PayChangePage(
        head=_head(here, order, room),
        change_id=one.id,
        title=_("续时") if one.kind == offers.EXTENSION else _("改订单差价"),
        room_name=new_room.name,
        new_from=here.local(one.starts_at),
        new_until=here.local(one.ends_at),
        amount_fen=one.diff_fen,
        hold_expires_at=here.local(one.hold_expires_at),
        methods=methods(
            [
                PayWayOut(provider=w.provider, channel=w.channel, name=w.name, note=_(w.note))
                for w in ways
            ],
            place_of(seen.request.headers.get("user-agent", "")),
            openid=wechat_payer.knows(here, accounts),
        ),
        open_href=f"/payments/{running.id}" if running else "",
        waiting=running is not None or any(p.state == "succeeded" for p in tried),
    )
    return page(here, "customer/pay_change.html", model, shell=here.shell(events=CUSTOMER_EVENTS))
