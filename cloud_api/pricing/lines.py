"""A price in lines: what each is, in words; the pure half of every quote.

The lines of a quote add up to its total (I9): time, what is added to it, what is taken off it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import language
from cloud_api.kit.money import times
from cloud_api.kit.writing import made
from cloud_api.members.models import MemberLevel
from cloud_api.pricing.calendar import Calendar, calendar_of
from cloud_api.pricing.models import Extra, Package, PriceRule, Slot, Tariff
from cloud_api.pricing.split import amount, split
from cloud_api.stores.models import Room, Store

ROOM_TIME: Final = "room_time"
ROUNDING: Final = "rounding"  # a begun unit, or the least that is charged
SLOT: Final = "slot"
PACKAGE: Final = "package"
EXTRA: Final = "extra"
MEMBER: Final = "member"
COUPON: Final = "coupon"
TIMED: Final = frozenset({ROOM_TIME, ROUNDING, SLOT, PACKAGE})  # what discounts are counted from


@dataclass(frozen=True, slots=True)
class Line:
    """One line; ``amount_fen`` is negative where something is taken off. Instants are UTC."""

    kind: str
    text: str
    amount_fen: int
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    hourly_fen: int | None = None
    ref: str = ""  # of the tariff, slot, package, extra or coupon
    quantity: int = 1

    @property
    def minutes(self) -> int:
        """Elapsed minutes; 0 for what is no time."""
        if self.starts_at is None or self.ends_at is None:
            return 0
        return round((self.ends_at - self.starts_at).total_seconds()) // 60

    def stored(self) -> dict[str, Any]:
        """As JSON; see schemas.QuoteLine."""
        return {
            "kind": self.kind,
            "text": self.text,
            "from": _iso(self.starts_at),
            "to": _iso(self.ends_at),
            "minutes": self.minutes,
            "hourly_fen": self.hourly_fen,
            "amount_fen": self.amount_fen,
            "tariff_id": self.ref if self.kind in (ROOM_TIME, ROUNDING) else None,
            "ref": self.ref,
            "quantity": self.quantity,
        }


@dataclass(frozen=True, slots=True)
class Book:
    """All that prices a room: its store, the tariffs that may rule in it, how time is counted."""

    store: Store
    room: Room
    tariffs: Sequence[Tariff]
    rule: PriceRule
    calendar: Calendar
    level: MemberLevel | None = None  # of the customer who asks

    @classmethod
    def of(
        cls,
        store: Store,
        room: Room,
        tariffs: Iterable[Tariff],
        rule: PriceRule | None,
        level: MemberLevel | None = None,
    ) -> Book:
        """The book of a room, out of all tariffs of its store."""
        mine = [
            t
            for t in tariffs
            if t.room_id in (None, room.id) and t.room_kind in (None, "", room.kind)
        ]
        counted = rule or made(PriceRule, store_id=store.id, merchant_id=store.merchant_id)
        return cls(store, room, mine, counted, calendar_of(store), level)

    @property
    def zone(self) -> ZoneInfo:
        """The store's zone."""
        return ZoneInfo(self.store.tz)


def total(lines: Iterable[Line]) -> int:
    """The sum in fen."""
    return sum(line.amount_fen for line in lines)


def time_lines(book: Book, starts_at: datetime, ends_at: datetime) -> list[Line]:
    """A line per stretch under one tariff, from ``starts_at`` to ``ends_at``: no gap, no overlap.

    By elapsed time alone, so cutting the stretch anywhere never changes the sum. Raises Conflict
    ``price.missing``.
    """
    lines = []
    for piece in split(book.tariffs, book.store.tz, starts_at, ends_at, book.calendar):
        here, there = piece.starts_at.astimezone(book.zone), piece.ends_at.astimezone(book.zone)
        name = piece.tariff.name
        day = book.calendar(here.date())
        if day.holiday and day.name and piece.tariff.holidays == "only":
            name = _("{name}（{day}）").format(name=name, day=day.name)
        lines.append(
            Line(
                ROOM_TIME,
                f"{name} {here:%H:%M}–{there:%H:%M}",
                piece.amount_fen,
                piece.starts_at,
                piece.ends_at,
                piece.tariff.hourly_fen,
                piece.tariff.id,
            )
        )
    return lines


def hourly(book: Book, starts_at: datetime, ends_at: datetime) -> list[Line]:
    """What a booking of custom length costs: its time, filled up to whole units and to the least."""
    lines = time_lines(book, starts_at, ends_at)
    charged = charged_until(book.rule.unit_minutes, book.rule.least_minutes, starts_at, ends_at)
    if charged > ends_at:
        more = time_lines(book, ends_at, charged)
        minutes = round((charged - ends_at).total_seconds() / 60)
        least = charged - starts_at <= timedelta(minutes=book.rule.least_minutes)
        why = (
            _("不足 {time}按 {time}计").format(time=words(book.rule.least_minutes))
            if least
            else _("按每 {unit_minutes} 分钟计费").format(unit_minutes=book.rule.unit_minutes)
        )
        lines.append(
            Line(
                ROUNDING,
                _("{why}，补 {minutes} 分钟").format(why=why, minutes=minutes),
                total(more),
                ends_at,
                charged,
                more[-1].hourly_fen,
                more[-1].ref,
            )
        )
    return lines


def charged_until(
    unit_minutes: int, least_minutes: int, starts_at: datetime, ends_at: datetime
) -> datetime:
    """Until when a stay is charged: begun units as whole ones, and ``least_minutes`` at least."""
    unit = timedelta(minutes=unit_minutes)
    units = -(-max(ends_at - starts_at, timedelta(minutes=least_minutes)) // unit)
    return starts_at + units * unit


def slot_line(slot: Slot, starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> Line:
    """A slot as its one line."""
    here, there = starts_at.astimezone(zone), ends_at.astimezone(zone)
    text = f"{slot.name} {here:%H:%M}–{'次日 ' if there.date() > here.date() else ''}{there:%H:%M}"
    hourly_fen = _per_hour(slot.price_fen, (slot.until_minute - slot.from_minute - 1) % 1440 + 1)
    return Line(SLOT, text, slot.price_fen, starts_at, ends_at, hourly_fen, slot.id)


def package_line(package: Package, starts_at: datetime, ends_at: datetime) -> Line:
    """A package as its one line."""
    text = _("{name}（{time}）").format(name=package.name, time=words(package.minutes))
    hourly_fen = _per_hour(package.price_fen, package.minutes)
    return Line(PACKAGE, text, package.price_fen, starts_at, ends_at, hourly_fen, package.id)


def _per_hour(fen: int, minutes: int) -> int:
    """What an hour of it comes to: overtime that is charged by per cent counts from that."""
    return times(fen, 60, minutes)


def extra_line(extra: Extra, quantity: int) -> Line:
    """Something beside the room."""
    text = f"{extra.name} × {quantity} {extra.unit}"
    return Line(EXTRA, text, extra.price_fen * quantity, ref=extra.id, quantity=quantity)


def timed_fen(lines: Iterable[Line]) -> int:
    """What the room's time costs before anything is taken off."""
    return sum(line.amount_fen for line in lines if line.kind in TIMED)


def member_line(level: str, per_cent: int, lines: Sequence[Line]) -> Line | None:
    """What a member's level takes off the room's time; None where it is nothing."""
    base = timed_fen(lines)
    off = base - times(base, per_cent, 100)
    if off <= 0:
        return None
    return Line(MEMBER, level_words(level, per_cent), -off, ref=level)


def level_words(level: str, per_cent: int) -> str:
    """``金卡会员 9 折``; without the discount where there is none."""
    off = fold(per_cent) if per_cent < 100 else ""
    return _("{level}会员 {off}").format(level=level, off=off).strip()


def fold(per_cent: int) -> str:
    """90 as ``9 折``, 95 as ``9.5 折``; Chinese counts what is paid, English what is taken off."""
    if language() == "en":
        return _("减 {n}%").format(n=100 - per_cent)
    tenths = str(per_cent // 10) if per_cent % 10 == 0 else f"{per_cent / 10:.1f}"
    return _("{n} 折").format(n=tenths)


def words(minutes: int) -> str:
    """``4 小时``, ``1 小时 30 分钟``, ``45 分钟``; with a space after where text follows."""
    hours, rest = divmod(minutes, 60)
    if not rest and hours:
        return _("{n} 小时").format(n=hours)
    return _("{h} 小时 {m} 分钟").format(h=hours, m=rest) if hours else _("{n} 分钟").format(n=rest)


def price_used(
    lines: Sequence[dict[str, Any]],
    tz: str,
    starts_at: datetime,
    used_until: datetime,
    *,
    unit_minutes: int = 1,
    least_minutes: int = 0,
) -> tuple[list[Line], int]:
    """What of a quote was used until ``used_until``, by the prices that were quoted.

    ``lines`` are the quote's stored lines. Begun units of ``unit_minutes`` count whole, and
    ``least_minutes`` at least, but never more than what was quoted. Slots, packages and extras are sold
    whole; what was taken off is taken off in proportion. Returns the lines of what was used and their
    sum in fen; the rest of what was paid goes back.
    """
    timed = [line for line in lines if line.get("kind", ROOM_TIME) in (ROOM_TIME, ROUNDING)]
    ends_at = max((_instant(line["to"]) for line in timed), default=used_until)
    until = charged_until(unit_minutes, least_minutes, starts_at, max(used_until, starts_at))
    until = min(until, ends_at)
    used = [
        line for stored in timed if (line := _used_part(stored, ZoneInfo(tz), until)) is not None
    ]
    quoted_fen = sum(int(line["amount_fen"]) for line in lines if line.get("kind") in TIMED)
    for one in lines:
        kind, fen = str(one.get("kind", ROOM_TIME)), int(one["amount_fen"])
        if kind in (ROOM_TIME, ROUNDING):
            continue
        used.append(Line(kind, str(one["text"]), fen, ref=str(one.get("ref", ""))))
    used_fen = timed_fen(used)
    if quoted_fen > 0:
        used = [
            replace(line, amount_fen=-times(-line.amount_fen, used_fen, quoted_fen))
            if line.kind in (MEMBER, COUPON)
            else line
            for line in used
        ]
    return used, total(used)


def _used_part(stored: dict[str, Any], zone: ZoneInfo, until: datetime) -> Line | None:
    begin, end = _instant(stored["from"]), min(_instant(stored["to"]), until)
    if begin >= end:
        return None
    hourly_fen, text = int(stored["hourly_fen"]), str(stored["text"])
    if stored.get("kind", ROOM_TIME) == ROOM_TIME:
        name = text.rpartition(" ")[0]
        text = f"{name} {begin.astimezone(zone):%H:%M}–{end.astimezone(zone):%H:%M}"
    fen = amount(hourly_fen, begin, end)
    if end == _instant(stored["to"]):
        fen = int(stored["amount_fen"])
    return Line(ROOM_TIME, text, fen, begin, end, hourly_fen, str(stored["tariff_id"]))


def _iso(instant: datetime | None) -> str | None:
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
