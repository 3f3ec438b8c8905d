"""The door's sticker leads here. Looking opens nothing; one tap does, also where no script has come."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import service as access
from cloud_api.access.tap import tap
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.actor import System
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.throttle import TooOften
from cloud_api.stores import service as stores
from cloud_api.web.customer import visit as visits
from cloud_api.web.pages import Visit, go, login_href, page, visit

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Word = Annotated[str, Query(max_length=60)]


@router.get("/d/{token}")
async def door(
    seen: Seen, token: str, again: Word = "", tapped: Annotated[Word, Query(alias="tap")] = ""
) -> Response:
    """Shows what this person may do at a door. ``tap``: the command of a tap of theirs, and what it came to."""
    async with seen.cloud.db.read() as session:
        found = await stores.get_door_by_token(session, System(), token)
    came = await visits.came_of(seen, found.id, tapped)
    async with seen.cloud.db.read() as session:
        its_store = await stores.get_store(session, System(), found.store_id)
        here = seen.at_store(its_store)
        model = await visits.door_page(session, here, token, again=bool(again), came=came)
    if model is None:
        return go(login_href(seen.request))
    return page(here, "customer/door.html", model, shell=here.shell())


@router.post("/d/{token}")
async def open_door(request: Request, seen: Seen, token: str, order: Word = "") -> Response:
    """The tap of a phone whose script has not come, or never will: the same command, told by a page.

    Where the door does not open for them, the page says why. ``order``: the stay whose page was tapped; it
    has the answer.
    """
    here, who, cloud = f"/d/{token}", seen.customer, seen.cloud

    async def begin(session: AsyncSession, ref: str) -> tuple[DeviceCommand, bool]:
        return await access.unlock(session, who, token, cloud.clocks, cloud.waiters.instance, ref)

    try:
        answer = await tap(request, who.ref, begin)
    except TooOften:
        raise
    except KaimenError:
        return go(here)
    told = f"/orders/{order}/stay" if order.isalnum() else here
    return go(f"{told}?tap={json.loads(bytes(answer.body))['command_id']}")
