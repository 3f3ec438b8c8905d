"""The same time every week, for customers and for staff who book for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.calendar import Instant
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.orders import series
from cloud_api.orders.models import Order
from cloud_api.orders.series import Week
from cloud_api.staff.deps import staff_actor

router = APIRouter(tags=["orders"])
console = APIRouter(prefix="/console", tags=["console: orders"])


class SeriesIn(BaseModel):
    """The first time, and for how many weeks. ``skip``: book those that can be had and leave the rest."""

    model_config = ConfigDict(extra="forbid")
    room_id: Annotated[str, Field(min_length=1, max_length=64)]
    starts_at: Instant
    ends_at: Instant
    times: Annotated[int, Field(ge=series.LEAST, le=series.MOST)]
    skip: bool = False


class DeskSeriesIn(SeriesIn):
    """For a customer who calls."""

    phone: Annotated[str, Field(min_length=5, max_length=20)]
    note: Annotated[str, Field(max_length=200)] = ""


class WeekOut(BaseModel):
    """A week: its price, or why it cannot be had."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    total_fen: int | None
    code: str
    message: str

    @classmethod
    def of(cls, week: Week) -> WeekOut:
        """From the week."""
        return cls(
            starts_at=week.starts_at,
            ends_at=week.ends_at,
            total_fen=week.total_fen,
            code=week.code,
            message=week.why,
        )


class SeriesOrderOut(BaseModel):
    """One order of a series."""

    id: str
    number: str
    state: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    total_fen: int
    hold_expires_at: AwareDatetime


class SeriesOut(BaseModel):
    """What was booked, and what could not be."""

    series_id: str
    orders: list[SeriesOrderOut]
    conflicts: list[WeekOut]

    @classmethod
    def of(cls, orders: list[Order], conflicts: list[Week]) -> SeriesOut:
        """From the orders."""
        return cls(
            series_id=orders[0].series_id or "",
            orders=[
                SeriesOrderOut(
                    id=one.id,
                    number=one.number,
                    state=one.status,
                    starts_at=one.starts_at,
                    ends_at=one.ends_at,
                    total_fen=one.total_fen,
                    hold_expires_at=one.hold_expires_at,
                )
                for one in orders
            ],
            conflicts=[WeekOut.of(one) for one in conflicts],
        )


class WeeksOut(BaseModel):
    """Each week in turn."""

    items: list[WeekOut]


@router.post("/orders/series/quote")
async def look(
    body: SeriesIn, request: Request, who: Annotated[Customer, Depends(customer)]
) -> WeeksOut:
    """What each week costs or why it cannot be had; holds nothing."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        weeks = await series.look(
            session,
            who,
            body.room_id,
            body.starts_at,
            body.ends_at,
            body.times,
            cloud.clocks,
        )
    return WeeksOut(items=[WeekOut.of(one) for one in weeks])


@router.post("/orders/series", response_model=SeriesOut)
async def book(
    body: SeriesIn, request: Request, who: Annotated[Customer, Depends(customer)]
) -> Response:
    """Book the same time every week; each order is paid by itself. 409 ``series.conflicts`` lists the rest."""
    cloud = cloud_of(request)

    async def act() -> SeriesOut:
        async with cloud.db.write() as session:
            made = await series.book(
                session,
                who,
                body.room_id,
                body.starts_at,
                body.ends_at,
                body.times,
                cloud.clocks,
                skip=body.skip,
            )
            return SeriesOut.of(*made)

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/orders/series", response_model=SeriesOut)
async def book_for(
    body: DeskSeriesIn, request: Request, who: Annotated[Staff, Depends(staff_actor)]
) -> Response:
    """Book the same time every week for a customer by phone; they get links to pay. Needs order.create."""
    cloud = cloud_of(request)

    async def act() -> SeriesOut:
        async with cloud.db.write() as session:
            made = await series.book_for(
                session,
                who,
                body.phone,
                body.room_id,
                body.starts_at,
                body.ends_at,
                body.times,
                cloud.clocks,
                skip=body.skip,
                note=body.note,
            )
            return SeriesOut.of(*made)

    return await once(cloud, who.ref, request, await request.body(), act)
