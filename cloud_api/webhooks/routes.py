"""/console/webhooks: addresses that hear of events, and what was told to them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.staff.deps import staff_actor
from cloud_api.webhooks import service
from cloud_api.webhooks.models import Webhook, WebhookDelivery

router = APIRouter(prefix="/console/webhooks", tags=["console: other software"])
Who = Annotated[Staff, Depends(staff_actor)]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z_]{2,30}(\.[a-z_]{2,30})?$")]


class WebhookIn(BaseModel):
    """``kinds``: ``order`` for all of orders, ``order.paid`` for one; empty for everything."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
    url: Annotated[str, StringConstraints(strip_whitespace=True, min_length=8, max_length=500)]
    kinds: Annotated[list[Kind], Field(max_length=50)] = []
    store_ids: Annotated[list[str], Field(max_length=200)] | None = None


class WebhookOut(BaseModel):
    """An address; of its own text only the host is told again."""

    id: str
    name: str
    host: str
    kinds: list[str]
    store_ids: list[str] | None
    enabled: bool
    stopped_why: str
    failing_since: AwareDatetime | None
    kept_by: str  # who made it or started it again last; it stops when they leave
    created_at: AwareDatetime

    @classmethod
    def of(cls, row: Webhook) -> WebhookOut:
        """From the row."""
        return cls.model_validate(row, from_attributes=True)


class NewWebhookOut(WebhookOut):
    """With its secret, which is told when it is made and when it is changed, and never again."""

    secret: str


class WebhooksOut(BaseModel):
    """The merchant's addresses."""

    items: list[WebhookOut]


class DeliveryOut(BaseModel):
    """One message to an address: waiting, sent, failed; ``status`` and ``said`` are of the last answer."""

    id: str
    kind: str
    body: dict[str, Any]
    state: str
    tries: int
    replays: int
    status: int | None
    took_ms: int | None
    said: str
    created_at: AwareDatetime
    tried_at: AwareDatetime | None

    @classmethod
    def of(cls, row: WebhookDelivery) -> DeliveryOut:
        """From the row."""
        return cls.model_validate(row, from_attributes=True)


class DeliveriesOut(BaseModel):
    """Newest first."""

    items: list[DeliveryOut]
    next_cursor: str | None


@router.get("")
async def listed(request: Request, who: Who) -> WebhooksOut:
    """The merchant's addresses. Needs staff.read."""
    async with cloud_of(request).db.read() as session:
        return WebhooksOut(items=[WebhookOut.of(o) for o in await service.listed(session, who)])


@router.post("", response_model=NewWebhookOut, status_code=201)
async def make(body: WebhookIn, request: Request, who: Who) -> Response:
    """A new address; its secret is in this answer alone. Needs staff.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        made = await service.make(
            session, who, body.model_dump(),
            private_too=cloud.settings.notice_private_hosts, clocks=cloud.clocks,
        )  # fmt: skip
        told = NewWebhookOut(**WebhookOut.of(made).model_dump(), secret=made.secret)
    return JSONResponse(told.model_dump(mode="json"), 201)


@router.post("/{webhook_id}/rotate")
async def rotate(webhook_id: str, request: Request, who: Who) -> NewWebhookOut:
    """A new secret; the old one signs beside it for a day. Needs staff.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        found = await service.rotate(session, who, webhook_id, cloud.clocks)
        return NewWebhookOut(**WebhookOut.of(found).model_dump(), secret=found.secret)


@router.post("/{webhook_id}/stop")
async def stop(webhook_id: str, request: Request, who: Who) -> WebhookOut:
    """Tell this address nothing more. Needs staff.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return WebhookOut.of(await service.turn(session, who, webhook_id, False, cloud.clocks))


@router.post("/{webhook_id}/start")
async def start(webhook_id: str, request: Request, who: Who) -> WebhookOut:
    """Tell it again, from now on. Needs staff.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return WebhookOut.of(await service.turn(session, who, webhook_id, True, cloud.clocks))


@router.post("/{webhook_id}/delete", status_code=204)
async def remove(webhook_id: str, request: Request, who: Who) -> Response:
    """Forget a stopped address and its deliveries. Needs staff.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await service.remove(session, who, webhook_id, cloud.clocks)
    return Response(status_code=204)


@router.post("/{webhook_id}/test", status_code=202)
async def test(webhook_id: str, request: Request, who: Who) -> Response:
    """Send ``webhook.test``, once; the log of deliveries tells how it went. Needs staff.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await service.ping(cloud, session, who, webhook_id)
    return JSONResponse({}, 202)


@router.get("/{webhook_id}/deliveries")
async def deliveries(
    webhook_id: str,
    request: Request,
    who: Who,
    cursor: Annotated[str, Query(max_length=300)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> DeliveriesOut:
    """What was told to an address, and how it answered. Needs staff.read."""
    async with cloud_of(request).db.read() as session:
        found, following = await service.deliveries(session, who, webhook_id, cursor or None, limit)
    return DeliveriesOut(items=[DeliveryOut.of(one) for one in found], next_cursor=following)


@router.post("/deliveries/{delivery_id}/replay", response_model=DeliveryOut)
async def replay(delivery_id: str, request: Request, who: Who) -> DeliveryOut:
    """Send it again under the same id. Needs staff.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return DeliveryOut.of(await service.replay(session, who, delivery_id, cloud.clocks))
