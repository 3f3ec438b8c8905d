"""Booking for a customer who calls: choose a time, see the price, give the phone number."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import suggest
from cloud_api.claims.booking_rules import rules_of
from cloud_api.claims.moving import next_block
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import series
from cloud_api.pricing.service import price_interval
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import ORDER_CREATE, STORE_READ
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import rooms_of
from cloud_api.web import words
from cloud_api.web.console.frame import NoStore, console_page, frame_of
from cloud_api.web.customer.changes import day_word, lengths, local_time, times
from cloud_api.web.customer.checkout import fee_lines
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models import Fees
from cloud_api.web.view_models.changes import Nearby
from cloud_api.web.view_models.desk import BookForPage, WeekRow

router = APIRouter(prefix="/console/book", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
Word = Annotated[str, Query(max_length=64)]


@router.get("")
async def book_for(
    seen: Seen,
    who: Who,
    store: Word = "",
    room: Word = "",
    day: Word = "",
    time: Word = "",
    minutes: Annotated[int, Query(ge=0, le=2880)] = 0,
    repeat: Annotated[int, Query(ge=1, le=series.MOST)] = 1,
) -> Response:
    """The form, and the price once a time is chosen. Needs order.create and store.read."""
    who.need(ORDER_CREATE)
    who.need(STORE_READ)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        if not frame.stores:
            raise NoStore
        chosen = next((one for one in frame.stores if one.id == store), None)
        if chosen is None:
            if store:
                raise NotFound("store", "没有这家店，或不归你管")
            chosen = frame.stores[0]
        here = seen.at(chosen.tz)
        rooms = [one for one in await rooms_of(session, who, chosen.id) if one.mode == "normal"]
        if not rooms:
            raise NotFound("room", "这家店现在没有能订的包间")
        mine = next((one for one in rooms if one.id == room), rooms[0])
        rules = await rules_of(session, chosen, mine.id)
        asked = local_time(here, day, time)
        step = timedelta(minutes=rules.step_minutes)
        soon = here.now.replace(second=0, microsecond=0)
        midnight = soon.replace(hour=0, minute=0)
        begin = asked or midnight + -(-(soon - midnight) // step) * step
        length = minutes or max(rules.min_minutes, 120)
        found: dict[str, Any] = {}
        if asked and repeat > 1:
            found = await _weeks(session, here, mine, begin, length, repeat)
        elif asked:
            found = await _priced(session, here, chosen, mine, begin, length)
    today = here.now.date()
    model = BookForPage(
        stores=tuple((one.id, one.name) for one in frame.stores),
        rooms=tuple((one.id, one.name) for one in rooms),
        days=tuple(
            (d.isoformat(), day_word(d, today))
            for d in (today + timedelta(days=n) for n in range(rules.advance_days + 1))
        ),
        hours=tuple((t, t) for t in times(rules.step_minutes, f"{begin:%H:%M}")),
        lengths=tuple(
            (n, words.hours(n))
            for n in lengths(rules.min_minutes, rules.max_minutes, rules.step_minutes, length)
        ),
        store_id=chosen.id,
        room_id=mine.id,
        day=begin.date().isoformat(),
        time=f"{begin:%H:%M}",
        minutes=length,
        hold_minutes=rules.staff_hold_minutes,
        times=repeat,
        repeats=(
            (1, _("就这一次")),
            *((n, _("每周一次，{n} 周").format(n=n)) for n in range(series.LEAST, series.MOST + 1)),
        ),
        **found,
    )
    return console_page(here, who, frame, "console/book.html", model, here="book")


async def _priced(
    session: AsyncSession, here: Visit, store: Store, room: Room, begin: datetime, minutes: int
) -> dict[str, Any]:
    length = timedelta(minutes=minutes)
    rules = await rules_of(session, store, room.id)
    try:
        await suggest.admit(session, store, room, begin, begin + length, here.cloud.clocks)
    except KaimenError as error:
        near, why = error.extra.get("nearest", []), _(error.message)
    else:
        blocked = await next_block(session, room.id, begin, "")
        if blocked is None or blocked >= begin + length + rules.cleaning:
            lines, total = await price_interval(session, here.who, room.id, begin, begin + length)
            body = {
                "room_id": room.id,
                "starts_at": begin.isoformat(),
                "ends_at": (begin + length).isoformat(),
            }
            return {
                "room_name": room.name,
                "begins": begin,
                "ends": begin + length,
                "fees": Fees(fee_lines(lines), total),
                "body": json.dumps(body),
            }
        why = _("这段已经有人订了")
        near = await suggest.nearest(session, store, room, begin, length, here.cloud.clocks.now)
    return {"why_not": why, "nearby": tuple(_near(here, store, one, minutes) for one in near)}


async def _weeks(
    session: AsyncSession, here: Visit, room: Room, begin: datetime, minutes: int, times: int
) -> dict[str, Any]:
    """The same time every week: each with its price or why it cannot be had."""
    end = begin + timedelta(minutes=minutes)
    told = await series.look(session, here.who, room.id, begin, end, times, here.cloud.clocks)
    missing = [week for week in told if week.total_fen is None]
    found: dict[str, Any] = {
        "room_name": room.name,
        "begins": begin,
        "ends": end,
        "weeks": tuple(
            WeekRow(here.local(w.starts_at), here.local(w.ends_at), w.total_fen, _(w.why))
            for w in told
        ),
    }
    if len(missing) < len(told):
        body = {
            "room_id": room.id,
            "starts_at": begin.isoformat(),
            "ends_at": end.isoformat(),
            "times": times,
            "skip": bool(missing),
        }
        found["body"] = json.dumps(body)
    return found


def _near(here: Visit, store: Store, one: dict[str, Any], minutes: int) -> Nearby:
    begin = here.local(datetime.fromisoformat(one["starts_at"]))
    href = (
        f"/console/book?store={store.id}&room={one['room_id']}&day={begin.date().isoformat()}"
        f"&time={begin:%H:%M}&minutes={minutes}"
    )
    return Nearby(f"{one['room']} {words.moment(begin, here.now)}", href)
