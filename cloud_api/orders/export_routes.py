"""/console/order-exports: lists of orders to take along."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.kit.actor import Staff
from cloud_api.kit.calendar import Day
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.orders import export, search
from cloud_api.orders.export_sheet import FORMS
from cloud_api.orders.models import OrderExport
from cloud_api.staff.deps import staff_actor

console = APIRouter(prefix="/console/order-exports", tags=["console: orders"])
Who = Annotated[Staff, Depends(staff_actor)]


class OrderExportIn(BaseModel):
    """Which orders, as the list finds them; ``day`` to ``until`` are days of use; ``ids`` these alone."""

    model_config = ConfigDict(extra="forbid")
    form: Literal["csv", "xlsx"] = "xlsx"
    state: Annotated[str, Field(max_length=20)] = ""
    store_id: Annotated[str, Field(max_length=64)] = ""
    day: Day | None = None
    until: Day | None = None
    q: Annotated[str, Field(max_length=60)] = ""
    member: Annotated[str, Field(max_length=64, description="an account's id")] = ""
    ids: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=200)] = []


class OrderExportOut(BaseModel):
    """``state``: waiting, running (``rows`` of ``total`` are written), done (``url`` gives it), failed, expired."""

    id: str
    form: str
    state: str
    rows: int
    total: int
    size_bytes: int
    created_at: AwareDatetime
    expires_at: AwareDatetime
    url: str | None

    @classmethod
    def of(cls, row: OrderExport, state: str) -> OrderExportOut:
        """From the row."""
        return cls(
            id=row.id,
            form=row.form,
            state=state,
            rows=row.rows,
            total=row.total,
            size_bytes=row.size_bytes,
            created_at=row.created_at,
            expires_at=row.expires_at,
            url=f"/api/v1/console/order-exports/{row.id}/file" if state == "done" else None,
        )


class OrderExportsOut(BaseModel):
    """One's lists, newest first."""

    items: list[OrderExportOut]


@console.post("", response_model=OrderExportOut, status_code=202)
async def ask(body: OrderExportIn, request: Request, who: Who) -> Response:
    """Ask for a list of orders; a job writes it. Needs order.export and order.read."""
    cloud = cloud_of(request)
    wanted = search.Wanted(
        group=body.state,
        store_id=body.store_id,
        day=body.day or body.until,
        until=body.until,
        text=body.q.strip(),
        member=body.member,
        ids=tuple(body.ids),
    )

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            made = await export.ask(session, who, body.form, wanted, cloud.clocks)
            told = OrderExportOut.of(made, export.state_of(made, cloud.clocks.real))
        return JSONResponse(told.model_dump(mode="json"), 202)

    return await once(cloud, who.ref, request, await request.body(), act)


@console.get("")
async def mine(request: Request, who: Who) -> OrderExportsOut:
    """One's own lists. Needs order.export."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        rows = await export.mine(session, who)
    now = cloud.clocks.real
    return OrderExportsOut(items=[OrderExportOut.of(o, export.state_of(o, now)) for o in rows])


@console.get("/{export_id}")
async def one(export_id: str, request: Request, who: Who) -> OrderExportOut:
    """How far a list is. Needs order.export."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        row = await export.one(session, who, export_id)
    return OrderExportOut.of(row, export.state_of(row, cloud.clocks.real))


@console.get("/{export_id}/file")
async def file(export_id: str, request: Request, who: Who) -> Response:
    """The list itself. Needs order.export."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        row, content = await export.fetch(session, who, export_id, cloud.clocks)
    what = "statistics" if "report" in row.wanted else "orders"
    name = f"{what}-{row.created_at:%Y%m%d-%H%M}.{row.form}"
    return Response(
        content,
        media_type=FORMS[row.form],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )
