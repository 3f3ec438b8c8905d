"""What rooms are now and in the next hours, from their claims: in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.models import RoomClaim
from cloud_api.claims.spans import Span as ClaimSpan
from cloud_api.claims.spans import claims_between, lay_out
from cloud_api.devices.models import StoreStatus
from cloud_api.devices.status import NOTHING, StoreStatusView, view
from cloud_api.kit.actor import Actor, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.pricing.service import prices_from
from cloud_api.stores.models import Room, Store
from cloud_api.web.view_models import RoomState, Span, SpanState, Strip

LOOK_BACK = timedelta(days=3)  # a stay that runs over is still in its room
AHEAD = timedelta(hours=36)
STRIP = timedelta(hours=12)

_CUSTOMER = {
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
    now: datetime
    spans: tuple[ClaimSpan, ...]
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

    def usable_until(self, span: ClaimSpan) -> datetime:
        """Until when one could stay in a free span: cleaning before the next claim taken off."""
        following = next((s for s in self.spans if s.starts_at == span.ends_at), None)
        if following is None or following.claim is None or following.state == "cleaning":
            return span.ends_at
        return span.ends_at - timedelta(seconds=self.store.cleaning_s)

    def _fits(self, span: ClaimSpan) -> bool:
        least = timedelta(minutes=self.store.min_minutes)
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

    def strip(self, zone_now: datetime) -> Strip:
        """The next twelve hours, in the zone of ``zone_now``."""
        until = zone_now + STRIP
        return Strip(zone_now, until, zone_now, drawn(self.spans, zone_now, until))


def drawn(spans: Iterable[ClaimSpan], starts_at: datetime, ends_at: datetime) -> tuple[Span, ...]:
    """What there is of ``starts_at``..``ends_at``; in the zone of ``starts_at``."""
    zone = starts_at.tzinfo
    return tuple(
        Span(
            max(span.starts_at, starts_at).astimezone(zone),
            min(span.ends_at, ends_at).astimezone(zone),
            SpanState(span.state),
        )
        for span in spans
        if span.ends_at > starts_at and span.starts_at < ends_at
    )


def busy(spans: Iterable[ClaimSpan], starts_at: datetime, ends_at: datetime) -> tuple[Span, ...]:
    """The same without what is free."""
    return drawn((span for span in spans if span.state != "free"), starts_at, ends_at)


async def room_days(
    session: AsyncSession, stores: Sequence[Store], rooms: Sequence[Room], now: datetime
) -> dict[str, RoomDay]:
    """By room id; one query, however many rooms and stores."""
    until = now + AHEAD
    claims = await claims_between(session, [room.id for room in rooms], now - LOOK_BACK, until)
    found: dict[str, RoomDay] = {}
    for store in stores:
        mine = [room for room in rooms if room.store_id == store.id]
        laid = lay_out(store, mine, claims, now, until)
        for room in mine:
            found[room.id] = RoomDay(store, room, now, tuple(laid[room.id]), tuple(claims[room.id]))
    return found


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


async def prices(session: AsyncSession, rooms: Sequence[Room]) -> dict[str, int]:
    """The lowest hourly price in fen by room id; a room without any price is left out. One query."""
    return await prices_from(session, System(), rooms)


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
