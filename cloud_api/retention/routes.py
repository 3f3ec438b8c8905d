"""/console/retention: how long what is kept, and what would go."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.retention import service
from cloud_api.retention.kinds import MOST_DAYS
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console/retention", tags=["console: settings"])
Who = Annotated[Staff, Depends(staff_actor)]
Days = Annotated[int, Field(ge=0, le=MOST_DAYS)]


class RetentionIn(BaseModel):
    """Days by kind, 0 for ever; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")
    events: Days | None = None
    photos: Days | None = None
    notices: Days | None = None
    webhooks: Days | None = None
    exports: Days | None = None
    audit: Days | None = None
    guests: Days | None = None

    def chosen(self) -> dict[str, int]:
        """Those that are named."""
        return {key: days for key, days in self if days is not None}


class KeptOut(BaseModel):
    """A kind: ``old`` rows would go tonight; ``cleared`` went in the night ``cleared_at`` ended."""

    kind: str
    days: int
    least: int
    old: int
    cleared: int | None
    cleared_at: AwareDatetime | None

    @classmethod
    def of(cls, one: service.Kept) -> KeptOut:
        """From the service."""
        return cls(
            kind=one.kind.key,
            days=one.days,
            least=one.kind.least,
            old=one.old,
            cleared=one.last.rows if one.last else None,
            cleared_at=one.last.done_at if one.last else None,
        )


class RetentionOut(BaseModel):
    """Every kind. Orders and money are none: they are never cleared."""

    items: list[KeptOut]


@router.get("")
async def read(request: Request, who: Who) -> RetentionOut:
    """What is kept for how long, and what would go tonight. Needs customer.delete."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await service.look(session, who, cloud.clocks)
    return RetentionOut(items=[KeptOut.of(one) for one in found])


@router.post("/preview")
async def preview(body: RetentionIn, request: Request, who: Who) -> RetentionOut:
    """What would go tonight if this were chosen; changes nothing. Needs customer.delete."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await service.look(session, who, cloud.clocks, body.chosen())
    return RetentionOut(items=[KeptOut.of(one) for one in found])


@router.put("")
async def choose(body: RetentionIn, request: Request, who: Who) -> RetentionOut:
    """Keep so long from the next night on. Needs customer.delete and the second factor."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await service.choose(session, who, body.chosen(), cloud.clocks)
        found = await service.look(session, who, cloud.clocks)
    return RetentionOut(items=[KeptOut.of(one) for one in found])
