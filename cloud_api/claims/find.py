"""Finding a store: the nearest first, and only those with a room that fits; read in pages.

Distances are metres on the great circle. One room has to meet all that is asked for: a store with a
large room that is taken and a small one that is free does not answer "free for eight".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import cos, radians
from typing import Any, Final

from sqlalchemy import case
from sqlmodel import col, or_
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import booking_rules
from cloud_api.claims.booking_rules import Rules
from cloud_api.claims.models import RoomClaim
from cloud_api.claims.room_days import (
    RoomDay,
    RoomState,
    room_days,
    rooms_of_all,
)
from cloud_api.claims.spans import claims_between
from cloud_api.devices.models import StoreStatus
from cloud_api.kit.actor import Actor, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.paging import MOST, PAGE, bad_cursor, cursor_of, plain_text, read_cursor
from cloud_api.merchants.models import Merchant
from cloud_api.pricing.service import prices_from
from cloud_api.stores.facilities import kinds_of
from cloud_api.stores.models import Room, Store
from cloud_api.stores.near import distance_m

LOOKED_AT: Final = 500  # stores that one request weighs at most, the nearest of all
_CHUNK: Final = 50
_DEGREE_M: Final = 111_195.0  # of latitude, on the mean radius
_UNPLACED: Final = -1  # in a cursor: a store without a position, behind all that have one


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for. ``place`` is (latitude, longitude) in degrees; prices are fen an hour.

    ``free_at`` with ``minutes`` (None: the room's shortest time) asks for rooms free then; ``free_now``
    for rooms that one can walk into.
    """

    text: str = ""
    place: tuple[float, float] | None = None
    within_m: int | None = None
    seats: int = 0
    facilities: frozenset[str] = frozenset()  # kinds of stores.facilities, all of them
    most_fen: int | None = None
    free_now: bool = False
    free_at: datetime | None = None
    minutes: int | None = None
    merchant_id: str = ""  # of one merchant only

    @property
    def narrows(self) -> bool:
        """Whether rooms are asked for, so that a store without any that fits is left out."""
        return bool(
            self.seats
            or self.facilities
            or self.most_fen is not None
            or self.free_now
            or self.free_at is not None
        )


@dataclass(frozen=True, slots=True)
class FoundStore:
    """A store with what its card shows; ``fitting`` are the rooms that meet what was asked for."""

    store: Store
    distance_m: int | None
    online: bool
    days: tuple[RoomDay, ...]
    prices: dict[str, int]  # lowest hourly price in fen by room; rooms without a price are not sold
    fitting: tuple[RoomDay, ...]

    @property
    def sold(self) -> tuple[RoomDay, ...]:
        """Its rooms that have a price."""
        return tuple(day for day in self.days if day.room.id in self.prices)


async def find(
    session: AsyncSession,
    actor: Actor,
    wanted: Wanted,
    clocks: Clocks,
    *,
    cursor: str | None = None,
    limit: int = PAGE,
) -> tuple[list[FoundStore], str | None]:
    """A page of stores and the cursor of the next. Stores of suspended merchants are not sold.

    A fixed number of queries for each fifty stores looked at, at most 500 of them a
    request and from one place. Raises
    KaimenError ``cursor.bad`` (422).
    """
    limit = min(limit, MOST)
    heard: set[str] = set()
    ahead = await _candidates(session, actor, wanted, cursor, heard)
    found: list[FoundStore] = []
    at = 0
    while at < len(ahead):
        size = _CHUNK if wanted.narrows else min(_CHUNK, limit + 1 - len(found))
        chunk = ahead[at : at + size]
        at += size
        for one in await _weigh(session, actor, wanted, chunk, heard, clocks):
            found.append(one)
            if len(found) > limit:
                return found[:limit], _cursor(wanted, found[limit - 1].store)
    if len(ahead) == LOOKED_AT and wanted.place is None:
        return found, _cursor(wanted, ahead[-1])
    return found, None


async def _candidates(
    session: AsyncSession, actor: Actor, wanted: Wanted, cursor: str | None, heard: set[str]
) -> list[Store]:
    """Stores behind the cursor in order, whatever their rooms are; ids of those online into ``heard``."""
    query = (
        scoped(actor, Store)
        .add_columns(col(StoreStatus.online) & col(StoreStatus.nonce).is_not(None))
        .outerjoin(StoreStatus, col(StoreStatus.store_id) == col(Store.id))
        .join(Merchant, col(Merchant.id) == col(Store.merchant_id))
        .where(col(Merchant.suspended_at).is_(None))
    )
    if wanted.merchant_id:
        query = query.where(col(Store.merchant_id) == wanted.merchant_id)
    if wanted.text:
        query = query.where(
            or_(
                col(Store.name).icontains(wanted.text, autoescape=True),
                col(Store.address).icontains(wanted.text, autoescape=True),
            )
        )
    if wanted.place is None:
        if cursor:
            name, last = map(plain_text, read_cursor(cursor))
            query = query.where(
                or_(
                    col(Store.name) > name,
                    (col(Store.name) == name) & (col(Store.id) > last),
                )
            )
        query = query.order_by(col(Store.name), col(Store.id)).limit(LOOKED_AT)
        return await _all(session, query, heard)
    return await _around(session, query, wanted, wanted.place, cursor, heard)


async def _around(
    session: AsyncSession,
    query: Any,
    wanted: Wanted,
    place: tuple[float, float],
    cursor: str | None,
    heard: set[str],
) -> list[Store]:
    """The nearest first. The database orders by a flat earth, which neither engine needs functions
    for, and what it found is measured and ordered again on the round one.
    """
    east = cos(radians(place[0]))
    north = col(Store.lat) - place[0]
    aside = col(Store.lon) - place[1]
    aside = case((aside > 180, aside - 360), (aside < -180, aside + 360), else_=aside) * east
    if wanted.within_m is not None:
        reach = 1.02 * wanted.within_m / _DEGREE_M
        query = query.where(col(Store.lat).between(place[0] - reach, place[0] + reach))
    unplaced = or_(col(Store.lat).is_(None), col(Store.lon).is_(None))
    query = query.order_by(
        case((unplaced, 1), else_=0), north * north + aside * aside, col(Store.id)
    ).limit(LOOKED_AT)
    ordered = sorted(
        (_rank(store, place), store.id, store) for store in await _all(session, query, heard)
    )
    if wanted.within_m is not None:
        ordered = [
            one for one in ordered if one[2].lat is not None and one[0][1] <= wanted.within_m
        ]
    if cursor:
        metres, last = read_cursor(cursor)
        if type(metres) is not int or not isinstance(last, str):
            raise bad_cursor()
        behind = (metres == _UNPLACED, max(metres, 0)), last
        ordered = [one for one in ordered if (one[0], one[1]) > behind]
    return [store for _, _, store in ordered]


async def _all(session: AsyncSession, query: Any, heard: set[str]) -> list[Store]:
    rows = (await session.execute(query)).all()
    heard.update(store.id for store, online in rows if online)
    return [store for store, _ in rows]


def _rank(store: Store, place: tuple[float, float]) -> tuple[bool, int]:
    metres = distance_m(store, place)
    return metres is None, metres or 0


def _cursor(wanted: Wanted, store: Store) -> str:
    if wanted.place is None:
        return cursor_of(store.name, store.id)
    metres = distance_m(store, wanted.place)
    return cursor_of(_UNPLACED if metres is None else metres, store.id)


async def _weigh(
    session: AsyncSession,
    actor: Actor,
    wanted: Wanted,
    chunk: Sequence[Store],
    heard: set[str],
    clocks: Clocks,
) -> list[FoundStore]:
    """Those of ``chunk`` that have a room that fits, in its order."""
    now = clocks.now
    rooms = await rooms_of_all(session, actor, chunk)
    prices = await prices_from(session, actor, rooms)
    likely = [room for room in rooms if _suits(room, wanted, prices)]
    if wanted.narrows:
        having = {room.store_id for room in likely}
        chunk = [store for store in chunk if store.id in having]
        rooms = [room for room in rooms if room.store_id in having]
    rules = await booking_rules.rules_by_room(session, chunk, rooms)
    days = await room_days(session, chunk, rooms, now, rules)
    fitting = {room.id for room in likely}
    if wanted.free_now:
        fitting = {key for key in fitting if days[key].state is RoomState.FREE}
    if wanted.free_now or wanted.free_at is not None:
        fitting = await _free(session, chunk, likely, fitting, rules, wanted, now)
    found = []
    for store in chunk:
        mine = tuple(days[room.id] for room in rooms if room.store_id == store.id)
        fit = tuple(day for day in mine if day.room.id in fitting)
        if fit or not wanted.narrows:
            found.append(
                FoundStore(
                    store,
                    distance_m(store, wanted.place),
                    store.id in heard,
                    mine,
                    {d.room.id: prices[d.room.id] for d in mine if d.room.id in prices},
                    fit,
                )
            )
    return found


def _suits(room: Room, wanted: Wanted, prices: dict[str, int]) -> bool:
    """What a room is and costs, whenever it is free."""
    if room.selling == "off" or room.id not in prices or room.capacity < wanted.seats:
        return False
    if wanted.most_fen is not None and prices[room.id] > wanted.most_fen:
        return False
    return wanted.facilities <= kinds_of(room.equipment, room.facilities)


async def _free(
    session: AsyncSession,
    stores: Sequence[Store],
    likely: Sequence[Room],
    among: set[str],
    rules: dict[str, Rules],
    wanted: Wanted,
    now: datetime,
) -> set[str]:
    """Which of ``among`` may be booked at the time asked for and are free then; one query."""
    starts_at = now if wanted.free_at is None else wanted.free_at
    asked = [room for room in likely if room.id in among]
    lengths = {room.id: wanted.minutes or rules[room.id].min_minutes for room in asked}
    longest = timedelta(minutes=max(lengths.values(), default=0)) + timedelta(days=1)
    claims = await claims_between(
        session, [room.id for room in asked], starts_at, starts_at + longest
    )
    by_id = {store.id: store for store in stores}
    return {
        room.id
        for room in asked
        if _fits(
            rules[room.id],
            by_id[room.store_id],
            room,
            claims[room.id],
            starts_at,
            timedelta(minutes=lengths[room.id]),
            now,
        )
    }


def _fits(
    rules: Rules,
    store: Store,
    room: Room,
    claims: Sequence[RoomClaim],
    starts_at: datetime,
    length: timedelta,
    now: datetime,
) -> bool:
    """A start off the grid counts: who looks for a room at 19:10 is shown those free at 19:10."""
    ends_at = starts_at + length
    minutes = length // timedelta(minutes=1)
    if not rules.min_minutes <= minutes <= rules.max_minutes:
        return False
    if booking_rules.refusal(rules, store, room, starts_at, ends_at, now, fixed=True) is not None:
        return False
    return not any(
        claim.state != "released"
        and claim.block_from < ends_at + rules.cleaning
        and starts_at < claim.block_until
        for claim in claims
    )


def check_place(lat: float | None, lng: float | None) -> tuple[float, float] | None:
    """Both or neither. Raises KaimenError ``stores.half_place`` (422)."""
    if (lat is None) != (lng is None):
        missing = "lat" if lat is None else "lng"
        raise KaimenError(
            "stores.half_place", "位置要同时有纬度 lat 和经度 lng", status=422, field=missing
        )
    return None if lat is None or lng is None else (lat, lng)
