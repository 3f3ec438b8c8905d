"""GET /stores: the nearest first, narrowed by what a room has to be; in pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel

from cloud_api.auth.deps import actor
from cloud_api.claims import find as finding
from cloud_api.claims.find import FoundStore, Wanted
from cloud_api.claims.live_routes import shown
from cloud_api.claims.room_days import RoomState
from cloud_api.kit.actor import Actor
from cloud_api.kit.calendar import Instant
from cloud_api.kit.http import cloud_of
from cloud_api.kit.paging import MOST, PAGE
from cloud_api.stores.facilities import Kind
from cloud_api.stores.schemas import StoreOut

router = APIRouter(tags=["stores"])
Who = Annotated[Actor, Depends(actor)]
_AROUND_M = 20_040_000  # to the other side of the earth


class FittingRoomOut(BaseModel):
    """A room that fits. ``price_fen``: its lowest hourly price."""

    id: str
    name: str
    capacity: int
    kind: str
    price_fen: int
    state: str  # free, booked, in_use, cleaning, maintenance, closed
    next_free_at: AwareDatetime | None


class FoundStoreOut(StoreOut):
    """A store in a list. ``distance_m``: metres from the place asked from; null without one of both.

    ``rooms`` are those that fit what was asked for. ``next_free_at`` is now where a room is free.
    """

    distance_m: int | None
    online: bool
    rooms_total: int
    rooms_free: int
    price_from_fen: int | None
    next_free_at: AwareDatetime | None
    rooms: list[FittingRoomOut]

    @classmethod
    def found(cls, one: FoundStore) -> FoundStoreOut:
        """From what was found."""
        sold = one.sold
        free = [day for day in sold if day.state is RoomState.FREE]
        coming = [at for day in sold if (at := day.next_free_at) is not None]
        return cls(
            **StoreOut.of(one.store).model_dump(),
            distance_m=one.distance_m,
            online=one.online,
            rooms_total=len(sold),
            rooms_free=len(free),
            price_from_fen=min(one.prices.values(), default=None),
            next_free_at=free[0].now if free else min(coming, default=None),
            rooms=[
                FittingRoomOut(
                    id=day.room.id,
                    name=day.room.name,
                    capacity=day.room.capacity,
                    kind=day.room.kind,
                    price_fen=one.prices[day.room.id],
                    state=shown(day.state),
                    next_free_at=day.now if day.state is RoomState.FREE else day.next_free_at,
                )
                for day in one.fitting
            ],
        )


class FoundStoresOut(BaseModel):
    """A page of stores; ``next_cursor`` goes into the next request with the same question."""

    items: list[FoundStoreOut]
    next_cursor: str | None


@router.get("/stores")
async def list_stores(
    request: Request,
    who: Who,
    q: Annotated[str, Query(max_length=60, description="in its name or address")] = "",
    lat: Annotated[float | None, Query(ge=-90, le=90, allow_inf_nan=False)] = None,
    lng: Annotated[float | None, Query(ge=-180, le=180, allow_inf_nan=False)] = None,
    within_m: Annotated[int | None, Query(ge=1, le=_AROUND_M)] = None,
    seats: Annotated[int, Query(ge=0, le=100)] = 0,
    facility: Annotated[list[Kind] | None, Query(max_length=13)] = None,
    max_fen: Annotated[int | None, Query(ge=0, le=10_000_000, description="an hour")] = None,
    free_now: bool = False,
    free_at: Instant | None = None,
    minutes: Annotated[int | None, Query(ge=1, le=2880)] = None,
    cursor: Annotated[str | None, Query(max_length=700)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = PAGE,
) -> FoundStoresOut:
    """Stores, by name; from ``lat``, ``lng`` (degrees, WGS 84) the nearest first.

    ``seats``, ``facility`` (repeated: all of them), ``max_fen``, ``free_now``, ``free_at`` with
    ``minutes`` leave the stores that have one room for all of it.
    """
    cloud = cloud_of(request)
    wanted = Wanted(
        text=q.strip().replace("\0", ""),
        place=finding.check_place(lat, lng),
        within_m=within_m,
        seats=seats,
        facilities=frozenset(facility or ()),
        most_fen=max_fen,
        free_now=free_now,
        free_at=free_at,
        minutes=minutes,
    )
    async with cloud.db.read() as session:
        found, following = await finding.find(
            session, who, wanted, cloud.clocks, cursor=cursor, limit=limit
        )
    return FoundStoresOut(items=[FoundStoreOut.found(one) for one in found], next_cursor=following)
