"""What of rooms and their hours the pages draw; the facts are claims.room_days'."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.room_days import RoomDay, room_days, rooms_of_all, statuses, store_now
from cloud_api.claims.spans import Span as ClaimSpan
from cloud_api.kit.actor import System
from cloud_api.pricing.service import prices_from
from cloud_api.stores.models import Room
from cloud_api.web.view_models import Span, SpanState, Strip

__all__ = [
    "RoomDay",
    "busy",
    "drawn",
    "prices",
    "room_days",
    "rooms_of_all",
    "statuses",
    "store_now",
    "strip",
]

STRIP = timedelta(hours=12)


def strip(day: RoomDay, zone_now: datetime) -> Strip:
    """The next twelve hours of a room, in the zone of ``zone_now``."""
    until = zone_now + STRIP
    return Strip(zone_now, until, zone_now, drawn(day.spans, zone_now, until))


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


async def prices(session: AsyncSession, rooms: Sequence[Room]) -> dict[str, int]:
    """The lowest hourly price in fen by room id; a room without any price is left out. One query."""
    return await prices_from(session, System(), rooms)
