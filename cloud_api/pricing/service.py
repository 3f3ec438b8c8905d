"""Quotes: a price told once, stored with its lines, never computed again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, null
from sqlmodel import col, or_
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.kit.actor import Actor, Customer, System, scoped, stand_in
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.kit.statements import built
from cloud_api.kit.writing import made, write_new
from cloud_api.members import levels
from cloud_api.members.models import MemberLevel
from cloud_api.pricing import admission
from cloud_api.pricing import lines as pricing
from cloud_api.pricing import offers as offering
from cloud_api.pricing.lines import Book, Line
from cloud_api.pricing.models import Extra, Package, PriceRule, Quote, Slot, Tariff
from cloud_api.pricing.offers import Offer
from cloud_api.pricing.products import package_ends, slot_on
from cloud_api.stores.models import Room, Store

QUOTE_VALID: Final = timedelta(minutes=10)
HOURLY: Final = "hourly"
SLOT: Final = "slot"
PACKAGE: Final = "package"
PAYG: Final = "payg"

_Thing = TypeVar("_Thing", Slot, Package, Extra)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants the price of: a room, and one of: an end, a slot, a package, pay-as-you-go.

    ``day`` is the local day of a slot; without it the day of ``starts_at``. ``extras`` are ids with how
    many of each. ``coupon`` is the id of one of ``offers``, ``""`` for none; None: the best that fits.
    """

    room_id: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    slot_id: str | None = None
    day: date | None = None
    package_id: str | None = None
    payg: bool = False
    extras: tuple[tuple[str, int], ...] = ()
    coupon: str | None = None
    offers: Sequence[Offer] = field(default_factory=tuple)


async def quote(
    session: AsyncSession,
    actor: Actor,
    room_id: str,
    starts_at: datetime,
    ends_at: datetime,
    clocks: Clocks,
) -> Quote:
    """The price of a stretch of custom length, without coupons or extras; see ``make_quote``."""
    wish = Wish(room_id, starts_at, ends_at, coupon="")
    return await make_quote(session, actor, wish, clocks)


async def make_quote(
    session: AsyncSession, actor: Actor, wish: Wish, clocks: Clocks, book: Book | None = None
) -> Quote:
    """Price a wish under the store's rules and store the quote. ``book``: of the wish's room, if at hand.

    Raises NotFound for room, slot, package or extra; KaimenError ``booking.*``, ``room.*``, ``slot.*``,
    ``package.*``, ``payg.off``, ``coupon.*``, ``price.missing``.
    """
    book = book or await book_of(session, actor, wish.room_id)
    kind, lines, starts_at, ends_at = await _time(session, book, wish, clocks)
    product_id = wish.slot_id or wish.package_id
    detail: dict[str, Any] = {}
    if kind == PAYG:
        rule = book.rule
        detail["payg"] = {
            "unit_minutes": rule.payg_unit_minutes,
            "least_minutes": rule.payg_least_minutes,
        }
    lines += _level_off(book.level, lines)
    lines += await _extras(session, book.store.id, wish.extras)
    coupon = None
    if kind != PAYG:
        coupon = _coupon(wish, book, kind, lines, starts_at, ends_at, detail)
        if coupon is not None:
            lines.append(coupon.line)
    told = made(
        Quote,
        id=new_id(),
        merchant_id=book.store.merchant_id,
        store_id=book.store.id,
        room_id=book.room.id,
        starts_at=starts_at,
        ends_at=ends_at,
        kind=kind,
        product_id=product_id,
        coupon_id=None if coupon is None else coupon.offer.id,
        total_fen=pricing.total(lines),
        lines=[line.stored() for line in lines],
        detail=detail,
        created_at=clocks.now,
        expires_at=clocks.now + QUOTE_VALID,
    )
    session.add(told)
    await write_new(session)
    return told


async def price_interval(
    session: AsyncSession,
    actor: Actor,
    room_id: str,
    starts_at: datetime,
    ends_at: datetime,
    *,
    account_id: str | None = None,
) -> tuple[list[dict[str, Any]], int]:
    """What any stretch of a room's time costs: stored lines and their sum in fen. Nothing is written.

    For an extension, a change of time or room, an early start: by elapsed time and tariff, without the
    store's rules of booking, its unit or its least, so cutting a stretch anywhere never changes the
    sum. ``account_id``: with the price of that customer's member level.
    """
    book = await book_of(session, actor, room_id)
    lines = pricing.time_lines(book, starts_at.astimezone(UTC), ends_at.astimezone(UTC))
    if account_id is not None:
        lines += _level_off(
            await levels.level_of(session, book.store.merchant_id, account_id), lines
        )
    return [line.stored() for line in lines], pricing.total(lines)


async def book_of(session: AsyncSession, actor: Actor, room_id: str) -> Book:
    """All that prices a room. Raises NotFound ``room.not_found``."""
    who, theirs = stand_in(actor)
    found = (await session.execute(priced(who), {"room_id": room_id, **theirs})).first()
    return await book_from(session, found)


async def book_from(session: AsyncSession, found: Sequence[Any] | None) -> Book:
    """The book out of a row of ``priced``. Raises NotFound ``room.not_found`` for None."""
    if found is None:
        raise NotFound("room", "没有这个包间")
    room, store, rule, level = found[:4]
    of = {"store_id": store.id, "room_id": room.id}
    tariffs = (await session.exec(_tariffs(), params=of)).all()
    return Book.of(store, room, tariffs, rule, level)


@built
def priced(who: Actor) -> Any:
    """A room (``room_id``), its store, how time is counted there, and the level of the customer who asks."""
    query: Any = (
        scoped(who, Room)
        .where(col(Room.id) == bindparam("room_id"))
        .join(Store, col(Store.id) == col(Room.store_id))
        .outerjoin(PriceRule, col(PriceRule.store_id) == col(Store.id))
        .add_columns(Store, PriceRule)
    )
    if isinstance(who, Customer):
        return levels.beside(query, col(Store.merchant_id), who.account_id)
    return query.add_columns(null())


@built
def _tariffs() -> SelectOfScalar[Tariff]:
    """Those that may rule in a room: its own, and those of no one room."""
    return scoped(System(), Tariff).where(
        col(Tariff.store_id) == bindparam("store_id"),
        or_(col(Tariff.room_id).is_(None), col(Tariff.room_id) == bindparam("room_id")),
    )


def lowest(tariffs: Iterable[Tariff], rooms: Iterable[Room]) -> dict[str, int]:
    """The lowest hourly price in fen by room id; a room without any price is left out.

    A room with prices of its own is sold at those, else at those of its kind, else at the store's.
    """
    known: dict[tuple[str, str | None, str | None], int] = {}
    for tariff in tariffs:
        key = (tariff.store_id, tariff.room_id, tariff.room_kind or None)
        known[key] = min(known.get(key, tariff.hourly_fen), tariff.hourly_fen)
    found = {}
    for room in rooms:
        for key in (
            (room.store_id, room.id, None),
            (room.store_id, None, room.kind or None),
            (room.store_id, None, None),
        ):
            if key in known:
                found[room.id] = known[key]
                break
    return found


async def prices_from(session: AsyncSession, actor: Actor, rooms: Sequence[Room]) -> dict[str, int]:
    """``lowest`` for rooms of any stores; one query."""
    query = scoped(actor, Tariff).where(col(Tariff.store_id).in_({room.store_id for room in rooms}))
    return lowest((await session.exec(query)).all(), rooms)


async def take_quote(session: AsyncSession, actor: Actor, quote_id: str, clocks: Clocks) -> Quote:
    """The quote to order from. Raises NotFound, or KaimenError ``quote.expired`` (410)."""
    who, theirs = stand_in(actor)
    found = (await session.exec(_quote(who), params={"quote_id": quote_id, **theirs})).first()
    if found is None:
        raise quote_unknown()
    check_valid(found, clocks)
    return found


def quote_unknown() -> NotFound:
    """Nobody was told such a quote."""
    return NotFound("quote", "没有这份报价，请重新选择时间")


def check_valid(quote: Quote, clocks: Clocks) -> None:
    """Raise KaimenError ``quote.expired`` (410) for one that nobody may order from any more."""
    if quote.expires_at <= clocks.now:
        raise KaimenError("quote.expired", "报价已过期，请重新选择时间", status=410)


@built
def _quote(who: Actor) -> SelectOfScalar[Quote]:
    return scoped(who, Quote).where(col(Quote.id) == bindparam("quote_id"))


async def _time(
    session: AsyncSession, book: Book, wish: Wish, clocks: Clocks
) -> tuple[str, list[Line], datetime, datetime]:
    """The kind of price, its lines of time, and the instants it is for."""
    store, room = book.store, book.room
    if wish.slot_id is not None:
        slot = await _of_store(session, Slot, wish.slot_id, store.id, "slot")
        day = wish.day
        if day is None:
            if wish.starts_at is None:
                raise _missing("starts_at")
            day = wish.starts_at.astimezone(book.zone).date()
        sold = slot_on(store, room, slot, day, clocks.now, book.calendar)
        begins, ends = sold.starts_at, sold.ends_at
        await admission.check(session, store, room, begins, ends, clocks, fixed=True)
        line = pricing.slot_line(slot, sold.starts_at, sold.ends_at, ZoneInfo(store.tz))
        return SLOT, [line], sold.starts_at, sold.ends_at
    if wish.starts_at is None:
        raise _missing("starts_at")
    starts_at = wish.starts_at.astimezone(UTC)
    if wish.package_id is not None:
        package = await _of_store(session, Package, wish.package_id, store.id, "package")
        ends_at = package_ends(store, room, package, starts_at, book.calendar)
        await admission.check(session, store, room, starts_at, ends_at, clocks, fixed=True)
        return PACKAGE, [pricing.package_line(package, starts_at, ends_at)], starts_at, ends_at
    if wish.payg:
        if not book.rule.payg:
            raise KaimenError("payg.off", "这家店不按实际使用计费，请选时长", status=409)
        length = timedelta(minutes=book.rule.payg_prepay_minutes)
        ends_at = starts_at + length if wish.ends_at is None else wish.ends_at.astimezone(UTC)
        await admission.check(session, store, room, starts_at, ends_at, clocks)
        return PAYG, pricing.time_lines(book, starts_at, ends_at), starts_at, ends_at
    if wish.ends_at is None:
        raise _missing("ends_at")
    ends_at = wish.ends_at.astimezone(UTC)
    await admission.check(session, store, room, starts_at, ends_at, clocks)
    return HOURLY, pricing.hourly(book, starts_at, ends_at), starts_at, ends_at


def _level_off(level: MemberLevel | None, lines: Sequence[Line]) -> list[Line]:
    if level is None:
        return []
    line = pricing.member_line(level.name, level.per_cent, lines)
    return [] if line is None else [line]


async def _extras(
    session: AsyncSession, store_id: str, wanted: Sequence[tuple[str, int]]
) -> list[Line]:
    lines = []
    for extra_id, quantity in wanted:
        extra = await _of_store(session, Extra, extra_id, store_id, "extra")
        if not extra.active:
            raise KaimenError(
                "extra.not_sold",
                _("{name}现在不卖，去掉它再试").format(name=extra.name),
                status=409,
                field="extras",
            )
        if quantity > extra.most:
            raise KaimenError(
                "extra.too_many",
                _("{name}一次最多要 {most} {unit}").format(
                    name=extra.name, most=extra.most, unit=extra.unit
                ),
                status=422,
                field="extras",
            )
        lines.append(pricing.extra_line(extra, quantity))
    return lines


def _coupon(
    wish: Wish,
    book: Book,
    kind: str,
    lines: Sequence[Line],
    starts_at: datetime,
    ends_at: datetime,
    detail: dict[str, Any],
) -> offering.Weighed | None:
    """The coupon that is taken off; notes in ``detail`` what was weighed against it."""
    weighed = [
        offering.weigh(offer, book, kind, lines, starts_at, ends_at) for offer in wish.offers
    ]
    best = offering.best(weighed)
    chosen = best
    if wish.coupon is not None:
        chosen = next((one for one in weighed if one.offer.id == wish.coupon), None)
        if wish.coupon and chosen is None:
            raise NotFound("coupon", "没有这张优惠券，可能已经用过或过期")
        if chosen is not None and chosen.why_not:
            raise KaimenError(
                "coupon.does_not_fit", _("这张券用不了：{why_not}").format(why_not=chosen.why_not), status=409,
                field="coupon_ids",
            )  # fmt: skip
    if weighed:
        detail["coupons"] = [
            {
                "id": one.offer.id,
                "name": one.offer.name,
                "text": offering.in_words(one.offer),
                "off_fen": one.off_fen,
                "why_not": one.why_not,
                "chosen": one is chosen,
                "best": one is best,
            }
            for one in sorted(weighed, key=lambda one: -one.off_fen)[:20]
        ]
    return chosen


async def _of_store(
    session: AsyncSession, model: type[_Thing], thing_id: str, store_id: str, what: str
) -> _Thing:
    query = scoped(System(), model).where(
        col(model.id) == thing_id, col(model.store_id) == store_id
    )
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound(what, "没有这一项，可能已经下架，请重新选")
    return found


def _missing(name: str) -> KaimenError:
    words = {"starts_at": _("请选开始时间"), "ends_at": _("请选结束时间，或选一个场次、套餐")}
    return KaimenError("quote.incomplete", words[name], status=422, field=name)
