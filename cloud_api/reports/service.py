"""A period in numbers, put together; and the rows behind each of them. Needs ``report.read``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.ledger.days import business_day
from cloud_api.reports import facts, query, rollup
from cloud_api.reports.measures import (
    CHANNELS,
    COLUMNS,
    FIGURES,
    LEADS,
    SPENDS,
    Figure,
    value_of,
)
from cloud_api.reports.periods import Kind, Period, period_of
from cloud_api.reports.query import SEGMENTS, Guests, Wanted
from cloud_api.reports.schemas import (
    FigureOut,
    GuestsOut,
    HourOut,
    LineOut,
    RowOut,
    RowsOut,
    SegmentOut,
    ShareOut,
    SummaryOut,
)
from cloud_api.staff.permissions import REPORT_READ
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import get_store, list_stores

PAGE_ROWS: Final = 100
_PARTS: Final = (
    "made",
    "cancelled",
    "stays",
    "stay_fen",
    "busy_minutes",
    "open_minutes",
    "room_fen",
    "overtime_fen",
    "voucher_fen",
    "other_fen",
)
SEGMENT_WORDS: Final = {
    "best": "30 天内来过，来过 4 次以上，花得比平均多",
    "loyal": "30 天内来过，来过 4 次以上",
    "promising": "30 天内来过，来过两三次",
    "new": "30 天内第一次来",
    "drifting": "31–90 天没来，以前来过 4 次以上",
    "sleeping": "31–90 天没来，来得不多",
    "lost": "90 天以上没来",
}


async def asked(
    session: AsyncSession,
    who: Staff,
    clocks: Clocks,
    *,
    kind: Kind = "week",
    day: date | None = None,
    first: date | None = None,
    last: date | None = None,
    store_id: str | None = None,
    room_id: str | None = None,
    channel: str | None = None,
) -> tuple[Period, Wanted, list[Store]]:
    """The period and the part of the business somebody asks for. Raises NotFound, ``report.days``."""
    who.need(REPORT_READ)
    stores = (
        [await get_store(session, who, store_id)] if store_id else await list_stores(session, who)
    )
    if not stores:
        raise NotFound("store", "还没有门店，先建一家")
    if (
        room_id
        and (await session.exec(scoped(who, Room).where(col(Room.id) == room_id))).first() is None
    ):
        raise NotFound("room")
    if channel is not None and channel not in CHANNELS:
        raise KaimenError("report.channel", "没有这种来源", status=422, field="channel")
    period = period_of(kind, business_day(clocks.now, stores[0].tz), day, first, last)
    mine = (stores[0].id,) if store_id else None
    return period, Wanted(period.first, period.last, mine, room_id or None, channel), stores


async def summary(
    session: AsyncSession,
    who: Staff,
    period: Period,
    wanted: Wanted,
    stores: list[Store],
    clocks: Clocks,
    *,
    segments: bool = True,
) -> SummaryOut:
    """Everything the page of statistics shows of a period; ``segments`` ask every guest's life."""
    who.need(REPORT_READ)
    before = period.earlier()
    then = replace(wanted, first=before.first, last=before.until)
    now = replace(wanted, last=max(period.until, period.first))
    days = await query.sums(session, who, wanted, "day")
    days_before = await query.sums(session, who, replace(then, last=before.last), "day")
    sums = _over(days, now)
    sums_before = _over(days_before, then)
    by_store = await query.sums(session, who, now, "store", _PARTS) if len(stores) > 1 else {}
    parts = await query.sums(session, who, now, "part", _PARTS)
    by_room, by_channel = _fold(parts, 0), _fold(parts, 1)
    hours = {} if wanted.parted else await query.hours(session, who, now)
    came = None if wanted.parted else await query.guests(session, who, now)
    came_before = None if wanted.parted else await query.guests(session, who, then)
    today = business_day(clocks.now, stores[0].tz)
    heads, average = await query.ever(session, who, wanted.store_ids)
    groups = (
        await query.segments(session, who, wanted.store_ids, today, average) if segments else []
    )
    named = {one.id: one.name for one in stores}
    rooms = {
        one.id: f"{one.name} · {named[one.store_id]}" if len(stores) > 1 else one.name
        for one in await _rooms(session, by_room)
    }
    looked = await rollup.as_of(session)
    ahead = clocks.now - clocks.real
    return SummaryOut(
        kind=period.kind,
        first=period.first,
        last=period.last,
        until=period.until,
        before_first=before.first,
        before_last=before.until,
        store_ids=[one.id for one in stores],
        room_id=wanted.room_id,
        channel=wanted.channel,
        as_of=None if looked is None else looked + ahead,
        behind=await rollup.behind(session, [one.id for one in stores]),
        figures=[_figure(one, sums, sums_before) for one in FIGURES.values()],
        days=_days(days, period.first, period.last),
        days_before=_days(days_before, before.first, before.last),
        stores=_lines(by_store, named),
        rooms=_lines({k: v for k, v in by_room.items() if k in rooms}, rooms),
        channels=_lines(by_channel, {key: _(text) for key, text in CHANNELS.items()}),
        hours=[
            HourOut(weekday=w, hour=h, busy_minutes=busy, open_minutes=offered)
            for (w, h), (busy, offered) in sorted(hours.items())
        ],
        leads=_shares(LEADS, sums),
        spends=_shares(SPENDS, sums),
        guests=_guests(came),
        guests_before=_guests(came_before),
        segments=[
            SegmentOut(
                key=one.key,
                text=_(SEGMENTS[one.key]),
                what=_(SEGMENT_WORDS[one.key]),
                guests=one.guests,
                visits=one.visits,
                spent_fen=one.spent_fen,
            )
            for one in groups
        ],
        guests_ever=heads,
        average_guest_fen=average,
    )


async def rows(
    session: AsyncSession,
    who: Staff,
    figure_key: str,
    wanted: Wanted,
    stores: list[Store],
    *,
    after: str = "",
    most: int = PAGE_ROWS,
) -> RowsOut:
    """The rows behind a figure from the newest day on: whole days of stores, until there are ``most`` rows.

    Read from orders, books and alarms themselves, not from the rollups, which only say where to look.
    ``after`` is the ``next`` of the page before. Raises NotFound for no figure, ``cursor.bad`` (422).
    """
    who.need(REPORT_READ)
    figure = FIGURES.get(figure_key)
    if figure is None:
        raise NotFound("figure", "没有这个数")
    columns = {*figure.columns, *figure.of}
    per_day = await query.sums(session, who, wanted, "store_day", sorted(columns))
    order = {one.id: n for n, one in enumerate(stores)}
    places = sorted(
        (place for place, sums in per_day.items() if any(sums.values()) and place[0] in order),
        key=lambda place: (-place[1].toordinal(), order[place[0]]),
    )
    names = [f"{day}.{store_id}" for store_id, day in places]
    if after and after not in names:
        raise KaimenError(
            "cursor.bad", "这一页的地址不对，从第一页重新看", status=422, field="after"
        )
    items: list[RowOut] = []
    begin = names.index(after) if after else 0
    following = None
    for name, (store_id, day) in zip(names[begin:], places[begin:], strict=True):
        if len(items) >= most:
            following = name
            break
        items += await _of_day(session, stores[order[store_id]], day, columns, wanted)
    return RowsOut(
        figure=figure.key, total=_add(per_day.values(), columns), items=items, next=following
    )


async def _of_day(
    session: AsyncSession, store: Store, day: date, columns: set[str], wanted: Wanted
) -> list[RowOut]:
    found = await facts.of_day(session, store, day)
    return [
        RowOut(
            kind=fact.kind,
            ref=fact.ref,
            text=fact.text,
            at=fact.at,
            store_id=store.id,
            day=day,
            room_id=fact.room_id,
            channel=fact.channel,
            values=mine,
        )
        for fact in sorted(found.facts, key=lambda one: one.at, reverse=True)
        if (mine := {name: some for name, some in fact.values.items() if name in columns and some})
        and wanted.holds(fact.room_id, fact.channel)
    ]


def _over(days: dict[Any, dict[str, int]], wanted: Wanted) -> dict[str, int]:
    """The sums of the days that have begun."""
    return _add((sums for day, sums in days.items() if wanted.first <= day <= wanted.last), COLUMNS)


def _add(many: Iterable[dict[str, int]], columns: Iterable[str]) -> dict[str, int]:
    total = dict.fromkeys(columns, 0)
    for sums in many:
        for name in total:
            total[name] += sums[name]
    return total


def _fold(parts: dict[Any, dict[str, int]], place: int) -> dict[str, dict[str, int]]:
    """Sums by room and channel as sums by one of them."""
    found: dict[str, dict[str, int]] = {}
    for key, sums in parts.items():
        mine = found.setdefault(key[place], dict.fromkeys(sums, 0))
        for name, some in sums.items():
            mine[name] += some
    return found


def _figure(one: Figure, sums: dict[str, int], before: dict[str, int]) -> FigureOut:
    return FigureOut(
        key=one.key,
        text=_(one.text),
        what=_(one.what),
        unit=one.unit,
        good=one.good,
        value=value_of(one, sums),
        before=value_of(one, before),
    )


def _days(days: dict[Any, dict[str, int]], first: date, last: date) -> list[LineOut]:
    """Every day of the period, also those on which nothing was."""
    nothing = dict.fromkeys(COLUMNS, 0)
    whole = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [LineOut(key=f"{d}", name=f"{d}", sums=days.get(d, nothing)) for d in whole]


def _lines(sums: dict[Any, dict[str, int]], names: dict[str, str]) -> list[LineOut]:
    order = sorted(
        sums, key=lambda key: (-sums[key]["stays"], -sums[key]["made"], names.get(key, ""))
    )
    return [
        LineOut(key=key, name=names.get(key, key), sums=sums[key])
        for key in order
        if any(sums[key].values())
    ]


def _shares(words: dict[str, str], sums: dict[str, int]) -> list[ShareOut]:
    return [ShareOut(key=key, text=_(text), count=sums[key]) for key, text in words.items()]


def _guests(came: Guests | None) -> GuestsOut | None:
    if came is None:
        return None
    return GuestsOut(
        active=came.active,
        returning=came.returning,
        fresh=came.fresh,
        with_voucher=came.with_voucher,
        visits=came.visits,
    )


async def _rooms(session: AsyncSession, ids: Iterable[str]) -> list[Room]:
    query = scoped(System(), Room).where(col(Room.id).in_([one for one in ids if one]))
    return list((await session.exec(query)).all())
