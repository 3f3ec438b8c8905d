"""/doors for who stands at one, /orders/{id}/pass, and staff opening a door from afar."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.access import service
from cloud_api.access.schemas import DoorView, PassOut, StaffUnlockIn, StickersOut, UnlockOut
from cloud_api.auth.deps import actor, customer
from cloud_api.devices import service as devices
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.actor import Actor, Customer, Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.kit.throttle import hit
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import DOOR_OPEN_REMOTE

router = APIRouter(tags=["access"])
Who = Annotated[Actor, Depends(actor)]
CustomerWho = Annotated[Customer, Depends(customer)]
StaffWho = Annotated[Staff, Depends(staff_actor)]
SETTLE = timedelta(seconds=1)  # the answer to a command that runs at its last moment is on its way


@router.get("/doors/{token}")
async def get_door(request: Request, token: str, who: Who) -> DoorView:
    """What this person may do at this door, and why not. Opens nothing."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        return await service.door_view(session, who, token, cloud.clocks, cloud.settings.data_dir)


@router.post("/doors/{token}/unlock", response_model=UnlockOut)
async def unlock(request: Request, token: str, who: CustomerWho) -> Response:
    """Open the door; answers with what the store said, at the latest a second after the command's life.

    Tapping again while a command runs joins it: the lock pulses once.
    """
    cloud = cloud_of(request)
    await _throttle(cloud, who.ref)

    async def act() -> UnlockOut:
        async with cloud.db.write() as session:
            command, again = await service.unlock(
                session, who, token, cloud.clocks, cloud.waiters.instance
            )
        return await _outcome(cloud, command, again)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/orders/{order_id}/pass")
async def get_pass(request: Request, order_id: str, who: CustomerWho) -> PassOut:
    """A fresh pass for the reader at the door and the PIN; renew it every 60 s while online."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return await service.order_pass(
            session, who, order_id, cloud.clocks, cloud.settings.data_dir
        )


@router.post("/console/doors/{door_id}/unlock", response_model=UnlockOut)
async def staff_unlock(
    request: Request, door_id: str, body: StaffUnlockIn, who: StaffWho
) -> Response:
    """Open a door from afar, with a reason that is kept."""
    who.need(DOOR_OPEN_REMOTE)
    cloud = cloud_of(request)
    await _throttle(cloud, who.ref)

    async def act() -> UnlockOut:
        async with cloud.db.write() as session:
            command = await service.staff_unlock(
                session, who, door_id, body.why, cloud.clocks, cloud.waiters.instance
            )
        return await _outcome(cloud, command, False)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/console/stores/{store_id}/stickers")
async def stickers(request: Request, store_id: str, who: StaffWho) -> StickersOut:
    """What to print for the doors of a store."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store, items = await service.stickers(session, who, store_id, cloud.settings.public_url)
    return StickersOut(store=store.name, items=items)


async def _throttle(cloud: Cloud, ref: str) -> None:
    limit, window_s = service.UNLOCK_LIMIT
    async with cloud.db.write() as session:
        await hit(session, f"unlock:{ref}", limit, window_s, cloud.clocks.real)


async def _outcome(cloud: Cloud, command: DeviceCommand, again: bool) -> UnlockOut:
    found = await devices.wait_for(cloud, command.id, command.expires_at + SETTLE)
    known = {name: found[name] for name in UnlockOut.model_fields if name in found}
    return UnlockOut(**known, again=again)
