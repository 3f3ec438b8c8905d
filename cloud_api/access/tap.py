"""A tap on a door: counted, its key claimed and its command written as one, answered with what the store said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import service
from cloud_api.access.schemas import UnlockOut
from cloud_api.devices import service as devices
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import Begun, Claim, once_begun
from cloud_api.kit.throttle import Limit, TooOften, hit


async def tap(
    request: Request,
    ref: str,
    write: Callable[[AsyncSession, str], Awaitable[tuple[DeviceCommand, bool]]],
    *,
    at_once: Callable[[Claim], Awaitable[DeviceCommand | None]] | None = None,
) -> Response:
    """Count the tap, claim its key and write its command in one transaction; answer with the outcome.

    ``at_once``: does all of it in one statement, or nothing; see access/at_once.py.
    """
    cloud = cloud_of(request)
    most = Limit(f"unlock:{ref}", *service.UNLOCK_LIMIT)
    fresh: DeviceCommand | None = None

    async def begin(session: AsyncSession, command_id: str) -> Begun:
        nonlocal fresh
        command, again = await write(session, command_id)
        fresh = None if again else command
        return Begun(command.id, again)

    async def quick(claim: Claim) -> bool:
        nonlocal fresh
        fresh = None if at_once is None else await at_once(claim)
        return fresh is not None

    async def finish(begun: Begun, now: bool) -> UnlockOut:
        made = fresh if now else None
        until = None if made is None else made.expires_at + devices.ON_ITS_WAY
        found = await devices.wait_for(cloud, begun.ref, until, fresh=made)
        known = {name: found[name] for name in UnlockOut.model_fields if name in found}
        return UnlockOut(**known, again=begun.again)

    try:
        body = await request.body()
        return await once_begun(cloud, ref, request, body, begin, finish, most=most, at_once=quick)
    except TooOften:
        raise
    except KaimenError:  # nothing was written, but a tap that is refused counts as well
        async with cloud.db.write() as session:
            await hit(session, most.key, most.limit, most.window_s, cloud.clocks.real)
        raise
