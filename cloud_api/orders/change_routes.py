"""Changing and extending orders: the price first, then the act; for customers and for staff."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.calendar import Instant
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.orders import change_service
from cloud_api.orders.models import OrderChange
from cloud_api.orders.offers import Offer
from cloud_api.orders.schemas import PayIn, PayOut
from cloud_api.payments.payer_codes import payer_of
from cloud_api.staff.deps import staff_actor

router = APIRouter(tags=["orders: changes"])
console = APIRouter(prefix="/console", tags=["console: orders"])
Who = Annotated[Customer, Depends(customer)]
StaffWho = Annotated[Staff, Depends(staff_actor)]
Minutes = Annotated[int, Field(ge=1, le=2880)]


class MoveIn(BaseModel):
    """Another time or room. ``expect_fen``: the difference that was shown; another is refused."""

    model_config = ConfigDict(extra="forbid")
    room_id: Annotated[str, Field(max_length=64)] | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    expect_fen: int | None = None


class ExtendIn(BaseModel):
    """More time at the end, in minutes."""

    model_config = ConfigDict(extra="forbid")
    minutes: Minutes
    expect_fen: int | None = None


class StaffMoveIn(MoveIn):
    """``free``: the house gives the difference away; that needs order.waive."""

    free: bool = False
    why: Annotated[str, Field(max_length=200)] = ""


class StaffExtendIn(ExtendIn):
    """As StaffMoveIn."""

    free: bool = False
    why: Annotated[str, Field(max_length=200)] = ""


class OfferOut(BaseModel):
    """A change before anybody agrees: ``diff_fen`` is to be paid (fee included), or goes back."""

    kind: str
    room_id: str
    room: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    fee_fen: int
    diff_fen: int
    total_fen: int

    @classmethod
    def of(cls, offer: Offer) -> "OfferOut":
        """From the offer."""
        return cls(
            kind=offer.kind,
            room_id=offer.room.id,
            room=offer.room.name,
            starts_at=offer.starts_at,
            ends_at=offer.ends_at,
            fee_fen=offer.fee_fen,
            diff_fen=offer.diff_fen,
            total_fen=offer.total_fen,
        )


class ChangeOut(BaseModel):
    """A change: held until ``hold_expires_at``, applied, or lapsed; confirmed once the store obeys it."""

    id: str
    order_id: str
    kind: str
    state: str
    room_id: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    fee_fen: int
    diff_fen: int
    hold_expires_at: AwareDatetime
    confirmed_at: AwareDatetime | None

    @classmethod
    def of(cls, one: OrderChange) -> "ChangeOut":
        """From the row."""
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


@router.post("/orders/{order_id}/change/quote")
async def quote_move(order_id: str, body: MoveIn, request: Request, who: Who) -> OfferOut:
    """What another time or room would cost; changes nothing."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        return OfferOut.of(
            await change_service.offer_move(
                session, who, order_id, body.room_id, body.starts_at, body.ends_at, cloud.clocks
            )
        )


@router.post("/orders/{order_id}/change", response_model=ChangeOut)
async def move(order_id: str, body: MoveIn, request: Request, who: Who) -> Response:
    """Change it: at once where nothing is to be paid, else held until paid."""
    cloud = cloud_of(request)

    async def act() -> ChangeOut:
        return ChangeOut.of(
            await change_service.move(
                cloud,
                who,
                order_id,
                body.room_id,
                body.starts_at,
                body.ends_at,
                expect_fen=body.expect_fen,
            )
        )

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/orders/{order_id}/extend/quote")
async def quote_extension(
    order_id: str, request: Request, who: Who, minutes: Annotated[int, Query(ge=1, le=2880)]
) -> OfferOut:
    """What more time would cost; changes nothing."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        return OfferOut.of(
            await change_service.offer_extension(session, who, order_id, minutes, cloud.clocks)
        )


@router.post("/orders/{order_id}/extend", response_model=ChangeOut)
async def extend(order_id: str, body: ExtendIn, request: Request, who: Who) -> Response:
    """Hold more time until it is paid; confirmed once the store has it."""
    cloud = cloud_of(request)

    async def act() -> ChangeOut:
        return ChangeOut.of(
            await change_service.extend(
                cloud, who, order_id, body.minutes, expect_fen=body.expect_fen
            )
        )

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/orders/{order_id}/changes/{change_id}/pay", response_model=PayOut)
async def pay_change(
    order_id: str, change_id: str, body: PayIn, request: Request, who: Who
) -> Response:
    """Pay what a change costs, or give back the payment that is open."""
    cloud = cloud_of(request)

    async def act() -> PayOut:
        return PayOut.of(
            await change_service.pay(
                cloud,
                who,
                order_id,
                change_id,
                provider=body.provider,
                channel=body.channel,
                return_path=body.return_path,
                payer=payer_of(request, who),
            )
        )

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/orders/{order_id}/changes/{change_id}/drop", response_model=ChangeOut)
async def drop_change(order_id: str, change_id: str, request: Request, who: Who) -> Response:
    """Give up what is held for a change; the order stays as it is."""
    cloud = cloud_of(request)

    async def act() -> ChangeOut:
        return ChangeOut.of(await change_service.drop(cloud, who, order_id, change_id))

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/orders/{order_id}/change/quote")
async def staff_quote_move(
    order_id: str, body: StaffMoveIn, request: Request, who: StaffWho
) -> OfferOut:
    """What another time or room would cost the guest. Needs order.create."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        return OfferOut.of(
            await change_service.offer_move(
                session, who, order_id, body.room_id, body.starts_at, body.ends_at, cloud.clocks
            )
        )


@console.post("/orders/{order_id}/change", response_model=ChangeOut)
async def staff_move(order_id: str, body: StaffMoveIn, request: Request, who: StaffWho) -> Response:
    """Move a guest's order, without a fee. Needs order.create; ``free`` needs order.waive."""
    cloud = cloud_of(request)

    async def act() -> ChangeOut:
        return ChangeOut.of(
            await change_service.move(
                cloud,
                who,
                order_id,
                body.room_id,
                body.starts_at,
                body.ends_at,
                expect_fen=body.expect_fen,
                free=body.free,
                why=body.why,
            )
        )

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/orders/{order_id}/extend", response_model=ChangeOut)
async def staff_extend(
    order_id: str, body: StaffExtendIn, request: Request, who: StaffWho
) -> Response:
    """Extend a guest's stay by the minute. Needs order.create; ``free`` needs order.waive."""
    cloud = cloud_of(request)

    async def act() -> ChangeOut:
        return ChangeOut.of(
            await change_service.extend(
                cloud,
                who,
                order_id,
                body.minutes,
                expect_fen=body.expect_fen,
                free=body.free,
                why=body.why,
            )
        )

    return await once(cloud, who.ref, request, await request.body(), act)
