"""/rooms/{id}/menu: what a room costs on a day, before anybody asks for a quote."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel

from cloud_api.auth.deps import actor
from cloud_api.kit.actor import Actor
from cloud_api.kit.calendar import Day
from cloud_api.kit.http import cloud_of
from cloud_api.pricing.menu import Menu, menu_of

router = APIRouter(tags=["prices"])


class SegmentOut(BaseModel):
    """A stretch of the day at one hourly price."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    name: str
    hourly_fen: int


class SlotOut(BaseModel):
    """A slot as it is sold on that day."""

    slot_id: str
    name: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    price_fen: int


class PackageOut(BaseModel):
    """A package; it begins within ``from_minute``..``until_minute`` of the local day."""

    package_id: str
    name: str
    about: str
    minutes: int
    from_minute: int
    until_minute: int
    price_fen: int


class ExtraOut(BaseModel):
    """Something beside the room."""

    extra_id: str
    name: str
    unit: str
    price_fen: int
    most: int


class MenuOut(BaseModel):
    """A room's prices on a local day. ``payg``: one may pay for what one uses."""

    room_id: str
    day: str
    day_kind: str
    day_name: str
    segments: list[SegmentOut]
    slots: list[SlotOut]
    packages: list[PackageOut]
    extras: list[ExtraOut]
    unit_minutes: int
    least_minutes: int
    payg: bool
    payg_unit_minutes: int
    payg_prepay_minutes: int

    @classmethod
    def of(cls, menu: Menu) -> MenuOut:
        """From what was looked up."""
        rule = menu.book.rule
        return cls(
            room_id=menu.book.room.id,
            day=menu.day.date.isoformat(),
            day_kind=menu.day.kind,
            day_name=menu.day.name,
            segments=[
                SegmentOut(
                    starts_at=one.starts_at,
                    ends_at=one.ends_at,
                    name=one.name,
                    hourly_fen=one.hourly_fen,
                )
                for one in menu.segments
            ],
            slots=[
                SlotOut(
                    slot_id=one.slot.id,
                    name=one.slot.name,
                    starts_at=one.starts_at,
                    ends_at=one.ends_at,
                    price_fen=one.slot.price_fen,
                )
                for one in menu.slots
            ],
            packages=[
                PackageOut(
                    package_id=one.id,
                    name=one.name,
                    about=one.about,
                    minutes=one.minutes,
                    from_minute=one.from_minute,
                    until_minute=one.until_minute,
                    price_fen=one.price_fen,
                )
                for one in menu.packages
            ],
            extras=[
                ExtraOut(
                    extra_id=one.id,
                    name=one.name,
                    unit=one.unit,
                    price_fen=one.price_fen,
                    most=one.most,
                )
                for one in menu.extras
            ],
            unit_minutes=rule.unit_minutes,
            least_minutes=rule.least_minutes,
            payg=bool(rule.payg),
            payg_unit_minutes=rule.payg_unit_minutes,
            payg_prepay_minutes=rule.payg_prepay_minutes,
        )


@router.get("/rooms/{room_id}/menu")
async def room_menu(
    room_id: str, request: Request, who: Annotated[Actor, Depends(actor)], day: Day | None = None
) -> MenuOut:
    """What the room costs on a local day (today if not given): hours, slots, packages, extras."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        return MenuOut.of(await menu_of(session, who, room_id, day, cloud.clocks.now))
