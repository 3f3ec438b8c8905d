"""/quotes: what a stretch of room time costs, with the best of one's coupons taken off."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.deps import actor
from cloud_api.coupons.service import offers_for
from cloud_api.kit.actor import Actor, Customer, Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once_within
from cloud_api.kit.throttle import hit
from cloud_api.pricing.models import Quote
from cloud_api.pricing.schemas import QuoteIn, QuoteOut
from cloud_api.pricing.service import Wish, book_of, make_quote

router = APIRouter(tags=["quotes"])

_MOST = (240, 600)  # in ten minutes: a finger that slides over a day asks often


def caller(who: Actor) -> str:
    """Whose quotes are counted together: an account's, else an address's."""
    return who.account_id if isinstance(who, Customer | Staff) else getattr(who, "ip", "")


@router.post("/quotes", response_model=QuoteOut, response_model_by_alias=True)
async def ask_quote(
    body: QuoteIn, request: Request, who: Annotated[Actor, Depends(actor)]
) -> Response:
    """A price with its lines; order it within ten minutes. No login needed."""
    cloud = cloud_of(request)

    async def act(session: AsyncSession) -> QuoteOut:
        await hit(session, f"quote:{caller(who)}", *_MOST, cloud.clocks.real)
        return QuoteOut.of(await quoted(session, who, body, cloud.clocks))

    return await once_within(cloud, who.ref, request, await request.body(), act)


async def quoted(session: AsyncSession, who: Actor, body: QuoteIn, clocks: Clocks) -> Quote:
    """The stored quote for what ``body`` wants; a customer's coupons are weighed."""
    book = await book_of(session, who, body.room_id)
    offers = []
    if isinstance(who, Customer) and body.coupon_ids != []:
        offers = await offers_for(session, who, book.store.merchant_id, clocks.now)
    wish = Wish(
        room_id=body.room_id,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        slot_id=body.slot_id,
        day=body.day,
        package_id=body.package_id,
        payg=body.payg,
        extras=tuple((one.extra_id, one.quantity) for one in body.extras),
        coupon=None if body.coupon_ids is None else next(iter(body.coupon_ids), ""),
        offers=offers,
    )
    return await make_quote(session, who, wish, clocks, book)
