"""/console/stores/{id}/prices and what stands below it: setting prices."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.members import levels
from cloud_api.members.models import MemberLevel
from cloud_api.pricing import manage
from cloud_api.pricing.manage_schemas import (
    ExtraIn,
    LevelIn,
    PackageIn,
    PricesOut,
    PriceThing,
    RuleIn,
    SlotIn,
    TariffIn,
    thing,
)
from cloud_api.pricing.models import Extra, Package, Slot, Tariff
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import PRICE_EDIT, STORE_READ
from cloud_api.stores.service import get_store

router = APIRouter(prefix="/console", tags=["prices"])
StaffWho = Annotated[Staff, Depends(staff_actor)]


@router.get("/stores/{store_id}/prices")
async def get_prices(request: Request, store_id: str, who: StaffWho) -> PricesOut:
    """All that is set."""
    who.need(STORE_READ)
    async with cloud_of(request).db.read() as session:
        found = await manage.prices_of(session, who, await get_store(session, who, store_id))
    return PricesOut(
        tariffs=[thing(one) for one in found.tariffs],
        slots=[thing(one) for one in found.slots],
        packages=[thing(one) for one in found.packages],
        extras=[thing(one) for one in found.extras],
        rule=RuleIn.model_validate(found.rule.model_dump(include=set(RuleIn.model_fields))),
    )


@router.put("/stores/{store_id}/price-rule")
async def put_rule(request: Request, store_id: str, body: RuleIn, who: StaffWho) -> RuleIn:
    """How the store counts time."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await manage.set_rule(session, who, store_id, body.model_dump(), cloud.clocks)
    return body


def _offer(path: str, model: Any, body_type: Any, noun: str) -> None:
    """POST, PUT and DELETE of one kind of thing that has a price."""

    async def make(
        request: Request,
        store_id: str,
        body: body_type,
        who: StaffWho,
    ) -> Response:
        cloud = cloud_of(request)

        async def act() -> JSONResponse:
            async with cloud.db.write() as session:
                made = await manage.save(
                    session, who, model, store_id, None, values(body), cloud.clocks
                )
            return JSONResponse(thing(made).model_dump(mode="json"), 201)

        return await once(cloud, who.ref, request, await request.body(), act)

    async def change(
        request: Request,
        store_id: str,
        thing_id: str,
        body: body_type,
        who: StaffWho,
    ) -> PriceThing:
        cloud = cloud_of(request)
        async with cloud.db.write() as session:
            made = await manage.save(
                session, who, model, store_id, thing_id, values(body), cloud.clocks
            )
        return thing(made)

    async def remove(request: Request, store_id: str, thing_id: str, who: StaffWho) -> None:
        cloud = cloud_of(request)
        async with cloud.db.write() as session:
            await manage.remove(session, who, model, store_id, thing_id, cloud.clocks)

    for function, does in ((make, "Make"), (change, "Change"), (remove, "Remove")):
        function.__doc__ = f"{does} a {noun}."
        function.__name__ = f"{function.__name__}_{noun}"
    base = f"/stores/{{store_id}}/{path}"
    router.post(base, response_model=PriceThing, status_code=201)(make)
    router.put(f"{base}/{{thing_id}}", response_model=PriceThing)(change)
    router.delete(f"{base}/{{thing_id}}", status_code=204)(remove)


_offer("tariffs", Tariff, TariffIn, "tariff")
_offer("slots", Slot, SlotIn, "slot")
_offer("packages", Package, PackageIn, "package")
_offer("extras", Extra, ExtraIn, "extra")


class LevelOut(LevelIn):
    """A member level as it stands."""

    id: str


class LevelsOut(BaseModel):
    """The merchant's levels, the lowest first."""

    items: list[LevelOut]


def values(body: BaseModel) -> dict[str, Any]:
    """What was sent, as the tables keep it."""
    return body.model_dump()


@router.get("/member-levels")
async def list_levels(request: Request, who: StaffWho) -> LevelsOut:
    """The merchant's member levels."""
    who.need(PRICE_EDIT)
    async with cloud_of(request).db.read() as session:
        found = await levels.levels(session, who)
    return LevelsOut(items=[_level(one) for one in found])


@router.post("/member-levels", response_model=LevelOut, status_code=201)
async def make_level(request: Request, body: LevelIn, who: StaffWho) -> Response:
    """A new level."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            made = await levels.save_level(
                session, who, None, body.name, body.per_cent, body.sort, cloud.clocks
            )
        return JSONResponse(_level(made).model_dump(mode="json"), 201)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.put("/member-levels/{level_id}")
async def put_level(request: Request, level_id: str, body: LevelIn, who: StaffWho) -> LevelOut:
    """What members of a level pay; holds for quotes from now on."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        made = await levels.save_level(
            session, who, level_id, body.name, body.per_cent, body.sort, cloud.clocks
        )
    return _level(made)


def _level(level: MemberLevel) -> LevelOut:
    return LevelOut(id=level.id, name=level.name, per_cent=level.per_cent, sort=level.sort)
