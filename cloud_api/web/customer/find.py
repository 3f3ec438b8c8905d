"""Finding a store and a room: what those pages are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from sqlmodel import col, or_
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import find as finding
from cloud_api.claims.booking_rules import Rules, rules_of
from cloud_api.groupbuy.platform_views import ways as platform_ways
from cloud_api.kit.actor import scoped
from cloud_api.kit.dates import day_month, weekday_name
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders.cancel_rules import in_words
from cloud_api.pricing.lines import words as length
from cloud_api.pricing.menu import Menu, menu_of
from cloud_api.pricing.models import Tariff
from cloud_api.pricing.rules import hours_text
from cloud_api.stores import facilities
from cloud_api.stores import service as stores
from cloud_api.stores.facilities import texts
from cloud_api.stores.hours import coming_exceptions
from cloud_api.stores.models import Room, Store
from cloud_api.stores.near import distance_m
from cloud_api.support import reviews
from cloud_api.web import pictures, room_days, words
from cloud_api.web.customer import sharing, store_reviews
from cloud_api.web.customer.look_for import Looked, away, place_of
from cloud_api.web.customer.whereabouts import map_href
from cloud_api.web.pages import Visit
from cloud_api.web.room_days import RoomDay
from cloud_api.web.view_models import (
    Facility,
    FilterChip,
    RoomCard,
    RoomPage,
    RoomState,
    StayCard,
    StoreCard,
    StorePage,
    StoresPage,
)

_ICONS = (
    ("新风", "wind"),
    ("通风", "wind"),
    ("空调", "snowflake"),
    ("灯", "lightbulb"),
    ("wifi", "wifi"),
    ("无线", "wifi"),
    ("音", "volume-2"),
    ("座", "armchair"),
    ("椅", "armchair"),
    ("沙发", "armchair"),
)


def store_href(store: Store) -> str:
    """The page of a store."""
    return f"/s/{store.id}"


def book_href(room: Room) -> str:
    """Where a time for a room is chosen."""
    return f"/rooms/{room.id}/book"


async def stores_page(
    session: AsyncSession,
    seen: Visit,
    looked: Looked,
    pinned: StayCard | None,
    cursor: str | None = None,
) -> StoresPage:
    """Stores with a room that fits, the nearest first; those that are not connected stand last."""
    wanted = looked.wanted(seen)
    found, following = await finding.find(
        session, seen.who, wanted, seen.cloud.clocks, cursor=cursor
    )
    covers = await pictures.covers(session, [one.store for one in found])
    cards = [
        _store_card(
            seen.at_store(one.store),
            one.store,
            one.sold,
            one.prices,
            one.online,
            covers,
            one.distance_m,
        )
        for one in found
    ]
    more = ""
    if following:
        more = (
            looked.href()
            + ("&" if looked.href() != "/" else "?")
            + urlencode({"cursor": following})
        )
    return StoresPage(
        stores=tuple(sorted(cards, key=lambda card: not card.online)),
        pinned=pinned,
        query=looked.q.strip(),
        filters=looked.chips(seen),
        near=wanted.place is not None,
        keep=looked.parts(),
        form=looked.form(seen),
        more_href=more,
    )


async def store_page(
    session: AsyncSession,
    seen: Visit,
    store: Store,
    show: str,
    seats: str,
    *,
    online: bool,
    rating: tuple[float, int],
) -> StorePage:
    """One store with its rooms; ``show`` = ``now`` and ``seats`` narrow them."""
    rooms = await stores.rooms_of(session, seen.who, store.id)
    days = await room_days.room_days(session, [store], rooms, seen.cloud.clocks.now)
    prices = await room_days.prices(session, rooms)
    shots = await pictures.of(session, [store])
    covers = pictures.covers_of(shots)
    sold = [days[room.id] for room in rooms if room.id in prices]
    shown = [
        day
        for day in sold
        if (show != "now" or day.state is RoomState.FREE)
        and (not seats or str(day.room.capacity) == seats)
    ]
    own = f"?show={show}" if show == "now" else f"?seats={seats}" if seats else ""
    first = next((day.room for day in sold if day.state is RoomState.FREE), None)
    first = first or (sold[0].room if sold else None)
    taken = await platform_ways(session, store.id)
    return StorePage(
        store=_store_card(
            seen, store, sold, prices, online, covers, distance_m(store, place_of(seen))
        ),
        rooms=tuple(
            _room_card(seen, day, prices[day.room.id], covers.get(day.room.id, "")) for day in shown
        ),
        book_href=book_href(first) if first is not None else "",
        filters=_filters(store, sold, show, seats, online=online),
        phone=store.phone or seen.look.phone,
        hours=hours_text(store),
        notice=store.notice,
        about=store.about,
        exceptions=_exceptions(store, seen),
        photos=pictures.gallery(shots.get(store.id, ())),
        map_href=map_href(store),
        rooms_href=f"{store_href(store)}/rooms{own}",
        platforms=_("、").join(dict.fromkeys(_(one.label) for one in taken)),
        platforms_href=f"/platform-code?store={store.id}" if taken else "",
        offers_href=f"{store_href(store)}/offers",
        share_url=f"{sharing.site(seen)}{store_href(store)}",
        share_picture=sharing.of_store(seen, shots.get(store.id, ())),
        **await store_reviews.latest(session, seen, store, rooms, rating),
    )


async def room_page(session: AsyncSession, seen: Visit, store: Store, room: Room) -> RoomPage:
    """One room with what is in it, its next hours and how it is priced."""
    day = (await room_days.room_days(session, [store], [room], seen.cloud.clocks.now))[room.id]
    prices = await room_days.prices(session, [room])
    query = scoped(seen.who, Tariff).where(
        col(Tariff.store_id) == store.id,
        or_(col(Tariff.room_id).is_(None), col(Tariff.room_id) == room.id),
    )
    tariffs = (await session.exec(query.order_by(col(Tariff.priority)))).all()
    own = [tariff for tariff in tariffs if tariff.room_id == room.id] or list(tariffs)
    shots = (await pictures.of(session, [store])).get(room.id, [])
    menu = await menu_of(session, seen.who, room.id, None, seen.cloud.clocks.now)
    return RoomPage(
        store_name=store.name,
        store_href=store_href(store),
        room=_room_card(
            seen, day, prices.get(room.id, 0), pictures.covers_of({room.id: shots}).get(room.id, "")
        ),
        photos=pictures.gallery(shots),
        tags=tuple(map(str, room.tags)),
        about=room.about,
        offers=_offers(seen, menu),
        facilities=_facilities(room),
        rules=_rules(store, await rules_of(session, store, room.id), own),
        address=store.address,
        map_href=map_href(store),
        **await store_reviews.latest(
            session, seen, store, [room], await reviews.rating(session, store.id, room.id), room.id
        ),
    )


def _store_card(
    seen: Visit,
    store: Store,
    days: Sequence[RoomDay],
    prices: dict[str, int],
    online: bool,
    covers: dict[str, str],
    metres: int | None = None,
) -> StoreCard:
    coming = min(
        ((at, day.room.name) for day in days if (at := day.next_free_at) is not None),
        default=None,
    )
    free = sum(day.state is RoomState.FREE for day in days)
    return StoreCard(
        id=store.id,
        href=store_href(store),
        name=store.name,
        sign=words.sign(store),
        address=store.address,
        rooms_total=len(days),
        rooms_free=free,
        price_from_fen=min((prices[d.room.id] for d in days if d.room.id in prices), default=0),
        online=online,
        next_free_at=seen.local(coming[0]) if coming is not None else None,
        next_free_room=coming[1] if coming else "",
        photo_url=covers.get(store.id, ""),
        away=away(metres),
    )


def _room_card(seen: Visit, day: RoomDay, price_fen: int, photo_url: str = "") -> RoomCard:
    room = day.room
    until, following = day.free_until, day.next_free_at
    return RoomCard(
        id=room.id,
        href=f"/rooms/{room.id}",
        book_href=book_href(room) if _may_book(day) else "",
        name=room.name,
        art=words.art(room),
        seats=room.capacity,
        price_from_fen=price_fen,
        facts=_facts(room),
        state=day.state,
        strip=room_days.strip(day, seen.now),
        free_until=seen.local(until) if until is not None else None,
        next_free_at=seen.local(following) if following is not None else None,
        over=day.over,
        photo_url=photo_url,
    )


def _facts(room: Room) -> tuple[str, ...]:
    style = (room.style,) if room.style else ()
    return (*style, f"{room.area_m2} m²", *texts(room.equipment, room.facilities)[:4])


def _may_book(day: RoomDay) -> bool:
    if day.room.selling == "walk_up":
        return day.state is RoomState.FREE
    return day.room.selling == "bookable" and day.state is not RoomState.MAINTENANCE


def _facility(thing: dict[str, Any]) -> Facility:
    text = facilities.in_words(thing)
    return Facility(facilities.ICONS.get(str(thing.get("kind")), _icon(text)), text)


def _facilities(room: Room) -> tuple[Facility, ...]:
    """What has a kind by its own icon, the rest by its words."""
    known = tuple(_facility(thing) for thing in room.equipment)
    told = texts(room.equipment, room.facilities)[len(known) :]
    return (*known, *(Facility(_icon(text), text) for text in told))


def _offers(seen: Visit, menu: Menu) -> tuple[tuple[str, str, int], ...]:
    slots = tuple(
        (
            one.slot.name,
            f"{seen.local(one.starts_at):%H:%M}–{seen.local(one.ends_at):%H:%M}",
            one.slot.price_fen,
        )
        for one in menu.slots
    )
    return (*slots, *((p.name, length(p.minutes), p.price_fen) for p in menu.packages))


def _exceptions(store: Store, seen: Visit) -> tuple[str, ...]:
    return tuple(
        f"{day_month(day)}{f' {name}' if name else ''} {spans}"
        for day, name, spans in coming_exceptions(store, seen.now.date())
    )


def _filters(
    store: Store, days: Sequence[RoomDay], show: str, seats: str, *, online: bool
) -> tuple[FilterChip, ...]:
    """None where there is nothing to narrow."""
    sizes = sorted({day.room.capacity for day in days})
    if len(days) < 2:
        return ()
    here = store_href(store)
    plain = show != "now" and not seats
    chips = [
        FilterChip(_("全部"), here, plain, len(days)),
        FilterChip(
            _("现在能进") if online else _("现在空着"),
            f"{here}?show=now",
            show == "now",
            sum(day.state is RoomState.FREE for day in days),
        ),
    ]
    if len(sizes) > 1:
        chips += [
            FilterChip(
                _("{n} 人").format(n=size),
                f"{here}?seats={size}",
                show != "now" and seats == str(size),
            )
            for size in sizes
        ]
    return tuple(chips)


def _icon(text: str) -> str:
    low = text.casefold()
    return next((icon for word, icon in _ICONS if word in low), "check")


def _rules(store: Store, rules: Rules, tariffs: Sequence[Tariff]) -> tuple[str, ...]:
    told = [
        _("{when} {price}/小时").format(when=_when(tariff), price=yuan(tariff.hourly_fen))
        for tariff in tariffs
    ]
    lead, grace = store.lead_s // 60, store.grace_s // 60
    lines = [_("；").join(told) + _("。跨时段分开算")] if told else []
    lines.append(
        _("最少订 {least}，每次加 {step}").format(
            least=words.hours(rules.min_minutes), step=words.hours(rules.step_minutes)
        )
    )
    if rules.notice_minutes:
        lines.append(_("至少提前 {span} 预订").format(span=words.hours(rules.notice_minutes)))
    lines += [
        _("{begin}–{end} 不接受预订").format(begin=one.from_, end=one.until)
        for one in rules.blocked
    ]
    if rules.confirm_minutes:
        lines.append(
            _("付款后由店家确认，{span}内没确认就全额退款").format(
                span=words.hours(rules.confirm_minutes)
            )
        )
    if lead:
        lines.append(_("前面没人时，开始前 {n} 分钟就能进门，不加钱").format(n=lead))
    if grace:
        lines.append(_("到点后 {n} 分钟内离开不加钱").format(n=grace))
    return (*lines, _(in_words(rules)))


def _when(tariff: Tariff) -> str:
    """``平日``, ``晚间 18:00–24:00``, ``周末晚间（周六、周日）18:00–24:00``."""
    text = tariff.name
    if tariff.weekdays != 127:
        days = [weekday_name(bit) for bit in range(7) if tariff.weekdays & (1 << bit)]
        text = _("{name}（{days}）").format(name=text, days=_("、").join(days))
    if (tariff.from_minute, tariff.until_minute) != (0, 1440):
        text += f" {_clock(tariff.from_minute)}–{_clock(tariff.until_minute)}"
    return text


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
