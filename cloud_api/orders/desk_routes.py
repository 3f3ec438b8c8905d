"""What staff do at the desk: book for who calls, confirm, block and unblock customers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.calendar import Instant
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.orders import confirm, leaving, limits, staff_booking, views
from cloud_api.orders.models import BlockedCustomer
from cloud_api.orders.schemas import ConsoleOrderOut
from cloud_api.orders.service import get_order
from cloud_api.staff.deps import staff_actor

router = APIRouter(tags=["orders"])
console = APIRouter(prefix="/console", tags=["console: orders"])
Who = Annotated[Staff, Depends(staff_actor)]


class BookIn(BaseModel):
    """A booking for a customer who calls."""

    model_config = ConfigDict(extra="forbid")
    phone: Annotated[str, Field(min_length=5, max_length=20)]
    room_id: Annotated[str, Field(min_length=1, max_length=64)]
    starts_at: Instant
    ends_at: Instant
    note: Annotated[str, Field(max_length=200)] = ""


class BlockIn(BaseModel):
    """Why, and until when (null: until it is lifted)."""

    model_config = ConfigDict(extra="forbid")
    why: Annotated[str, Field(max_length=200)] = ""
    until: Instant | None = None


class BlockOut(BaseModel):
    """Somebody no bookings are taken from."""

    id: str
    account_id: str
    why: str
    until: AwareDatetime | None
    created_at: AwareDatetime

    @classmethod
    def of(cls, one: BlockedCustomer) -> "BlockOut":
        """From the row."""
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


class BlocksOut(BaseModel):
    """Who is blocked."""

    items: list[BlockOut]


class LeaveOut(BaseModel):
    """What goes back to who leaves now, in fen."""

    back_fen: int


@router.get("/orders/{order_id}/finish/quote")
async def finish_quote(
    order_id: str, request: Request, who: Annotated[Customer, Depends(customer)]
) -> LeaveOut:
    """What goes back if the stay ends now; changes nothing."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        order = await get_order(session, who, order_id)
        return LeaveOut(back_fen=await leaving.early_back(session, order, cloud.clocks.now))


@console.post("/orders", response_model=ConsoleOrderOut)
async def book(body: BookIn, request: Request, who: Who) -> Response:
    """Book for a customer by phone; they get a link to pay. Needs order.create."""
    cloud = cloud_of(request)

    async def act() -> ConsoleOrderOut:
        async with cloud.db.write() as session:
            order = await staff_booking.book(
                session,
                who,
                phone=body.phone,
                room_id=body.room_id,
                starts_at=body.starts_at,
                ends_at=body.ends_at,
                note=body.note,
                clocks=cloud.clocks,
            )
            return (await views.for_staff(session, [order], cloud.clocks))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/orders/{order_id}/confirm", response_model=ConsoleOrderOut)
async def confirm_order(order_id: str, request: Request, who: Who) -> Response:
    """Confirm a paid order. Needs order.create."""
    cloud = cloud_of(request)

    async def act() -> ConsoleOrderOut:
        async with cloud.db.write() as session:
            order = await confirm.confirm(session, who, order_id, cloud.clocks)
            return (await views.for_staff(session, [order], cloud.clocks))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/orders/{order_id}/block-customer", response_model=BlockOut)
async def block_customer(order_id: str, body: BlockIn, request: Request, who: Who) -> Response:
    """Take no more bookings from who made this order. Needs order.cancel."""
    cloud = cloud_of(request)

    async def act() -> BlockOut:
        async with cloud.db.write() as session:
            return BlockOut.of(
                await limits.block(session, who, order_id, body.why, body.until, cloud.clocks)
            )

    return await once(cloud, who.ref, request, await request.body(), act)


@console.get("/blocked-customers")
async def blocked_customers(request: Request, who: Who) -> BlocksOut:
    """Who is blocked now. Needs order.cancel."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await limits.blocked(session, who, cloud.clocks.now)
        return BlocksOut(items=[BlockOut.of(one) for one in found])


@console.post("/blocked-customers/{blocked_id}/lift", status_code=204)
async def lift_block(blocked_id: str, request: Request, who: Who) -> None:
    """Take a block back. Needs order.cancel."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await limits.lift(session, who, blocked_id, cloud.clocks)
