"""/quotes: what a stretch of room time costs, with the best of one's coupons taken off."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import bindparam, false
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.deps import actor
from cloud_api.claims import booking_rules
from cloud_api.coupons.service import offers_for, unused
from cloud_api.kit.actor import Actor, Customer, Staff, stand_in
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once_within
from cloud_api.kit.statements import built
from cloud_api.kit.throttle import hit
from cloud_api.pricing.lines import Book
from cloud_api.pricing.models import Quote
from cloud_api.pricing.schemas import QuoteIn, QuoteOut
from cloud_api.pricing.service import Wish, book_from, make_quote, priced
from cloud_api.stores.models import Store

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
    book, coupons = await _asked(session, who, body.room_id, clocks)
    offers = []
    if coupons and isinstance(who, Customer) and body.coupon_ids != []:
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


async def _asked(
    session: AsyncSession, who: Actor, room_id: str, clocks: Clocks
) -> tuple[Book, bool]:
    """What prices the room, and whether there is a coupon to weigh. Raises NotFound."""
    one, theirs = stand_in(who)
    values = {"room_id": room_id, "now": clocks.now, **theirs}
    found = (await session.execute(_whole(one), values)).first()
    book = await book_from(session, found)
    assert found is not None
    *_, of_store, of_room, coupons = found
    booking_rules.know(session, book.room, of_store, of_room)
    return book, coupons


@built
def _whole(who: Actor) -> Any:
    """``priced``, with what is set about booking there and whether who asks has any coupon: one query."""
    coupons: Any = false()
    if isinstance(who, Customer):
        coupons = unused(who, col(Store.merchant_id), bindparam("now")).exists()
    return booking_rules.beside(priced(who)).add_columns(coupons)
