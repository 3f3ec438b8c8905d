"""Reading the rollups: sums of a period by day, store, room or channel; hours of the week; guests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final, Literal

from sqlalchemy import and_, case, func, or_, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Staff, scoped
from cloud_api.reports.measures import COLUMNS
from cloud_api.reports.models import ReportDay, ReportGuest, ReportHour, ReportLife, ReportPart

By = Literal["", "day", "store", "room", "channel", "part"]
RECENT_DAYS: Final = 30
AWAY_DAYS: Final = 90
OFTEN: Final = 4
_LONG_DAYS: Final = 62
_NEVER: Final = date(9999, 12, 31)
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


def _mine(who: Staff, table: Any, wanted: Wanted) -> Any:
    query = scoped(who, table).where(col(table.day) >= wanted.first, col(table.day) <= wanted.last)
    if wanted.store_ids is not None:
        query = query.where(col(table.store_id).in_(wanted.store_ids))
    if table is ReportPart:
        if wanted.room_id is not None:
            query = query.where(col(ReportPart.room_id) == wanted.room_id)
        if wanted.channel is not None:
            query = query.where(col(ReportPart.channel) == wanted.channel)
    return query.subquery()


async def sums(
    session: AsyncSession,
    who: Staff,
    wanted: Wanted,
    by: By = "",
    columns: Sequence[str] = COLUMNS,
) -> dict[Any, dict[str, int]]:
    """The sums of ``columns`` over a period, by what is asked for (``part``: room and channel); ``""`` without."""
    table: Any = ReportPart if by in {"room", "channel", "part"} or wanted.parted else ReportDay
    mine = _mine(who, table, wanted)
    totals = [func.coalesce(func.sum(mine.c[name]), 0) for name in columns]
    if not by:
        row = (await session.execute(select(*totals))).one()
        return {"": {name: int(some) for name, some in zip(columns, row, strict=True)}}
    if by == "part":
        pair = (mine.c.room_id, mine.c.channel)
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


async def hours(
    session: AsyncSession, who: Staff, wanted: Wanted
) -> dict[tuple[int, int], tuple[int, int]]:
    """(weekday of the business day from 0 = Monday, local hour) → minutes taken, minutes on offer."""
    mine = _mine(who, ReportHour, wanted)
    query = select(
        mine.c.day, mine.c.hour, func.sum(mine.c.busy_minutes), func.sum(mine.c.open_minutes)
    ).group_by(mine.c.day, mine.c.hour)
    found: dict[tuple[int, int], tuple[int, int]] = {}
    rows: Sequence[Any] = (await session.execute(query)).all()
    for day, hour, busy, offered in rows:
        was = found.get((day.weekday(), hour), (0, 0))
        found[day.weekday(), hour] = (was[0] + int(busy), was[1] + int(offered))
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
    """The guests of a period over the stores that are asked for.

    A long period that reaches the newest day is answered from the guests' lives: whoever came last in it
    was there, and whoever came first in it has all their visits in it. Others are counted visit by visit.
    The newest day is read from the days, of which every guest's day is one: a few rows in place of all.
    """
    newest: date | None = await session.scalar(
        select(func.max(_mine(who, ReportDay, replace(wanted, last=_NEVER)).c.day))
    )
    if newest is not None and newest <= wanted.last and (newest - wanted.first).days > _LONG_DAYS:
        return await _of_lives(session, who, wanted)
    came = _mine(who, ReportGuest, wanted)
    each = (
        select(
            came.c.account_id,
            func.sum(came.c.visits).label("visits"),
            func.sum(came.c.vouchers).label("vouchers"),
        )
        .group_by(came.c.account_id)
        .subquery()
    )
    before = _lives(who, wanted.store_ids)
    known = each.c.account_id.in_(
        select(before.c.account_id).where(before.c.first_day < wanted.first)
    )
    query = select(
        func.count(),
        func.sum(case((or_(each.c.visits > 1, known), 1), else_=0)),
        func.sum(case((known, 0), else_=1)),
        func.sum(case((each.c.vouchers > 0, 1), else_=0)),
        func.sum(each.c.visits),
    )
    row: Any = (await session.execute(query)).one()
    return Guests(*(int(some or 0) for some in row))


async def _of_lives(session: AsyncSession, who: Staff, wanted: Wanted) -> Guests:
    each = per_guest(who, wanted.store_ids)
    known = each.c.first_day < wanted.first
    query = select(
        func.count(),
        func.sum(case((or_(known, each.c.visits > 1), 1), else_=0)),
        func.sum(case((known, 0), else_=1)),
    ).where(each.c.last_day >= wanted.first)
    row: Any = (await session.execute(query)).one()
    came = _mine(who, ReportGuest, wanted)
    used = select(func.count(came.c.account_id.distinct())).where(came.c.vouchers > 0)
    vouchers = (await session.execute(used)).scalar_one()
    stays = (await sums(session, who, wanted, columns=("stays",)))[""]["stays"]
    return Guests(int(row[0]), int(row[1] or 0), int(row[2] or 0), int(vouchers), stays)


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
    session: AsyncSession, who: Staff, store_ids: tuple[str, ...] | None, today: date
) -> tuple[list[Segment], int]:
    """Guests by segment, and what one spent on average over all time (fen)."""
    each = per_guest(who, store_ids)
    whole = select(
        each.c.visits, each.c.spent_fen, each.c.last_day,
        func.avg(each.c.spent_fen).over().label("average"),
    ).subquery()  # fmt: skip
    name = segment_of(whole, today, whole.c.average).label("segment")
    inner = select(name, whole.c.visits, whole.c.spent_fen, whole.c.average).subquery()
    query = select(
        inner.c.segment,
        func.count(),
        func.sum(inner.c.visits),
        func.sum(inner.c.spent_fen),
        func.max(inner.c.average),
    ).group_by(inner.c.segment)
    rows: Sequence[Any] = (await session.execute(query)).all()
    found = {row[0]: Segment(row[0], int(row[1]), int(row[2]), int(row[3])) for row in rows}
    average = int(rows[0][4]) if rows else 0
    return [found[key] for key in SEGMENTS if key in found], average


SEGMENTS: Final = {
    "best": "花得多的常客",
    "loyal": "常客",
    "promising": "来过两三次",
    "new": "新客",
    "drifting": "快要走的常客",
    "sleeping": "睡着了",
    "lost": "流失",
}
