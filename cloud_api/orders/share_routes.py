"""Sharing an order with friends, and joining one."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.orders import share

router = APIRouter(tags=["orders: friends"])
Who = Annotated[Customer, Depends(customer)]


class LinkOut(BaseModel):
    """The link to send on; ``most`` friends may join by it."""

    order_id: str
    url: str
    most: int


class JoinedOut(BaseModel):
    """What one joined: the room's time; its doors open for one from now on."""

    order_id: str
    room_id: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime


@router.post("/orders/{order_id}/share", response_model=LinkOut)
async def open_link(order_id: str, request: Request, who: Who) -> Response:
    """The link with which friends may join, made or as it is."""
    cloud = cloud_of(request)

    async def act() -> LinkOut:
        async with cloud.db.write() as session:
            link = await share.open_link(session, who, order_id, cloud.clocks)
        base = cloud.settings.public_url.rstrip("/")
        return LinkOut(order_id=order_id, url=f"{base}/join/{link.token}", most=link.most)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/orders/{order_id}/share/revoke", status_code=204)
async def revoke(order_id: str, request: Request, who: Who) -> None:
    """Take the link and everybody who joined by it back."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await share.revoke(session, who, order_id, cloud.clocks)


@router.post("/orders/{order_id}/friends/{guest_id}/remove", status_code=204)
async def remove(order_id: str, guest_id: str, request: Request, who: Who) -> None:
    """Take one friend's right back."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await share.remove(session, who, order_id, guest_id, cloud.clocks)


@router.post("/shares/{token}/join", response_model=JoinedOut)
async def join(token: str, request: Request, who: Who) -> Response:
    """Join an order by its link."""
    cloud = cloud_of(request)

    async def act() -> JoinedOut:
        async with cloud.db.write() as session:
            order = await share.join(session, who, token, cloud.clocks)
            return JoinedOut(
                order_id=order.id,
                room_id=order.room_id,
                starts_at=order.starts_at,
                ends_at=order.ends_at,
            )

    return await once(cloud, who.ref, request, await request.body(), act)
