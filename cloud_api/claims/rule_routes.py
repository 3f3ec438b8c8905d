"""The rules of booking: what customers are told, and what staff set."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cloud_api.auth.deps import actor
from cloud_api.claims import rule_service
from cloud_api.claims.booking_rules import Rules, rules_of
from cloud_api.kit.actor import Actor, Staff
from cloud_api.kit.http import cloud_of
from cloud_api.staff.deps import staff_actor
from cloud_api.stores.service import get_room, get_store

router = APIRouter(tags=["booking rules"])
Who = Annotated[Staff, Depends(staff_actor)]
_LISTS = ("cancel_tiers", "blocked")


class RulesIn(BaseModel):
    """Rules by name (``RulesOut.rules`` lists them); null takes one back, what is left out stays.

    A list may come as an object with numbered parts, as forms send it.
    """

    model_config = ConfigDict(extra="forbid")
    rules: Annotated[dict[str, Any], Field(max_length=40)]

    @field_validator("rules")
    @classmethod
    def _lists(cls, told: dict[str, Any]) -> dict[str, Any]:
        for name in _LISTS:
            value = told.get(name)
            if isinstance(value, dict):
                parts = [part for _, part in sorted(value.items())]
                told[name] = [part for part in parts if isinstance(part, dict) and len(part) > 1]
        return told


class RulesOut(BaseModel):
    """The rules in force; ``own`` are those that are set here."""

    store_id: str
    room_id: str | None
    rules: Rules
    own: list[str]


@router.get("/rooms/{room_id}/booking-rules")
async def room_rules(
    request: Request, room_id: str, who: Annotated[Actor, Depends(actor)]
) -> Rules:
    """The rules that hold for booking a room."""
    async with cloud_of(request).db.read() as session:
        room = await get_room(session, who, room_id)
        store = await get_store(session, who, room.store_id)
        return await rules_of(session, store, room.id)


@router.get("/console/stores/{store_id}/booking-rules")
async def read_rules(
    request: Request, store_id: str, who: Who, room_id: str | None = None
) -> RulesOut:
    """The rules of a store or of one of its rooms. Needs store.read."""
    async with cloud_of(request).db.read() as session:
        rules, own = await rule_service.read(session, who, store_id, room_id)
    return RulesOut(store_id=store_id, room_id=room_id, rules=rules, own=sorted(own))


@router.put("/console/stores/{store_id}/booking-rules")
async def set_store_rules(request: Request, store_id: str, body: RulesIn, who: Who) -> RulesOut:
    """Set rules of a store. Needs store.edit."""
    return await _set(request, who, store_id, None, body)


@router.put("/console/stores/{store_id}/rooms/{room_id}/booking-rules")
async def set_room_rules(
    request: Request, store_id: str, room_id: str, body: RulesIn, who: Who
) -> RulesOut:
    """Set what a room has otherwise than its store. Needs store.edit."""
    return await _set(request, who, store_id, room_id, body)


async def _set(
    request: Request, who: Staff, store_id: str, room_id: str | None, body: RulesIn
) -> RulesOut:
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        rules = await rule_service.set_rules(
            session, who, store_id, room_id, body.rules, cloud.clocks
        )
        _, own = await rule_service.read(session, who, store_id, room_id)
    return RulesOut(store_id=store_id, room_id=room_id, rules=rules, own=sorted(own))
