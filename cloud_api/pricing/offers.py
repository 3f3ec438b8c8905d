"""What a coupon takes off a price: a pure value, so that prices need not know whose coupons there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import times, yuan
from cloud_api.pricing.calendar import matches
from cloud_api.pricing.lines import COUPON, Book, Line, fold, time_lines, timed_fen, words

OFF: Final = "off"  # 满减: so much off, from so much on
DISCOUNT: Final = "discount"  # 折扣: per cent of the room's time
ADD_TIME: Final = "add_time"  # 加时: the last minutes cost nothing
KINDS: Final = (OFF, DISCOUNT, ADD_TIME)


@dataclass(frozen=True, slots=True)
class Offer:
    """A coupon in somebody's hand. Money in fen; ``min_fen`` is what the room's time must cost.

    Conditions are of the booking's start: ``weekdays``/``holidays`` as tariffs have them, minutes of the
    local day. Empty ``stores`` or ``room_kinds`` mean all.
    """

    id: str
    name: str
    kind: str
    off_fen: int = 0
    per_cent: int = 100
    cap_fen: int | None = None
    minutes: int = 0
    min_fen: int = 0
    min_minutes: int = 0
    stores: tuple[str, ...] = ()
    room_kinds: tuple[str, ...] = ()
    products: tuple[str, ...] = ("hourly",)  # of hourly, slot, package
    weekdays: int = 127
    holidays: str = "any"
    from_minute: int = 0
    until_minute: int = 1440


@dataclass(frozen=True, slots=True)
class Weighed:
    """An offer against a price: what it takes off, or why it does not fit (in words)."""

    offer: Offer
    off_fen: int
    why_not: str = ""

    @property
    def line(self) -> Line:
        """The line of the quote."""
        return Line(
            COUPON,
            _("优惠券 {name}").format(name=self.offer.name),
            -self.off_fen,
            ref=self.offer.id,
        )


def weigh(
    offer: Offer,
    book: Book,
    product: str,
    lines: Sequence[Line],
    starts_at: datetime,
    ends_at: datetime,
) -> Weighed:
    """What ``offer`` takes off a price of ``lines``; never more than the room's time still costs."""
    why = _why_not(offer, book, product, lines, starts_at, ends_at)
    if why:
        return Weighed(offer, 0, why)
    left = sum(line.amount_fen for line in lines if line.kind != "extra")
    off = min(_off(offer, book, lines, ends_at), max(left, 0))
    return Weighed(offer, off) if off > 0 else Weighed(offer, 0, _("这次没有可减的"))


def best(weighed: Iterable[Weighed]) -> Weighed | None:
    """The one that takes off most; None where none fits."""
    return max(
        (one for one in weighed if one.off_fen > 0),
        key=lambda one: (one.off_fen, one.offer.id),
        default=None,
    )


def in_words(offer: Offer) -> str:
    """What a coupon does, for people: ``满 ¥100 减 ¥20``, ``8.5 折，最多减 ¥30``, ``送 1 小时``."""
    if offer.kind == OFF:
        least = _("满 {money} ").format(money=yuan(offer.min_fen)) if offer.min_fen else ""
        return _("{least}减 {money}").format(least=least, money=yuan(offer.off_fen))
    if offer.kind == DISCOUNT:
        most = (
            _("，最多减 {money}").format(money=yuan(offer.cap_fen))
            if offer.cap_fen is not None
            else ""
        )
        return f"{fold(offer.per_cent)}{most}"
    return _("送 {time}").format(time=words(offer.minutes))


def _off(offer: Offer, book: Book, lines: Sequence[Line], ends_at: datetime) -> int:
    base = timed_fen(lines)
    if offer.kind == OFF:
        return offer.off_fen
    if offer.kind == DISCOUNT:
        off = base - times(base, offer.per_cent, 100)
        return off if offer.cap_fen is None else min(off, offer.cap_fen)
    given = time_lines(book, ends_at - timedelta(minutes=offer.minutes), ends_at)
    return min(sum(line.amount_fen for line in given), base)


def refused_at(offer: Offer, book: Book, starts_at: datetime) -> str:
    """Why ``offer`` may not be used in that room at that time, in words; "" where it may."""
    return _not_here(offer, book) or _not_then(offer, book, starts_at)


def _not_here(offer: Offer, book: Book) -> str:
    if offer.stores and book.store.id not in offer.stores:
        return _("不是这家店的券")
    if offer.room_kinds and book.room.kind not in offer.room_kinds:
        return _("只限{kinds}").format(kinds=_("、").join(offer.room_kinds))
    return ""


def _not_then(offer: Offer, book: Book, starts_at: datetime) -> str:
    """A window that ends no later than it begins goes over midnight, and its night is of the day it began on."""
    local = starts_at.astimezone(book.zone)
    minute, night = local.hour * 60 + local.minute, offer.until_minute <= offer.from_minute
    late = night and minute < offer.until_minute
    if not matches(offer, book.calendar(local.date() - timedelta(days=late))):
        return _("这一天不能用")
    end = 1440 if night else offer.until_minute
    return "" if late or offer.from_minute <= minute < end else _("这个时段不能用")


def _why_not(
    offer: Offer,
    book: Book,
    product: str,
    lines: Sequence[Line],
    starts_at: datetime,
    ends_at: datetime,
) -> str:
    base = timed_fen(lines)
    least = timedelta(minutes=offer.min_minutes)
    if why := _not_here(offer, book):
        return why
    if product not in offer.products or (offer.kind == ADD_TIME and product != "hourly"):
        return _("场次和套餐不能用这张券") if product != "hourly" else _("按小时订不能用这张券")
    if why := _not_then(offer, book, starts_at):
        return why
    if base < offer.min_fen:
        return _("房费满 {money} 才能用").format(money=yuan(offer.min_fen))
    if offer.kind == ADD_TIME:
        least = max(least, timedelta(minutes=offer.minutes) + timedelta(minutes=30))
    if ends_at - starts_at < least:
        return _("订满 {time}才能用").format(time=words(round(least.total_seconds() / 60)))
    return ""
