"""Waiting for a taken time."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer
from cloud_api.kit.calendar import Instant
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.orders import views, waitlist
from cloud_api.orders.models import WaitEntry
from cloud_api.orders.schemas import OrderOut

router = APIRouter(tags=["waiting list"])
Who = Annotated[Customer, Depends(customer)]


class WaitIn(BaseModel):
    """What to wait for; ``room_id`` null: any room of the store."""

    model_config = ConfigDict(extra="forbid")
    room_id: Annotated[str, Field(max_length=64)] | None = None
    starts_at: Instant
    ends_at: Instant


class WaitOut(BaseModel):
    """A place in line. ``offered``: take it before ``offer_expires_at``."""

    id: str
    store_id: str
    room_id: str | None
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    state: str
    offered_room_id: str | None
    offer_expires_at: AwareDatetime | None

    @classmethod
    def of(cls, entry: WaitEntry) -> "WaitOut":
        """From the row."""
        return cls(**{name: getattr(entry, name) for name in cls.model_fields})


class WaitsOut(BaseModel):
    """What one waits for."""

    items: list[WaitOut]


@router.post("/stores/{store_id}/waitlist", response_model=WaitOut)
async def join(store_id: str, body: WaitIn, request: Request, who: Who) -> Response:
    """Wait for a time; one is told when it comes free."""
    cloud = cloud_of(request)

    async def act() -> WaitOut:
        async with cloud.db.write() as session:
            return WaitOut.of(
                await waitlist.join(
                    session,
                    who,
                    store_id,
                    body.room_id,
                    body.starts_at,
                    body.ends_at,
                    cloud.clocks,
                )
            )

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/me/waitlist")
async def mine(request: Request, who: Who) -> WaitsOut:
    """What one waits for."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await waitlist.mine(session, who, cloud.clocks)
    return WaitsOut(items=[WaitOut.of(one) for one in found])


@router.post("/me/waitlist/{entry_id}/take", response_model=OrderOut)
async def take(entry_id: str, request: Request, who: Who) -> Response:
    """Order what is offered."""
    cloud = cloud_of(request)

    async def act() -> OrderOut:
        async with cloud.db.write() as session:
            order = await waitlist.take(session, who, entry_id, cloud.clocks)
            return await views.one(session, order, cloud.clocks)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/me/waitlist/{entry_id}/leave", status_code=204)
async def leave(entry_id: str, request: Request, who: Who) -> None:
    """Stop waiting."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await waitlist.leave(session, who, entry_id, cloud.clocks)
