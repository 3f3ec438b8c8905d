"""/console/bulk: acts on many members, campaigns, tickets; the answer tells of each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.bulk import service
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import cloud_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.idempotency import once
from cloud_api.members.profiles import LONGEST_TAG
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console/bulk", tags=["console: many at once"])
Who = Annotated[Staff, Depends(staff_actor)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Ids = Annotated[list[Id], Field(min_length=1, max_length=service.MOST)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TAG)]


class MembersIn(BaseModel):
    """``tag`` with ``tag`` and ``untag``; ``level_id`` (null: none) with ``level``; ``coupon_id`` with ``coupon``."""

    model_config = ConfigDict(extra="forbid")
    ids: Ids
    act: Literal["tag", "untag", "level", "coupon"]
    tag: Tag | None = None
    level_id: Id | None = None
    coupon_id: Id | None = None


class CampaignsIn(BaseModel):
    """Pause what is sold, or sell again what was paused."""

    model_config = ConfigDict(extra="forbid")
    ids: Ids
    act: Literal["pause", "resume"]


class TicketsIn(BaseModel):
    """``staff_id`` with ``assign``: who takes them, null for nobody."""

    model_config = ConfigDict(extra="forbid")
    ids: Ids
    act: Literal["assign", "close"]
    staff_id: Id | None = None


class OutcomeOut(BaseModel):
    """done; same: it was so already; refused, with its code and sentence."""

    id: str
    state: service.State
    code: str
    message: str


class BulkOut(BaseModel):
    """Every row's outcome, one sentence about all, and the body that undoes what was changed."""

    items: list[OutcomeOut]
    message: str
    undo: dict[str, Any] | None

    @classmethod
    def of(cls, told: service.Told) -> BulkOut:
        """From the service."""
        items = [OutcomeOut.model_validate(one, from_attributes=True) for one in told.items]
        return cls(items=items, message=told.message, undo=told.undo)


@router.post("/members", response_model=BulkOut)
async def members(body: MembersIn, request: Request, who: Who) -> Response:
    """Tag members, give them a level or a coupon. Needs customer.edit, or coupon.edit."""
    cloud = cloud_of(request)

    async def act() -> BulkOut:
        if body.act in ("tag", "untag"):
            if body.tag is None:
                raise _missing("tag", _("写一个标签"))
            told = await service.tag(cloud, who, body.ids, body.tag, put=body.act == "tag")
        elif body.act == "level":
            told = await service.level(cloud, who, body.ids, body.level_id)
        else:
            if body.coupon_id is None:
                raise _missing("coupon_id", _("选一种券"))
            told = await service.coupon(cloud, who, body.ids, body.coupon_id)
        return BulkOut.of(told)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/campaigns", response_model=BulkOut)
async def campaigns(body: CampaignsIn, request: Request, who: Who) -> Response:
    """Pause or resume campaigns. Needs campaign.edit."""
    cloud = cloud_of(request)

    async def act() -> BulkOut:
        to = "paused" if body.act == "pause" else "published"
        return BulkOut.of(await service.turn_campaigns(cloud, who, body.ids, to))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/tickets", response_model=BulkOut)
async def tickets(body: TicketsIn, request: Request, who: Who) -> Response:
    """Give tickets to somebody, or settle them. Needs ticket.handle."""
    cloud = cloud_of(request)

    async def act() -> BulkOut:
        if body.act == "assign":
            return BulkOut.of(await service.assign(cloud, who, body.ids, body.staff_id))
        return BulkOut.of(await service.close_tickets(cloud, who, body.ids))

    return await once(cloud, who.ref, request, await request.body(), act)


def _missing(field: str, message: str) -> KaimenError:
    return KaimenError("bulk.missing", message, status=422, field=field)
