"""Reading the rollups: sums of a period by day, store, room or channel; hours of the week; guests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final, Literal

from sqlalchemy import and_, case, func, or_, select, union_all
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Staff, scoped
from cloud_api.reports.crowd import Crowd, spans, unpacked
from cloud_api.reports.measures import COLUMNS
from cloud_api.reports.models import (
    ReportCrowd,
    ReportDay,
    ReportHour,
    ReportLife,
    ReportMonthHour,
    ReportMonthPart,
    ReportPart,
)
from cloud_api.reports.months import together

By = Literal["", "day", "store", "room", "channel", "part", "store_day"]
RECENT_DAYS: Final = 30
AWAY_DAYS: Final = 90
OFTEN: Final = 4
_DAY: Final = timedelta(days=1)
_NEVER: Final = date(9998, 12, 31)
_PAIRS: Final = {"part": ("room_id", "channel"), "store_day": ("store_id", "day")}
_KEYS: Final = {"day": "day", "store": "store_id", "room": "room_id", "channel": "channel"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Days, and which part of the business; ``store_ids`` None: every store one works in."""

    first: date
    last: date
    store_ids: tuple[str, ...] | None = None
    room_id: str | None = None
    channel: str | None = None

    @property
    def parted(self) -> bool:
        """Whether it is about parts of days."""
        return self.room_id is not None or self.channel is not None

    def holds(self, room_id: str, channel: str) -> bool:
        """Whether a part of a day is of what is wanted."""
        return self.room_id in {None, room_id} and self.channel in {None, channel}

    def of_parts(self, table: Any) -> list[Any]:
        """The same as conditions on a table of parts."""
        pairs = ((table.room_id, self.room_id), (table.channel, self.channel))
        return [col(column) == value for column, value in pairs if value is not None]


def _mine(who: Staff, table: Any, wanted: Wanted) -> Any:
    day = table.month if hasattr(table, "month") else table.day
    query = scoped(who, table).where(col(day) >= wanted.first, col(day) <= wanted.last)
    if wanted.store_ids is not None:
        query = query.where(col(table.store_id).in_(wanted.store_ids))
    if table is ReportPart or table is ReportMonthPart:
        query = query.where(*wanted.of_parts(table))
    return query.subquery()


async def sums(
    session: AsyncSession,
    who: Staff,
    wanted: Wanted,
    by: By = "",
    columns: Sequence[str] = COLUMNS,
) -> dict[Any, dict[str, int]]:
    """The sums of ``columns`` over a period, by what is asked for; ``""`` without.

    ``part`` is by (room, channel), ``store_day`` by (store, day).
    """
    table: Any = ReportPart if by in {"room", "channel", "part"} or wanted.parted else ReportDay
    if table is ReportPart and by not in {"day", "store_day"}:
        mine = _parts(who, wanted, columns)
    else:
        mine = _mine(who, table, wanted)
    totals = [func.coalesce(func.sum(mine.c[name]), 0) for name in columns]
    if not by:
        row = (await session.execute(select(*totals))).one()
        return {"": {name: int(some) for name, some in zip(columns, row, strict=True)}}
    if by in _PAIRS:
        pair = tuple(mine.c[name] for name in _PAIRS[by])
        found: Sequence[Any] = (await session.execute(select(*pair, *totals).group_by(*pair))).all()
        return {
            (row[0], row[1]): {name: int(some) for name, some in zip(columns, row[2:], strict=True)}
            for row in found
        }
    key = mine.c[_KEYS[by]]
    rows: Sequence[Any] = (await session.execute(select(key, *totals).group_by(key))).all()
    return {
        row[0]: {name: int(some) for name, some in zip(columns, row[1:], strict=True)}
        for row in rows
    }


def _parts(who: Staff, wanted: Wanted, columns: Sequence[str]) -> Any:
    """The parts of whole months, and of the days that are left of it."""
    pieces = []
    whole = spans(wanted.first, wanted.last) or [("day", wanted.first, wanted.last)]
    for span, first, last in whole:
        table: Any = ReportPart if span == "day" else ReportMonthPart
        if span == "year":
            last = last.replace(month=12)
        mine = _mine(who, table, replace(wanted, first=first, last=last))
        names = ("store_id", "room_id", "channel", *columns)
        pieces.append(select(*(mine.c[name] for name in names)))
    return union_all(*pieces).subquery()


Hours = dict[tuple[int, int], tuple[int, int]]
"""(weekday of the business day from 0 = Monday, local hour) → minutes taken, minutes on offer."""


async def hours(session: AsyncSession, who: Staff, wanted: Wanted) -> Hours:
    """The hours of the week, of all stores that are asked for together."""
    return (await hours_by(session, who, wanted))[""]


async def hours_by(
    session: AsyncSession, who: Staff, wanted: Wanted, *, store: bool = False
) -> dict[str, Hours]:
    """The hours of the week by store; all under ``""`` without."""
    found: dict[str, Hours] = defaultdict(dict)
    for span, first, last in spans(wanted.first, wanted.last):
        table: Any = ReportHour if span == "day" else ReportMonthHour
        if span == "year":
            last = last.replace(month=12)
        mine = _mine(who, table, replace(wanted, first=first, last=last))
        when = mine.c.day if span == "day" else mine.c.weekday
        minutes = (func.sum(mine.c.busy_minutes), func.sum(mine.c.open_minutes))
        key = ((mine.c.store_id,) if store else ()) + (when, mine.c.hour)
        rows: Sequence[Any] = (await session.execute(select(*key, *minutes).group_by(*key))).all()
        for *whose, at, hour, busy, offered in rows:
            cells = found["".join(whose)]
            cell = (at if span != "day" else at.weekday(), hour)
            was = cells.get(cell, (0, 0))
            cells[cell] = (was[0] + int(busy), was[1] + int(offered))
    return found


@dataclass(frozen=True, slots=True)
class Guests:
    """Who came in a period: how many; of them, how many had come before or came again; by a voucher."""

    active: int = 0
    returning: int = 0
    fresh: int = 0
    with_voucher: int = 0
    visits: int = 0


async def guests(session: AsyncSession, who: Staff, wanted: Wanted) -> Guests:
    """The guests of a period over the stores that are asked for, each once (reports/crowd.py)."""
    crowd = before = Crowd()
    if wanted.first <= wanted.last:
        crowd = await _crowd(session, who, wanted)
        before = await _crowd(
            session, who, replace(wanted, first=date.min, last=wanted.first - _DAY)
        )
    stays = (await sums(session, who, wanted, columns=("stays",)))[""]["stays"]
    return Guests(
        active=crowd.came.bit_count(),
        returning=(crowd.again | (crowd.came & before.came)).bit_count(),
        fresh=(crowd.came & ~before.came).bit_count(),
        with_voucher=crowd.by_voucher.bit_count(),
        visits=stays,
    )


async def _crowd(session: AsyncSession, who: Staff, wanted: Wanted) -> Crowd:
    mine = scoped(who, ReportCrowd)
    if wanted.store_ids is not None:
        mine = mine.where(col(ReportCrowd.store_id).in_(wanted.store_ids))
    pieces = [
        and_(col(ReportCrowd.span) == span, col(ReportCrowd.first).between(first, last))
        for span, first, last in spans(wanted.first, wanted.last)
    ]
    found = mine.where(or_(*pieces)).subquery()
    query = select(found.c.came, found.c.again, found.c.by_voucher)
    rows: Sequence[Any] = (await session.execute(query)).all()
    return together(Crowd(*map(unpacked, row)) for row in rows)


@dataclass(frozen=True, slots=True)
class Segment:
    """A group of guests by recency, frequency and money."""

    key: str
    guests: int
    visits: int
    spent_fen: int


def _lives(who: Staff, store_ids: tuple[str, ...] | None) -> Any:
    query = scoped(who, ReportLife)
    if store_ids is not None:
        query = query.where(col(ReportLife.store_id).in_(store_ids))
    return query.subquery()


def per_guest(who: Staff, store_ids: tuple[str, ...] | None) -> Any:
    """Each guest over all days and the stores asked for, as a subquery."""
    life = _lives(who, store_ids)
    return (
        select(
            life.c.account_id,
            func.sum(life.c.visits).label("visits"),
            func.sum(life.c.spent_fen).label("spent_fen"),
            func.max(life.c.last_day).label("last_day"),
            func.min(life.c.first_day).label("first_day"),
        )
        .group_by(life.c.account_id)
        .subquery()
    )


def segment_of(each: Any, today: date, average_fen: Any) -> Any:
    """The SQL expression that names a guest's segment."""
    recent = each.c.last_day > today - timedelta(days=RECENT_DAYS)
    awhile = each.c.last_day > today - timedelta(days=AWAY_DAYS)
    often, rich = each.c.visits >= OFTEN, each.c.spent_fen >= average_fen
    return case(
        (and_(recent, often, rich), "best"),
        (and_(recent, often), "loyal"),
        (and_(recent, each.c.visits > 1), "promising"),
        (recent, "new"),
        (and_(awhile, often), "drifting"),
        (awhile, "sleeping"),
        else_="lost",
    )


async def segments(
    session: AsyncSession,
    who: Staff,
    store_ids: tuple[str, ...] | None,
    today: date,
    average_fen: int,
) -> list[Segment]:
    """Guests by segment; ``average_fen`` as of ``ever``."""
    each = per_guest(who, store_ids)
    name = segment_of(each, today, average_fen).label("segment")
    inner = select(name, each.c.visits, each.c.spent_fen).subquery()
    query = select(
        inner.c.segment, func.count(), func.sum(inner.c.visits), func.sum(inner.c.spent_fen)
    ).group_by(inner.c.segment)
    rows: Sequence[Any] = (await session.execute(query)).all()
    found = {row[0]: Segment(row[0], int(row[1]), int(row[2]), int(row[3])) for row in rows}
    return [found[key] for key in SEGMENTS if key in found]


async def drifting(
    session: AsyncSession, who: Staff, store_ids: tuple[str, ...], today: date
) -> dict[str, int]:
    """How many regulars of each store are of the segment of that name, which does not ask what they spent."""
    life = _lives(who, store_ids)
    query = (
        select(life.c.store_id, func.count())
        .where(segment_of(life, today, 0) == "drifting")
        .group_by(life.c.store_id)
    )
    return {row[0]: int(row[1]) for row in (await session.execute(query)).all()}


async def ever(
    session: AsyncSession, who: Staff, store_ids: tuple[str, ...] | None
) -> tuple[int, int]:
    """How many guests there have ever been, and what one spent on average, in whole fen."""
    wanted = Wanted(date.min, _NEVER, store_ids)
    spent = (await sums(session, who, wanted, columns=("stay_fen",)))[""]["stay_fen"]
    heads = (await _crowd(session, who, wanted)).came.bit_count()
    return heads, spent // heads if heads else 0


SEGMENTS: Final = {
    "best": "花得多的常客",
    "loyal": "常客",
    "promising": "来过两三次",
    "new": "新客",
    "drifting": "快要走的常客",
    "sleeping": "睡着了",
    "lost": "流失",
}
