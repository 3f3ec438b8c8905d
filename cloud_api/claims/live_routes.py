"""A store now and a store's month, each in one call: for everybody, and for staff with more in it."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel

from cloud_api.auth.deps import actor
from cloud_api.claims import live, month
from cloud_api.claims.live import RoomLive
from cloud_api.claims.month import MonthDay
from cloud_api.claims.room_days import RoomDay, RoomState
from cloud_api.kit.actor import Actor, Staff
from cloud_api.kit.http import cloud_of
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import ORDER_READ, STORE_READ
from cloud_api.stores.service import get_store, rooms_of

router = APIRouter(tags=["availability"])
Who = Annotated[Actor, Depends(actor)]
StaffWho = Annotated[Staff, Depends(staff_actor)]
Month = Annotated[str, Query(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", description="2026-12")]


def shown(state: RoomState) -> str:
    """A customer's word: what somebody is just paying for counts as booked."""
    return "booked" if state is RoomState.HELD else state.value


class RoomNowOut(BaseModel):
    """A room now: free, booked, in_use, cleaning, maintenance or closed.

    ``next_free_at`` is now for a free room, null where nobody knows. ``free_until`` null: as far as one
    can see.
    """

    room_id: str
    name: str
    capacity: int
    state: str
    free_until: AwareDatetime | None
    next_free_at: AwareDatetime | None

    @classmethod
    def of(cls, day: RoomDay) -> RoomNowOut:
        """Nothing personal."""
        return cls(
            room_id=day.room.id,
            name=day.room.name,
            capacity=day.room.capacity,
            state=shown(day.state),
            free_until=day.free_until,
            next_free_at=day.now if day.state is RoomState.FREE else day.next_free_at,
        )


class StoreNowOut(BaseModel):
    """Every room of a store now. ``online``: whether its doors can be opened from a phone."""

    store_id: str
    tz: str
    now: AwareDatetime
    online: bool
    rooms: list[RoomNowOut]


class RoomLiveOut(BaseModel):
    """A room as staff see it: free, held, booked, in_use, grace, overtime, cleaning, maintenance,
    closed; offline where the store is not heard from, with ``by_clock`` what it would be.

    ``starts_at``..``ends_at`` are of the stay or booking that makes the state; ``until`` is when the
    state changes, null where nobody knows. ``order_id`` needs order.read.
    """

    room_id: str
    name: str
    capacity: int
    mode: str
    state: str
    by_clock: str
    until: AwareDatetime | None
    starts_at: AwareDatetime | None
    ends_at: AwareDatetime | None
    order_id: str | None
    next_starts_at: AwareDatetime | None
    next_free_at: AwareDatetime | None

    @classmethod
    def of(cls, one: RoomLive, *, orders: bool) -> RoomLiveOut:
        """For a member of staff."""
        claim, room = one.claim, one.day.room
        return cls(
            room_id=room.id,
            name=room.name,
            capacity=room.capacity,
            mode=room.mode,
            state=one.state,
            by_clock=one.by_clock,
            until=one.until,
            starts_at=None if claim is None else claim.starts_at,
            ends_at=None if claim is None else claim.ends_at,
            order_id=claim.order_id if claim is not None and orders else None,
            next_starts_at=None if one.coming is None else one.coming.starts_at,
            next_free_at=one.next_free_at,
        )


class StoreLiveOut(BaseModel):
    """Every room of a store as staff see it. ``reported_at``: wire time of the store's last report."""

    store_id: str
    tz: str
    now: AwareDatetime
    online: bool
    stale: bool
    reported_at: AwareDatetime | None
    rooms: list[RoomLiveOut]


class RoomMonthOut(BaseModel):
    """A room on a day; ``state`` as the day's."""

    room_id: str
    state: str


class MonthDayOut(BaseModel):
    """A day of the store: past, far (not bookable yet), closed, full, some, free. ``name``: a holiday's."""

    day: date
    name: str
    state: str
    rooms_free: int
    rooms: list[RoomMonthOut]

    @classmethod
    def of(cls, one: MonthDay) -> MonthDayOut:
        """Nothing personal."""
        return cls(
            day=one.day,
            name=one.name,
            state=one.state,
            rooms_free=one.rooms_free,
            rooms=[RoomMonthOut(room_id=r.room_id, state=r.state) for r in one.rooms],
        )


class MonthOut(BaseModel):
    """A local month of a store: all of its days."""

    store_id: str
    month: str
    tz: str
    days: list[MonthDayOut]


class RoomTakenOut(RoomMonthOut):
    """A room on a day with what was sold of it; minutes of this day alone."""

    bookings: int  # that begin on this day
    taken_minutes: int
    open_minutes: int


class DayTakenOut(BaseModel):
    """A day for staff."""

    day: date
    name: str
    state: str
    rooms_free: int
    bookings: int
    taken_minutes: int
    open_minutes: int
    rooms: list[RoomTakenOut]


class MonthTakenOut(BaseModel):
    """A local month of a store for its staff."""

    store_id: str
    month: str
    tz: str
    days: list[DayTakenOut]


@router.get("/stores/{store_id}/live")
async def store_now(request: Request, store_id: str, who: Who) -> StoreNowOut:
    """What every room is now and when it can be had next."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store = await get_store(session, who, store_id)
        rooms = [r for r in await rooms_of(session, who, store_id) if r.selling != "off"]
        found, status = await live.live_of(session, store, rooms, cloud.clocks)
    return StoreNowOut(
        store_id=store.id,
        tz=store.tz,
        now=cloud.clocks.now,
        online=status.online,
        rooms=[RoomNowOut.of(one.day) for one in found],
    )


@router.get("/console/stores/{store_id}/live")
async def store_live(request: Request, store_id: str, who: StaffWho) -> StoreLiveOut:
    """What every room is now, by the store's own report where it is fresh."""
    who.need(STORE_READ)
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store = await get_store(session, who, store_id)
        rooms = await rooms_of(session, who, store_id)
        found, status = await live.live_of(session, store, rooms, cloud.clocks)
    may = ORDER_READ in who.permissions
    return StoreLiveOut(
        store_id=store.id,
        tz=store.tz,
        now=cloud.clocks.now,
        online=status.online,
        stale=status.stale,
        reported_at=status.reported_at,
        rooms=[RoomLiveOut.of(one, orders=may) for one in found],
    )


@router.get("/stores/{store_id}/calendar")
async def store_month(
    request: Request,
    store_id: str,
    who: Who,
    wanted: Annotated[Month | None, Query(alias="month")] = None,
) -> MonthOut:
    """Which days of a month (this one, if not given) have free time, by room."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store = await get_store(session, who, store_id)
        rooms = [r for r in await rooms_of(session, who, store_id) if r.selling != "off"]
        wanted = wanted or f"{cloud.clocks.now.astimezone(ZoneInfo(store.tz)):%Y-%m}"
        found = await month.month_of(session, store, rooms, wanted, cloud.clocks.now)
    return MonthOut(
        store_id=store.id, month=wanted, tz=store.tz, days=[MonthDayOut.of(one) for one in found]
    )


@router.get("/console/stores/{store_id}/calendar")
async def store_month_taken(
    request: Request,
    store_id: str,
    who: StaffWho,
    wanted: Annotated[Month | None, Query(alias="month")] = None,
) -> MonthTakenOut:
    """What is sold on each day of a month, by room."""
    who.need(STORE_READ)
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store = await get_store(session, who, store_id)
        rooms = await rooms_of(session, who, store_id)
        wanted = wanted or f"{cloud.clocks.now.astimezone(ZoneInfo(store.tz)):%Y-%m}"
        found = await month.month_of(session, store, rooms, wanted, cloud.clocks.now)
    days = [
        DayTakenOut(
            day=one.day,
            name=one.name,
            state=one.state,
            rooms_free=one.rooms_free,
            bookings=sum(r.bookings for r in one.rooms),
            taken_minutes=sum(r.taken_minutes for r in one.rooms),
            open_minutes=sum(r.open_minutes for r in one.rooms),
            rooms=[
                RoomTakenOut(
                    room_id=r.room_id,
                    state=r.state,
                    bookings=r.bookings,
                    taken_minutes=r.taken_minutes,
                    open_minutes=r.open_minutes,
                )
                for r in one.rooms
            ],
        )
        for one in found
    ]
    return MonthTakenOut(store_id=store.id, month=wanted, tz=store.tz, days=days)
