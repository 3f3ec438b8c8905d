"""The price page: the coming week of a room painted hour by hour, and all that makes its prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.dates import day_month
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.members.levels import levels
from cloud_api.members.models import MemberLevel
from cloud_api.pricing.calendar import NOT, ONLY
from cloud_api.pricing.lines import Book
from cloud_api.pricing.lines import words as long
from cloud_api.pricing.manage import Prices, prices_of
from cloud_api.pricing.menu import Segment as Stretch
from cloud_api.pricing.menu import menu_of, segments
from cloud_api.pricing.models import Extra, Package, Slot, Tariff
from cloud_api.pricing.products import SlotOnDay, clock
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import PRICE_EDIT
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import rooms_of
from cloud_api.web.console.frame import NoStore, console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.parts import Segment
from cloud_api.web.view_models.prices import (
    Pick,
    PriceCell,
    PriceDay,
    PriceForm,
    PriceLine,
    PricesPage,
)

router = APIRouter(prefix="/console/prices", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
Short = Annotated[str, Query(max_length=64)]

WEEK = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")
_DAYS = 8  # the coming week, and the same weekday again where a holiday may differ
_STEPS = 5


@router.get("")
async def prices(
    seen: Seen, who: Who, store: Short = "", room: Short = "", day: Short = ""
) -> Response:
    """Needs price.edit."""
    who.need(PRICE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        shop = _picked(frame.stores, store)
        here = seen.at(shop.tz)
        rooms = await rooms_of(session, who, shop.id)
        if not rooms:
            raise NotFound("room", "这家店还没有包间，先加一间")
        one = next((r for r in rooms if r.id == room), rooms[0])
        found = await prices_of(session, who, shop)
        today = here.now.date()
        wanted = _day(day, today)
        menu = await menu_of(session, who, one.id, wanted, here.cloud.clocks.now)
        ranks = await levels(session, who)
    book = Book.of(shop, one, found.tariffs, found.rule)
    model = _page(shop, frame.stores, rooms, one, book, found, wanted, today, ranks)
    model = _with_menu(model, menu.segments, menu.slots, menu.packages, shop)
    return console_page(here, who, frame, "console/prices.html", model, here="prices")


def _page(
    shop: Store,
    stores: Sequence[Store],
    rooms: Sequence[Room],
    one: Room,
    book: Book,
    found: Prices,
    wanted: date,
    today: date,
    ranks: Sequence[MemberLevel],
) -> PricesPage:
    def href(**changes: str) -> str:
        asked = {"store": shop.id, "room": one.id, "day": wanted.isoformat()} | changes
        return "/console/prices?" + "&".join(f"{name}={value}" for name, value in asked.items())

    week = [today + timedelta(days=n) for n in range(_DAYS)]
    if wanted not in week:
        week.append(wanted)
    painted = {day: segments(book, day) for day in week}
    prices = sorted({s.hourly_fen for found in painted.values() for s in found})
    api = f"/api/v1/console/stores/{shop.id}"
    return PricesPage(
        store_id=shop.id,
        store_name=shop.name,
        stores=tuple(
            Pick(s.name, f"/console/prices?store={s.id}", s.id == shop.id) for s in stores
        ),
        rooms=tuple(Pick(r.name, href(room=r.id), r.id == one.id) for r in rooms),
        days=tuple(
            _row(book, day, painted[day], prices, href(day=day.isoformat()), day == wanted, today)
            for day in week
        ),
        legend=tuple((_step(prices, fen), yuan(fen)) for fen in prices),
        seen_day=wanted.isoformat(),
        bar=(),
        lines=(),
        products=(),
        tariffs=tuple(_tariff(t, api, rooms, prices) for t in found.tariffs),
        slots=tuple(_slot(s, api, rooms) for s in found.slots),
        packages=tuple(_package(p, api, rooms) for p in found.packages),
        extras=tuple(_extra(e, api) for e in found.extras),
        room_choices=tuple((r.id, r.name, r.kind) for r in rooms),
        kinds=tuple(sorted({r.kind for r in rooms if r.kind})),
        room_id=one.id,
        room_options=(("", _("全部包间")), *((r.id, r.name) for r in rooms)),
        kind_options=(
            ("", _("不按房型")),
            *((kind, kind) for kind in sorted({r.kind for r in rooms if r.kind})),
        ),
        rule={
            "unit_minutes": found.rule.unit_minutes,
            "least_minutes": found.rule.least_minutes,
            "payg": found.rule.payg,
            "payg_unit_minutes": found.rule.payg_unit_minutes,
            "payg_least_minutes": found.rule.payg_least_minutes,
            "payg_prepay_minutes": found.rule.payg_prepay_minutes,
        },
        levels=tuple((one.id, one.name, one.per_cent, one.sort) for one in ranks),
        api=api,
    )


def _with_menu(
    page: PricesPage,
    day: Sequence[Stretch],
    slots: Sequence[SlotOnDay],
    packages: Sequence[Package],
    shop: Store,
) -> PricesPage:
    zone = ZoneInfo(shop.tz)
    prices = sorted({s.hourly_fen for s in day})
    whole = sum((s.ends_at - s.starts_at).total_seconds() for s in day)
    bar, x = [], 0.0
    for s in day:
        width = 100 * (s.ends_at - s.starts_at).total_seconds() / whole
        bar.append(Segment(round(x, 3), round(width, 3), str(min(2, prices.index(s.hourly_fen)))))
        x += width
    lines = tuple(
        PriceLine(
            f"{s.name} {s.starts_at.astimezone(zone):%H:%M}–{_until(s, zone)}",
            s.hourly_fen,
            min(2, prices.index(s.hourly_fen)),
        )
        for s in day
    )
    sold = tuple(
        (
            one.slot.name,
            f"{one.starts_at.astimezone(zone):%H:%M}–{one.ends_at.astimezone(zone):%H:%M}",
            one.slot.price_fen,
        )
        for one in slots
    )
    packs = tuple((p.name, long(p.minutes), p.price_fen) for p in packages)
    return replace(page, bar=tuple(bar), lines=lines, products=(*sold, *packs))


def _row(
    book: Book,
    day: date,
    day_segments: Sequence[Stretch],
    prices: Sequence[int],
    href: str,
    on: bool,
    today: date,
) -> PriceDay:
    cells = []
    for s in day_segments:
        begin, end = s.starts_at.astimezone(book.zone), s.ends_at.astimezone(book.zone)
        first = begin.hour * 2 + begin.minute // 30
        last = 48 if end.date() > day else end.hour * 2 + -(-end.minute // 30)
        if last > first:
            cells.append(
                PriceCell(
                    last - first,
                    _step(prices, s.hourly_fen),
                    yuan(s.hourly_fen),
                    f"{s.name} {begin:%H:%M}–{'24:00' if last == 48 else f'{end:%H:%M}'}",
                )
            )
    kind = book.calendar(day)
    gap = (day - today).days
    name = _("今天") if gap == 0 else _("明天") if gap == 1 else _(WEEK[day.weekday()])
    return PriceDay(name, day_month(day), kind.name, href, on, tuple(cells))


def _step(prices: Sequence[int], fen: int) -> int:
    """Of five steps, from the cheapest on."""
    place = prices.index(fen)
    return round(place * (_STEPS - 1) / max(1, len(prices) - 1)) if len(prices) > 1 else 1


def _tariff(t: Tariff, api: str, rooms: Sequence[Room], prices: Sequence[int]) -> PriceForm:
    of = next((r.name for r in rooms if r.id == t.room_id), t.room_kind or _("全部包间"))
    return PriceForm(
        id=t.id,
        action=f"{api}/tariffs/{t.id}",
        name=t.name,
        says=of,
        when=f"{days_words(t)} {clock(t.from_minute)}–{clock(t.until_minute)}",
        price_fen=t.hourly_fen,
        weekdays=_weekdays(t.weekdays),
        holidays=t.holidays,
        begin=clock(t.from_minute),
        end=clock(t.until_minute % 1440),
        room_id=t.room_id or "",
        room_kind=t.room_kind or "",
        priority=t.priority,
        step=_step(prices, t.hourly_fen) if t.hourly_fen in prices else 0,
    )


def _slot(s: Slot, api: str, rooms: Sequence[Room]) -> PriceForm:
    night = _("次日 ") if s.until_minute <= s.from_minute else ""
    return PriceForm(
        id=s.id,
        action=f"{api}/slots/{s.id}",
        name=s.name,
        says=_where(s, rooms),
        when=f"{days_words(s)} {clock(s.from_minute)}–{night}{clock(s.until_minute)}",
        price_fen=s.price_fen,
        active=s.active,
        weekdays=_weekdays(s.weekdays),
        holidays=s.holidays,
        begin=clock(s.from_minute),
        end=clock(s.until_minute % 1440),
        rooms=tuple(map(str, s.rooms)),
    )


def _package(p: Package, api: str, rooms: Sequence[Room]) -> PriceForm:
    window = f" {clock(p.from_minute)}–{clock(p.until_minute)} {_('开始')}"
    whole = p.from_minute == 0 and p.until_minute == 1440
    valid = f" · {_('到')} {p.valid_until:%m-%d}" if p.valid_until else ""
    return PriceForm(
        id=p.id,
        action=f"{api}/packages/{p.id}",
        name=p.name,
        says=_where(p, rooms),
        when=f"{long(p.minutes)} · {days_words(p)}{'' if whole else window}{valid}",
        price_fen=p.price_fen,
        active=p.active,
        weekdays=_weekdays(p.weekdays),
        holidays=p.holidays,
        begin=clock(p.from_minute),
        end=clock(p.until_minute % 1440),
        minutes=p.minutes,
        about=p.about,
        rooms=tuple(map(str, p.rooms)),
        valid_from=p.valid_from.isoformat() if p.valid_from else "",
        valid_until=p.valid_until.isoformat() if p.valid_until else "",
    )


def _extra(e: Extra, api: str) -> PriceForm:
    return PriceForm(
        id=e.id,
        action=f"{api}/extras/{e.id}",
        name=e.name,
        says=_("一次最多 {n} {unit}").format(n=e.most, unit=e.unit),
        when="",
        price_fen=e.price_fen,
        active=e.active,
        unit=e.unit,
        most=e.most,
    )


def days_words(thing: Tariff | Slot | Package) -> str:
    """``每天``, ``周一至周五``, ``周六、周日``; and what holds on holidays."""
    on = [day for day in range(7) if thing.weekdays & (1 << day)]
    if thing.holidays == ONLY:
        return _("节假日") if len(on) == 7 else _("{days}里的节假日").format(days=_names(on))
    text = _("每天") if len(on) == 7 else _names(on)
    return _("{days}（节假日除外）").format(days=text) if thing.holidays == NOT else text


def _names(on: Sequence[int]) -> str:
    if len(on) > 2 and on == list(range(on[0], on[-1] + 1)):
        return _("{day}至{day2}").format(day=_(WEEK[on[0]]), day2=_(WEEK[on[-1]]))
    return _("、").join(_(WEEK[day]) for day in on)


def _weekdays(mask: int) -> tuple[str, ...]:
    return tuple(str(day) for day in range(7) if mask & (1 << day))


def _where(thing: Slot | Package, rooms: Sequence[Room]) -> str:
    names = [r.name for r in rooms if r.id in thing.rooms]
    return _("、").join([*names, *map(str, thing.room_kinds)]) or _("全部包间")


def _until(s: Stretch, zone: ZoneInfo) -> str:
    end = s.ends_at.astimezone(zone)
    return "24:00" if (end.hour, end.minute) == (0, 0) else f"{end:%H:%M}"


def _picked(stores: Sequence[Store], wanted: str) -> Store:
    if not stores:
        raise NoStore
    return next((s for s in stores if s.id == wanted), stores[0])


def _day(text: str, today: date) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return today
    return day if 2000 <= day.year < 2100 else today
