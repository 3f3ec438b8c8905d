"""The rows behind a figure of the statistics, and the guests of a segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms.rules import RULES
from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.reports import guests, service
from cloud_api.reports.facts import KINDS
from cloud_api.reports.measures import CHANNELS, FIGURES
from cloud_api.reports.query import SEGMENTS
from cloud_api.reports.schemas import RowOut
from cloud_api.staff.deps import staff_actor
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import rooms_of
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.console.stats import day_of, href_of, period_words
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.stats import GuestRow, StatGuestsPage, StatRow, StatRowsPage

router = APIRouter(prefix="/console/stats", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("/rows/{figure}")
async def rows(
    seen: Seen,
    who: Who,
    figure: str,
    first: str = "",
    last: str = "",
    store: Annotated[str, Query(max_length=64)] = "",
    room: Annotated[str, Query(max_length=64)] = "",
    channel: Annotated[str, Query(max_length=20)] = "",
    after: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    """The rows behind a figure, today's if no days are given. Needs report.read."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        period, wanted, stores = await service.asked(
            session, who, seen.cloud.clocks, kind="custom", first=day_of(first), last=day_of(last),
            store_id=store, room_id=room, channel=channel or None,
        )  # fmt: skip
        told = await service.rows(session, who, figure, wanted, stores, after=after)
        rooms = await _rooms(session, who, stores)
    zones = {one.id: seen.at(one.tz) for one in stores}
    known = FIGURES[figure]
    same = {"first": first, "last": last, "store": store, "room": room, "channel": channel}
    more = ""
    if told.next is not None:
        more = href_of(f"/console/stats/rows/{figure}", **same, after=told.next)
    part = [rooms[room].name if room in rooms else "", _(CHANNELS[channel]) if channel else ""]
    model = StatRowsPage(
        text=_(known.text),
        what=_(known.what),
        period=" · ".join(word for word in (period_words(period), *part) if word),
        total=_sums(known.columns, told.total),
        rows=tuple(_row(zones[one.store_id], one, rooms) for one in told.items),
        more_href=more,
        back_href=href_of("/console/stats", kind="custom", **same),
    )
    return console_page(
        seen.at(stores[0].tz), who, frame, "console/stats_rows.html", model, here="stats"
    )


@router.get("/guests/{segment}")
async def segment_guests(
    seen: Seen, who: Who, segment: str, store: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """Who is in a group of guests. Needs report.read."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        told = await guests.of_segment(
            session, who, segment, seen.cloud.clocks, store_id=store or None
        )
    model = StatGuestsPage(
        text=_(SEGMENTS[segment]),
        what=_(service.SEGMENT_WORDS[segment]),
        total=told.total,
        rows=tuple(
            GuestRow(
                who=_("尾号 {tail}").format(tail=one.phone_tail),
                visits=one.visits,
                spent_fen=one.spent_fen,
                first=f"{one.first_day}",
                last=f"{one.last_day}",
                segment=segment,
            )
            for one in told.items
        ),
        back_href="/console/stats?view=guests",
    )
    return console_page(
        seen.at(frame.tz), who, frame, "console/stats_guests.html", model, here="stats"
    )


async def _rooms(session: AsyncSession, who: Staff, stores: Sequence[Store]) -> dict[str, Room]:
    found: dict[str, Room] = {}
    for store in stores:
        found |= {room.id: room for room in await rooms_of(session, who, store.id)}
    return found


def _row(here: Visit, one: RowOut, rooms: dict[str, Room]) -> StatRow:
    kind, _colon, ref = one.ref.partition(":")
    href = {"order": f"/console/orders/{ref}", "alarm": "/console/alarms"}.get(kind, "")
    known = rooms.get(one.room_id)
    return StatRow(
        at=here.local(one.at),
        text=_(RULES[one.text].name) if kind == "alarm" else one.text or _(KINDS[one.kind]),
        href=href,
        room=known.name if known is not None else "",
        channel=_(CHANNELS[one.channel]) if one.channel else "",
        kind=_(KINDS[one.kind]),
        value=_sums(tuple(one.values), one.values),
    )


def _sums(columns: tuple[str, ...], sums: dict[str, int]) -> str:
    """Sums of columns in words: money together, minutes apart, counts bare."""
    money = [name for name in columns if name.endswith("_fen")]
    if money:
        return yuan(sum(sums.get(name, 0) for name in money if name in sums))
    told = []
    for name in columns:
        some = sums.get(name, 0)
        if name.endswith("_minutes") or name == "minutes":
            told.append(_("{n} 分钟").format(n=some))
        elif name.endswith("_wh"):
            told.append(_("{n} 度").format(n=round(some / 1000, 2)))
        else:
            told.append(str(some))
    return " · ".join(told)
