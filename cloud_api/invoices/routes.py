"""Invoices: of guests under /orders, of staff under /console."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.auth.deps import customer
from cloud_api.invoices import service
from cloud_api.invoices.models import InvoiceRequest
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.errors import NotFound
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.staff.deps import staff_actor

router = APIRouter(tags=["orders"])
console = APIRouter(prefix="/console", tags=["console: orders"])
Who = Annotated[Customer, Depends(customer)]
Office = Annotated[Staff, Depends(staff_actor)]
State = Literal["asked", "issued", "refused", "withdrawn"]


class InvoiceIn(BaseModel):
    """Who an invoice is made out to."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["person", "company"] = "person"
    title: Annotated[str, Field(max_length=100, description="the name of a person or a company")]
    tax_no: Annotated[str, Field(max_length=40, description="of a company")] = ""
    email: Annotated[str, Field(max_length=200, description="where it is sent, if given")] = ""


class IssueIn(BaseModel):
    """It was made out."""

    model_config = ConfigDict(extra="forbid")
    number: Annotated[str, Field(max_length=40, description="of the invoice; may be left out")] = ""


class RefuseIn(BaseModel):
    """It is not made out."""

    model_config = ConfigDict(extra="forbid")
    why: Annotated[str, Field(max_length=200, description="the guest reads it")]


class InvoiceOut(BaseModel):
    """A wish for an invoice, and what became of it."""

    id: str
    order_id: str
    kind: str
    title: str
    tax_no: str
    email: str
    amount_fen: int
    state: str
    number: str
    why: str
    created_at: AwareDatetime
    decided_at: AwareDatetime | None

    @classmethod
    def of(cls, one: InvoiceRequest) -> "InvoiceOut":
        """From the row."""
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


@router.post("/orders/{order_id}/invoice", response_model=InvoiceOut)
async def ask(order_id: str, body: InvoiceIn, request: Request, who: Who) -> Response:
    """Ask for the order's invoice, or say anew who it is for while it is not made out."""
    cloud = cloud_of(request)

    async def act() -> InvoiceOut:
        async with cloud.db.write() as session:
            made = await service.ask(
                session, who, order_id, **body.model_dump(), clocks=cloud.clocks
            )
            return InvoiceOut.of(made)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/orders/{order_id}/invoice")
async def see(order_id: str, request: Request, who: Who) -> InvoiceOut:
    """What was asked for, and what became of it."""
    async with cloud_of(request).db.read() as session:
        found = await service.of_order(session, who, order_id)
    if found is None:
        raise NotFound("invoice", "没有申请过发票")
    return InvoiceOut.of(found)


@router.post("/orders/{order_id}/invoice/withdraw", response_model=InvoiceOut)
async def withdraw(order_id: str, request: Request, who: Who) -> Response:
    """Not wanted any more; possible until it is made out."""
    cloud = cloud_of(request)

    async def act() -> InvoiceOut:
        async with cloud.db.write() as session:
            return InvoiceOut.of(await service.withdraw(session, who, order_id))

    return await once(cloud, who.ref, request, await request.body(), act)


@console.get("/invoices")
async def listed(
    request: Request, who: Office, state: Annotated[State, Query()] = "asked"
) -> list[InvoiceOut]:
    """Those in a state, 200 at most: what waits with the oldest first. Needs invoice.issue."""
    async with cloud_of(request).db.read() as session:
        return [InvoiceOut.of(one) for one in await service.listed(session, who, state)]


@console.post("/invoices/{request_id}/issue", response_model=InvoiceOut)
async def issue(request_id: str, body: IssueIn, request: Request, who: Office) -> Response:
    """It is made out. Needs invoice.issue."""
    cloud = cloud_of(request)

    async def act() -> InvoiceOut:
        async with cloud.db.write() as session:
            done = await service.issue(session, who, request_id, body.number, cloud.clocks)
            return InvoiceOut.of(done)

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/invoices/{request_id}/refuse", response_model=InvoiceOut)
async def refuse(request_id: str, body: RefuseIn, request: Request, who: Office) -> Response:
    """It is not made out, for a reason. Needs invoice.issue."""
    cloud = cloud_of(request)

    async def act() -> InvoiceOut:
        async with cloud.db.write() as session:
            done = await service.refuse(session, who, request_id, body.why, cloud.clocks)
            return InvoiceOut.of(done)

    return await once(cloud, who.ref, request, await request.body(), act)
