"""/console/alarms: what is wrong, who sees to it, and the rules for it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from cloud_api.alarms import own_rules, service
from cloud_api.alarms.rules import Rule, rules_of
from cloud_api.alarms.schemas import (
    AlarmDetailOut,
    AlarmOut,
    AlarmsOut,
    RuleIn,
    RulesOut,
    WhyIn,
)
from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import ALARM_READ

router = APIRouter(prefix="/console", tags=["alarms"])
Who = Annotated[Staff, Depends(staff_actor)]
Shown = Literal["open", "resolved"]


@router.get("/alarms")
async def list_alarms(
    request: Request,
    who: Who,
    state: Shown = "open",
    store_id: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> AlarmsOut:
    """Alarms of one's stores: those nobody has solved, or those that are over. Needs alarm.read."""
    async with cloud_of(request).db.read() as session:
        found, following = await service.find(
            session, who, solved=state == "resolved", store_id=store_id, cursor=cursor, limit=limit
        )
    return AlarmsOut(items=[AlarmOut.of(alarm) for alarm in found], next_cursor=following)


@router.get("/alarms/{alarm_id}")
async def one_alarm(alarm_id: str, request: Request, who: Who) -> AlarmDetailOut:
    """One alarm with its history. Needs alarm.read."""
    async with cloud_of(request).db.read() as session:
        alarm = await service.get_alarm(session, who, alarm_id)
        events = await service.events_of(session, alarm.id)
    return AlarmDetailOut.with_history(alarm, events)


@router.post("/alarms/{alarm_id}/acknowledge", response_model=AlarmOut)
async def acknowledge(alarm_id: str, request: Request, who: Who) -> Response:
    """Say "I see to it": it is passed on to nobody else. Needs alarm.handle."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            alarm = await service.acknowledge(session, who, alarm_id, cloud.clocks)
            return JSONResponse(AlarmOut.of(alarm).model_dump(mode="json"))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/alarms/{alarm_id}/resolve", response_model=AlarmOut)
async def resolve(alarm_id: str, body: WhyIn, request: Request, who: Who) -> Response:
    """Close it by hand, with a word on what was done. Needs alarm.handle."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            alarm = await service.resolve(session, who, alarm_id, body.why, cloud.clocks)
            return JSONResponse(AlarmOut.of(alarm).model_dump(mode="json"))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/alarm-rules")
async def list_rules(request: Request, who: Who) -> RulesOut:
    """How each kind behaves at this merchant. Needs alarm.read."""
    who.need(ALARM_READ)
    async with cloud_of(request).db.read() as session:
        return RulesOut(items=list((await rules_of(session, who.merchant_id)).values()))


@router.put("/alarm-rules/{kind}")
async def set_rule(kind: str, body: RuleIn, request: Request, who: Who) -> Rule:
    """Say how a kind behaves from now on. Needs notice.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return await own_rules.set_rule(session, who, kind, body, cloud.clocks)
