"""Availability: a room's time and a store's day, with nothing personal in it."""

from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.auth.deps import actor
from cloud_api.claims.spans import Span, spans
from cloud_api.kit.actor import Actor
from cloud_api.kit.calendar import Day, Instant
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import cloud_of
from cloud_api.stores.service import get_room, get_store, rooms_of

router = APIRouter(tags=["availability"])
Who = Annotated[Actor, Depends(actor)]
_LONGEST = timedelta(days=31)


class SpanOut(BaseModel):
    """A stretch: free, held, booked, in_use, cleaning or closed."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    state: str

    @classmethod
    def of(cls, span: Span) -> "SpanOut":
        """Without the claim."""
        return cls(starts_at=span.starts_at, ends_at=span.ends_at, state=span.state)


class RoomSpansOut(BaseModel):
    """A room's time, covered without a gap from ``from`` to ``to``."""

    model_config = ConfigDict(populate_by_name=True)
    room_id: str
    from_: AwareDatetime = Field(alias="from")
    to: AwareDatetime
    spans: list[SpanOut]


class StoreSpansOut(BaseModel):
    """A store's day: every room."""

    model_config = ConfigDict(populate_by_name=True)
    store_id: str
    day: date
    tz: str
    now: AwareDatetime
    from_: AwareDatetime = Field(alias="from")
    to: AwareDatetime
    rooms: list[RoomSpansOut]


@router.get("/rooms/{room_id}/availability")
async def room_availability(
    room_id: str,
    request: Request,
    who: Who,
    from_: Annotated[Instant, Query(alias="from")],
    to: Instant,
) -> RoomSpansOut:
    """When a room is free. At most 31 days."""
    if not timedelta(0) < to - from_ <= _LONGEST:
        raise KaimenError("availability.range", "起止时间要在 31 天以内", status=422, field="to")
    async with cloud_of(request).db.read() as session:
        room = await get_room(session, who, room_id)
        store = await get_store(session, who, room.store_id)
        found = await spans(session, store, [room], from_, to)
    return _room(room.id, found[room.id], from_, to)


@router.get("/stores/{store_id}/availability")
async def store_availability(
    store_id: str, request: Request, who: Who, day: Day | None = None
) -> StoreSpansOut:
    """All rooms of a store on a local day (today if not given)."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store = await get_store(session, who, store_id)
        rooms = await rooms_of(session, who, store_id)
        zone = ZoneInfo(store.tz)
        day = day or cloud.clocks.now.astimezone(zone).date()
        following = day + timedelta(days=1)
        start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(ZoneInfo("UTC"))
        end = datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(
            ZoneInfo("UTC")
        )
        found = await spans(session, store, rooms, start, end)
    return StoreSpansOut(
        store_id=store.id,
        day=day,
        tz=store.tz,
        now=cloud.clocks.now,
        from_=start,
        to=end,
        rooms=[_room(room.id, found[room.id], start, end) for room in rooms],
    )


def _room(room_id: str, found: list[Span], start: datetime, end: datetime) -> RoomSpansOut:
    return RoomSpansOut(
        room_id=room_id, from_=start, to=end, spans=[SpanOut.of(span) for span in found]
    )
