"""/quotes: what a stretch of room time costs."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.auth.deps import actor
from cloud_api.kit.actor import Actor, Customer, Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.kit.throttle import hit
from cloud_api.pricing import service
from cloud_api.pricing.schemas import QuoteIn, QuoteOut

router = APIRouter(tags=["quotes"])

_MOST = (240, 600)  # in ten minutes: a finger that slides over a day asks often


def caller(who: Actor) -> str:
    """Whose quotes are counted together: an account's, else an address's."""
    return who.account_id if isinstance(who, Customer | Staff) else getattr(who, "ip", "")


@router.post("/quotes", response_model=QuoteOut, response_model_by_alias=True)
async def make_quote(
    body: QuoteIn, request: Request, who: Annotated[Actor, Depends(actor)]
) -> Response:
    """A price with its lines; order it within ten minutes. No login needed."""
    cloud = cloud_of(request)

    async def act() -> QuoteOut:
        async with cloud.db.write() as session:
            await hit(session, f"quote:{caller(who)}", *_MOST, cloud.clocks.real)
            made = await service.quote(
                session, who, body.room_id, body.starts_at, body.ends_at, cloud.clocks
            )
            return QuoteOut.of(made)

    return await once(cloud, who.ref, request, await request.body(), act)
