"""What a room costs on a day: the price of each hour, its slots and packages, what can be had beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Actor, System, scoped
from cloud_api.kit.errors import KaimenError
from cloud_api.pricing.calendar import Day, matches
from cloud_api.pricing.lines import Book, hourly, total
from cloud_api.pricing.models import Extra, Package, Slot
from cloud_api.pricing.products import SlotOnDay, slot_on, slot_times, sold_in
from cloud_api.pricing.service import book_of
from cloud_api.pricing.split import split


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the day under one tariff; instants in UTC."""

    starts_at: datetime
    ends_at: datetime
    tariff_id: str
    name: str
    hourly_fen: int


@dataclass(frozen=True, slots=True)
class Menu:
    """A room's prices on a local day. ``segments`` is empty where an hour has no price."""

    book: Book
    day: Day
    segments: tuple[Segment, ...]
    slots: tuple[SlotOnDay, ...]
    packages: tuple[Package, ...]
    extras: tuple[Extra, ...]


async def menu_of(
    session: AsyncSession, actor: Actor, room_id: str, day: date | None, now: datetime
) -> Menu:
    """The menu of a room on local ``day`` (today if None). Raises NotFound ``room.not_found``."""
    book = await book_of(session, actor, room_id)
    day = day or now.astimezone(book.zone).date()
    store_id = book.store.id
    slots = (await session.exec(_sold(Slot, store_id))).all()
    packages = (await session.exec(_sold(Package, store_id))).all()
    extras = (await session.exec(_sold(Extra, store_id))).all()
    kind = book.calendar(day)
    return Menu(
        book=book,
        day=kind,
        segments=segments(book, day),
        slots=tuple(sold for slot in slots if (sold := offered(book, slot, day, now)) is not None),
        packages=tuple(
            one
            for one in packages
            if sold_in(one, book.room)
            and matches(one, kind)
            and (one.valid_from is None or one.valid_from <= day)
            and (one.valid_until is None or day <= one.valid_until)
        ),
        extras=tuple(extras),
    )


def segments(book: Book, day: date) -> tuple[Segment, ...]:
    """The day's hours from midnight to midnight, by tariff."""
    begin = datetime(day.year, day.month, day.day, tzinfo=book.zone).astimezone(UTC)
    after = day + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=book.zone).astimezone(UTC)
    try:
        pieces = split(book.tariffs, book.store.tz, begin, end, book.calendar)
    except KaimenError:
        return ()
    return tuple(
        Segment(p.starts_at, p.ends_at, p.tariff.id, p.tariff.name, p.tariff.hourly_fen)
        for p in pieces
    )


def offered(book: Book, slot: Slot, day: date, now: datetime) -> SlotOnDay | None:
    """A slot of local ``day`` as it stands on the menu; None where it is not sold then.

    One that has begun and is dearer than its hours that are left is sold to who asks for it, and no
    longer shown: nobody means to pay an afternoon for its last hour.
    """
    try:
        sold = slot_on(book.store, book.room, slot, day, now, book.calendar)
    except KaimenError:
        return None
    if sold.starts_at <= slot_times(slot, day, book.zone)[0]:
        return sold
    try:
        hours_fen = total(hourly(book, sold.starts_at, sold.ends_at))
    except KaimenError:  # no hours are sold there
        return sold
    return sold if slot.price_fen <= hours_fen else None


def _sold(model: type[Slot] | type[Package] | type[Extra], store_id: str):  # type: ignore[no-untyped-def]
    query = scoped(System(), model)
    return query.where(col(model.store_id) == store_id, col(model.active)).order_by(
        col(model.sort), col(model.id)
    )
