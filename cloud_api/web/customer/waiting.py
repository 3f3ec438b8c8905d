"""Waiting for a time that is taken: putting oneself in line, and what is offered."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import col, select

from cloud_api.claims.booking_rules import rules_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import waitlist
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room, Store
from cloud_api.web import words
from cloud_api.web.customer.changes import day_word, lengths, local_time, times
from cloud_api.web.pages import CUSTOMER_EVENTS, Visit, page, visit
from cloud_api.web.view_models.waiting import WaitForm, WaitingPage, WaitRow

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Word = Annotated[str, Query(max_length=64)]


@router.get("/me/waitlist")
async def waiting(seen: Seen) -> Response:
    """What one waits for, and what may be taken now."""
    async with seen.cloud.db.read() as session:
        rows = []
        for entry in await waitlist.mine(session, seen.customer, seen.cloud.clocks):
            store = await session.get_one(Store, entry.store_id)
            wanted = entry.offered_room_id or entry.room_id
            name = None
            if wanted is not None:
                name = (await session.exec(select(Room.name).where(col(Room.id) == wanted))).one()
            here = seen.at_store(store)
            rows.append(
                WaitRow(
                    id=entry.id,
                    store_name=store.name,
                    room_name=name or _("任意一间"),
                    starts_at=here.local(entry.starts_at),
                    ends_at=here.local(entry.ends_at),
                    before=await waitlist.before(session, entry),
                    until=here.local(entry.offer_expires_at)
                    if entry.state == "offered"
                    and entry.offer_expires_at is not None
                    and entry.offer_expires_at > here.now
                    else None,
                    missed=entry.passed > 0,
                )
            )
    model = WaitingPage(tuple(rows))
    return page(seen, "customer/waiting.html", model, shell=seen.shell(events=CUSTOMER_EVENTS))


@router.get("/rooms/{room_id}/wait")
async def wait(
    seen: Seen,
    room_id: str,
    day: Word = "",
    time: Word = "",
    minutes: Annotated[int, Query(ge=0, le=2880)] = 0,
) -> Response:
    """Choose what to wait for."""
    async with seen.cloud.db.read() as session:
        room = await stores.get_room(session, seen.who, room_id)
        store = await stores.get_store(session, seen.who, room.store_id)
        rules = await rules_of(session, store, room.id)
    here = seen.at_store(store)
    asked = local_time(here, day, time)
    shown = asked or here.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    length = minutes or max(rules.min_minutes, 120)
    end = shown + timedelta(minutes=length)
    body = {"starts_at": shown.isoformat(), "ends_at": end.isoformat()}
    today = here.now.date()
    model = WaitForm(
        room_id=room.id,
        room_name=room.name,
        store_id=store.id,
        days=tuple(
            (d.isoformat(), day_word(d, today))
            for d in (today + timedelta(days=n) for n in range(rules.advance_days + 1))
        ),
        times=tuple((t, t) for t in times(rules.step_minutes, f"{shown:%H:%M}")),
        lengths=tuple(
            (n, words.hours(n))
            for n in lengths(rules.min_minutes, rules.max_minutes, rules.step_minutes, length)
        ),
        day=shown.date().isoformat(),
        time=f"{shown:%H:%M}",
        minutes=length,
        begins=shown if asked else None,
        ends=end if asked else None,
        body_one=json.dumps({**body, "room_id": room.id}),
        body_any=json.dumps(body),
    )
    return page(here, "customer/wait.html", model, shell=here.shell())
