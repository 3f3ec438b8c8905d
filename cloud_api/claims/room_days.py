"""What rooms are now and in the next hours, from their claims: in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.booking_rules import Rules, rules_by_room
from cloud_api.claims.models import RoomClaim
from cloud_api.claims.spans import ALIVE, Span, by_room, lay_out
from cloud_api.devices.models import StoreStatus
from cloud_api.devices.status import NOTHING, StoreStatusView, view
from cloud_api.kit.actor import Actor, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import NotFound
from cloud_api.stores.models import Room, Store

LOOK_BACK: Final = timedelta(days=3)  # a stay that runs over is still in its room
AHEAD: Final = timedelta(hours=36)


class RoomState(StrEnum):
    """What a room is now, as staff see it; customers see fewer words (``RoomDay.state``)."""

    FREE = "free"
    HELD = "held"
    BOOKED = "booked"
    IN_USE = "in_use"
    GRACE = "grace"
    OVERTIME = "overtime"
    CLEANING = "cleaning"
    MAINTENANCE = "maintenance"
    CLOSED = "closed"
    """Outside opening hours."""
    OFFLINE = "offline"


_CUSTOMER: Final = {
    "free": RoomState.FREE,
    "held": RoomState.HELD,
    "booked": RoomState.BOOKED,
    "in_use": RoomState.IN_USE,
    "cleaning": RoomState.CLEANING,
    "closed": RoomState.CLOSED,
}


@dataclass(frozen=True, slots=True)
class RoomDay:
    """A room from ``now`` on. ``spans`` cover ``now``..``now`` + 36 h without a gap."""

    store: Store
    room: Room
    rules: Rules
    now: datetime
    spans: tuple[Span, ...]
    claims: tuple[RoomClaim, ...]

    @property
    def running(self) -> RoomClaim | None:
        """The claim whose guests are in, also beyond its end."""
        begun = [c for c in self.claims if c.state == "in_use" and c.block_from <= self.now]
        return max(begun, key=lambda claim: claim.starts_at, default=None)

    @property
    def over(self) -> bool:
        """Whether guests stay beyond what they bought; nobody knows when the room is free then."""
        return self.running is not None and self.running.ends_at <= self.now

    @property
    def state(self) -> RoomState:
        """What a customer may know: free only if one could walk in and stay for the shortest time."""
        if self.running is not None:
            return RoomState.IN_USE
        if self.room.mode == "maintenance":
            return RoomState.MAINTENANCE
        here = self.spans[0]
        if here.state == "free":
            return RoomState.FREE if self._fits(here) else RoomState.BOOKED
        if here.claim is not None and here.claim.kind == "maintenance":
            return RoomState.MAINTENANCE
        return _CUSTOMER[here.state]

    def usable_until(self, span: Span) -> datetime:
        """Until when one could stay in a free span: cleaning before the next claim taken off."""
        following = next((s for s in self.spans if s.starts_at == span.ends_at), None)
        if following is None or following.claim is None or following.state == "cleaning":
            return span.ends_at
        return span.ends_at - self.rules.cleaning

    def _fits(self, span: Span) -> bool:
        least = timedelta(minutes=self.rules.min_minutes)
        return self.usable_until(span) - max(span.starts_at, self.now) >= least

    @property
    def free_until(self) -> datetime | None:
        """Until when a free room is; None if it is not free, or free for all we look ahead."""
        if self.state is not RoomState.FREE or len(self.spans) == 1:
            return None
        return self.usable_until(self.spans[0])

    @property
    def next_free_at(self) -> datetime | None:
        """When a room that is not free can be had next, for the shortest time at least."""
        if self.state in (RoomState.FREE, RoomState.MAINTENANCE) or self.over:
            return None
        later = [s for s in self.spans if s.state == "free" and s.starts_at > self.now]
        return next((span.starts_at for span in later if self._fits(span)), None)


async def room_days(
    session: AsyncSession,
    stores: Sequence[Store],
    rooms: Sequence[Room],
    now: datetime,
    rules: Mapping[str, Rules] | None = None,
) -> dict[str, RoomDay]:
    """By room id; two queries, however many rooms and stores; one for who has the ``rules`` by room."""
    until = now + AHEAD
    rules = await rules_by_room(session, stores, rooms) if rules is None else rules
    claims = await _claims(session, [room.id for room in rooms], now, until)
    found: dict[str, RoomDay] = {}
    for store in stores:
        mine = [room for room in rooms if room.store_id == store.id]
        laid = lay_out(store, mine, claims, now, until)
        for room in mine:
            found[room.id] = RoomDay(
                store, room, rules[room.id], now, tuple(laid[room.id]), tuple(claims[room.id])
            )
    return found


async def _claims(
    session: AsyncSession, room_ids: Sequence[str], now: datetime, until: datetime
) -> dict[str, list[RoomClaim]]:
    """Those that touch ``now``..``until``, and stays that run over; by room, in order; one query."""
    query = (
        select(RoomClaim)
        .where(
            col(RoomClaim.room_id).in_(list(room_ids)),
            col(RoomClaim.block_until) > now - LOOK_BACK,
            col(RoomClaim.block_from) < until,
            or_(
                (col(RoomClaim.block_until) > now) & ALIVE,
                col(RoomClaim.state) == "in_use",
            ),
        )
        .order_by(col(RoomClaim.block_from))
    )
    return by_room((await session.exec(query)).all(), room_ids)


async def rooms_of_all(
    session: AsyncSession, who: Actor, stores: Sequence[Store]
) -> Sequence[Room]:
    """The rooms of several stores in their own order; one query."""
    query = (
        scoped(who, Room)
        .where(
            col(Room.store_id).in_([store.id for store in stores]),
            col(Room.retired_at).is_(None),
        )
        .order_by(col(Room.sort), col(Room.index))
    )
    return (await session.exec(query)).all()


async def store_now(
    session: AsyncSession,
    actor: Actor,
    store_id: str,
    clocks: Clocks,
    *more: ColumnElement[Any],
) -> tuple[Store, StoreStatusView, tuple[Any, ...]]:
    """A store, what it last said of itself, and what else is asked of it; one query.

    Raises NotFound ``store.not_found``.
    """
    query = (
        scoped(actor, Store)
        .add_columns(StoreStatus, *more)
        .outerjoin(StoreStatus, col(StoreStatus.store_id) == col(Store.id))
        .where(col(Store.id) == store_id)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("store")
    store, told, *rest = row
    return store, NOTHING if told is None else view(told, clocks.real), tuple(rest)


async def statuses(
    session: AsyncSession, stores: Sequence[Store], clocks: Clocks
) -> dict[str, StoreStatusView]:
    """What each store last said of itself; one query. A store that never spoke is offline."""
    query = scoped(System(), StoreStatus).where(
        col(StoreStatus.store_id).in_([store.id for store in stores])
    )
    found = {store.id: NOTHING for store in stores}
    for row in (await session.exec(query)).all():
        found[row.store_id] = view(row, clocks.real)
    return found
