"""/console/reports: a business in numbers, and the rows behind each."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from cloud_api.kit.actor import Staff
from cloud_api.kit.calendar import Day
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.orders.export import state_of
from cloud_api.orders.export_routes import OrderExportOut
from cloud_api.reports import advice, export, guests, service
from cloud_api.reports.periods import Kind
from cloud_api.reports.schemas import RowsOut, SummaryOut
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console/reports", tags=["console: statistics"])
Who = Annotated[Staff, Depends(staff_actor)]
Id = Annotated[str, Query(max_length=64)]


@router.get("/summary")
async def summary(
    request: Request,
    who: Who,
    kind: Kind = "week",
    day: Day | None = None,
    first: Day | None = None,
    last: Day | None = None,
    store_id: Id = "",
    room_id: Id = "",
    channel: Annotated[str | None, Query(max_length=20)] = None,
) -> SummaryOut:
    """A period against the one before: figures, days, stores, rooms, channels, hours, guests. Needs report.read.

    ``kind`` day, week (from Monday) or month is the one around ``day`` (today); ``custom`` runs from
    ``first`` to ``last``. ``channel`` empty is what belongs to no order.
    """
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        period, wanted, stores = await service.asked(
            session, who, cloud.clocks, kind=kind, day=day, first=first, last=last,
            store_id=store_id, room_id=room_id, channel=channel,
        )  # fmt: skip
        return await service.summary(session, who, period, wanted, stores, cloud.clocks)


@router.get("/figures/{figure}/rows")
async def rows(
    figure: str,
    request: Request,
    who: Who,
    first: Annotated[Day, Query()],
    last: Annotated[Day, Query()],
    store_id: Id = "",
    room_id: Id = "",
    channel: Annotated[str | None, Query(max_length=20)] = None,
    after: Annotated[str, Query(max_length=80)] = "",
) -> RowsOut:
    """The orders, entries of the books, vouchers or alarms that a figure is made of. Needs report.read.

    Whole days of stores from the newest on; ``next`` of a page is ``after`` of the one that follows.
    """
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        _, wanted, stores = await service.asked(
            session, who, cloud.clocks, kind="custom", first=first, last=last,
            store_id=store_id, room_id=room_id, channel=channel,
        )  # fmt: skip
        return await service.rows(session, who, figure, wanted, stores, after=after)


@router.get("/guests/{segment}")
async def segment_guests(
    segment: str, request: Request, who: Who, store_id: Id = ""
) -> guests.SegmentGuestsOut:
    """Who is in a segment of guests today, masked. Needs report.read."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        return await guests.of_segment(
            session, who, segment, cloud.clocks, store_id=store_id or None
        )


class ExportIn(BaseModel):
    """``detail``: a row per store and day, per room and channel of it, or per thing counted."""

    model_config = ConfigDict(extra="forbid")
    form: Literal["csv", "xlsx"] = "xlsx"
    detail: export.Detail = "day"
    first: Day
    last: Day
    store_id: Annotated[str, Field(max_length=64)] = ""
    room_id: Annotated[str, Field(max_length=64)] = ""
    channel: Annotated[str | None, Field(max_length=20)] = None


@router.post("/exports", response_model=OrderExportOut, status_code=202)
async def ask_for_export(body: ExportIn, request: Request, who: Who) -> Response:
    """Ask for a period as a file; it lies among one's lists (``/console/order-exports``) when it is written.

    Needs report.read and order.export.
    """
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            _, wanted, stores = await service.asked(
                session, who, cloud.clocks, kind="custom", first=body.first, last=body.last,
                store_id=body.store_id, room_id=body.room_id, channel=body.channel,
            )  # fmt: skip
            made = await export.ask(
                session, who, body.form, body.detail, wanted, stores, cloud.clocks
            )
            told = OrderExportOut.of(made, state_of(made, cloud.clocks.real))
        return JSONResponse(told.model_dump(mode="json"), 202)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/advice")
async def get_advice(request: Request, who: Who, store_id: Id = "") -> advice.AdvicesOut:
    """What is worth trying, with reasons, thresholds and drafts. Needs report.read."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        _, _, stores = await service.asked(session, who, cloud.clocks, store_id=store_id)
        return await advice.advice(session, who, stores, cloud.clocks)
