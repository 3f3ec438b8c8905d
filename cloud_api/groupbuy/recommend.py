"""What to recommend to whom, and why: packages and campaigns that save money, what fits one's habits first.

A reason is a fact that the guest can check: what it saves against the price without it, and that it is as
long as they usually stay. What saves nothing is not recommended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Final
from zoneinfo import ZoneInfo

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy import campaigns
from cloud_api.groupbuy.models import Campaign
from cloud_api.kit.actor import Actor, Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders.models import Order
from cloud_api.pricing.models import Package
from cloud_api.pricing.products import sold_in
from cloud_api.pricing.service import prices_from
from cloud_api.stores.models import Room, Store
from cloud_api.vouchers.judge import when

MOST: Final = 3
FEW: Final = 10  # so few left are worth a word
_LOOKED_AT: Final = 50  # campaigns, orders
_HABIT: Final = timedelta(days=180)
_ONCE: Final = 2  # visits that make a habit
_NEAR_MIN: Final = 30  # as long as usual, or nearly
_SYSTEM: Final = System()


@dataclass(frozen=True, slots=True)
class Habit:
    """How often somebody was in which store of late, and how long they usually stay there, in minutes."""

    visits: dict[str, int] = field(default_factory=dict)
    minutes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Offer:
    """Something sold at ``stores`` (name by id): ``full_fen`` is what the same costs without it, at least.

    ``room_id`` is where a package leads to; ``left`` None: no limit.
    """

    kind: str  # campaign | package
    id: str
    name: str
    stores: dict[str, str]
    minutes: int
    price_fen: int
    full_fen: int
    when: str = ""
    picture: str = ""
    room_id: str = ""
    left: int | None = None

    @property
    def saves_fen(self) -> int:
        return self.full_fen - self.price_fen


@dataclass(frozen=True, slots=True)
class Advice:
    """An offer, and the reason why it stands here, as a sentence."""

    offer: Offer
    reason: str


def recommend(habit: Habit, offers: Sequence[Offer]) -> list[Advice]:
    """The best for this guest, at most ``MOST``: fitting their usual stay, then their stores, then by saving."""
    good = [one for one in offers if one.saves_fen > 0 and one.left != 0]
    good.sort(key=lambda one: (-_fit(habit, one)[0], -one.saves_fen / one.full_fen, one.id))
    return [Advice(one, _reason(habit, one)) for one in good[:MOST]]


def habit_of(stays: Sequence[tuple[str, int]]) -> Habit:
    """From (store, minutes) of stays."""
    visits = Counter(store for store, _minutes in stays)
    return Habit(
        dict(visits),
        {
            store: round(median(minutes for at, minutes in stays if at == store))
            for store, count in visits.items()
            if count >= _ONCE
        },
    )


def _fit(habit: Habit, offer: Offer) -> tuple[int, str]:
    """How well it fits, and the store where it does: 2 as long as usual there, 1 a store they know."""
    known = sorted(offer.stores, key=lambda store: (-habit.visits.get(store, 0), store))
    for store in known:
        usual = habit.minutes.get(store)
        if usual is not None and abs(usual - offer.minutes) <= _NEAR_MIN:
            return 2, store
    if known and habit.visits.get(known[0]):
        return 1, known[0]
    return 0, ""


def _reason(habit: Habit, offer: Offer) -> str:
    fit, store = _fit(habit, offer)
    name, money = offer.stores.get(store, ""), yuan(offer.saves_fen)
    if fit == 2:
        said = _("和你在{store}常玩的差不多长，省 {money}").format(store=name, money=money)
    elif fit == 1:
        said = _("你去过{store}，这样省 {money}").format(store=name, money=money)
    elif offer.kind == "campaign":
        said = _("比单独买省 {money}").format(money=money)
    else:
        said = _("比按小时订至少省 {money}").format(money=money)
    if offer.left is not None and offer.left <= FEW:
        said += _("，还剩 {n} 张").format(n=offer.left)
    return said


async def for_guest(
    session: AsyncSession, actor: Actor, clocks: Clocks, store_id: str | None = None
) -> list[Advice]:
    """What to recommend to ``actor`` (anybody) now; of one store, or of all campaigns and one's own stores."""
    habit = Habit()
    if isinstance(actor, Customer):
        query = scoped(actor, Order).where(
            col(Order.status) == "completed", col(Order.starts_at) > clocks.now - _HABIT
        )
        recent = query.order_by(col(Order.starts_at).desc()).limit(_LOOKED_AT)
        habit = habit_of(
            [
                (order.store_id, round((order.ends_at - order.starts_at).total_seconds() / 60))
                for order in (await session.exec(recent)).all()
            ]
        )
    found, _more = await campaigns.on_sale(session, store_id, clocks, cursor=None, limit=_LOOKED_AT)
    at = {store_id} if store_id is not None else set(habit.visits)
    packages = await _packages(session, at)
    places = {str(one) for campaign in found for one in campaign.store_ids} | at
    query_stores = scoped(_SYSTEM, Store).where(col(Store.id).in_(places))
    stores = {one.id: one for one in (await session.exec(query_stores)).all()} if places else {}
    return recommend(
        habit,
        [
            *(_campaign(one, stores) for one in found),
            *(await _offers(session, packages, stores, clocks.now)),
        ],
    )


async def _packages(session: AsyncSession, at: set[str]) -> Sequence[Package]:
    if not at:
        return []
    query = scoped(_SYSTEM, Package).where(col(Package.store_id).in_(at), col(Package.active))
    return (await session.exec(query.order_by(col(Package.id)).limit(_LOOKED_AT))).all()


async def _offers(
    session: AsyncSession, packages: Sequence[Package], stores: dict[str, Store], now: datetime
) -> list[Offer]:
    """Packages against the hourly price of the cheapest room that they are sold in; two queries."""
    if not packages:
        return []
    query = scoped(_SYSTEM, Room).where(
        col(Room.store_id).in_({one.store_id for one in packages}), col(Room.selling) == "bookable"
    )
    rooms = (await session.exec(query.order_by(col(Room.sort), col(Room.id)))).all()
    hourly = await prices_from(session, _SYSTEM, rooms)
    made = []
    for one in packages:
        fitting = [
            room
            for room in rooms
            if room.store_id == one.store_id and sold_in(one, room) and room.id in hourly
        ]
        store = stores.get(one.store_id)
        if not fitting or store is None or not _sold_soon(one, store, now):
            continue
        room = min(fitting, key=lambda room: hourly[room.id])
        made.append(
            Offer(
                "package",
                one.id,
                one.name,
                {store.id: store.name},
                one.minutes,
                one.price_fen,
                hourly[room.id] * one.minutes // 60,
                when=when(one),
                picture=room.art,
                room_id=room.id,
            )
        )
    return made


def _sold_soon(package: Package, store: Store, now: datetime) -> bool:
    """Whether a day of the next week is one of its days, in the store's zone: else nobody can book it."""
    today = now.astimezone(ZoneInfo(store.tz)).date()
    return any(
        package.weekdays >> day.weekday() & 1
        and (package.valid_from is None or package.valid_from <= day)
        and (package.valid_until is None or day <= package.valid_until)
        for day in (today + timedelta(days=n) for n in range(7))
    )


def _campaign(one: Campaign, stores: dict[str, Store]) -> Offer:
    names = {id_: stores[id_].name for id_ in map(str, one.store_ids) if id_ in stores}
    return Offer(
        "campaign",
        one.id,
        one.name,
        names,
        one.minutes,
        one.price_fen,
        one.list_fen,
        when=when(one),
        picture=one.picture,
        left=None if one.stock is None else one.stock - one.taken,
    )
