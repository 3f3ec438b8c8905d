"""The same time every week: what each week costs or why it cannot be had, and booking them at once."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from cloud_api.kit.calendar import Instant
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import series
from cloud_api.stores import service as stores
from cloud_api.web import words
from cloud_api.web.customer.find import book_href
from cloud_api.web.pages import Visit, page, visit
from cloud_api.web.view_models.booking import WeeklyPage, WeekRow

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
_OFFERED = (2, 4, 6, 8, 12)  # weeks


@router.get("/rooms/{room_id}/weekly")
async def weekly(
    seen: Seen,
    room_id: str,
    starts_at: Annotated[Instant, Query(alias="from")],
    ends_at: Annotated[Instant, Query(alias="to")],
    times: Annotated[int, Query(ge=series.LEAST, le=series.MOST)] = 4,
) -> Response:
    """Looks only; whoever is not logged in logs in first and comes back."""
    seen.need_login()
    async with seen.cloud.db.read() as session:
        room = await stores.get_room(session, seen.who, room_id)
        store = await stores.get_store(session, seen.who, room.store_id)
        weeks = await series.look(
            session, seen.customer, room.id, starts_at, ends_at, times, seen.cloud.clocks
        )
    here = seen.at_store(store)
    good = [week for week in weeks if week.total_fen is not None]
    span = {
        "room_id": room.id,
        "starts_at": _text(here, starts_at),
        "ends_at": _text(here, ends_at),
    }
    model = WeeklyPage(
        room_name=room.name,
        store_name=store.name,
        art=words.art(room),
        starts_at=here.local(starts_at),
        ends_at=here.local(ends_at),
        times=times,
        choices=tuple((n, _("{n} 周").format(n=n)) for n in _OFFERED),
        weeks=tuple(
            WeekRow(
                here.local(week.starts_at),
                here.local(week.ends_at),
                week.total_fen,
                _(week.why) if week.why else "",
            )
            for week in weeks
        ),
        bookable=len(good),
        total_fen=sum(week.total_fen or 0 for week in good),
        body=json.dumps({**span, "times": times, "skip": len(good) < len(weeks)}),
        back_href=book_href(room),
    )
    return page(here, "customer/weekly.html", model, shell=here.shell())


def _text(here: Visit, at: datetime) -> str:
    return here.local(at).isoformat(timespec="seconds")
