"""What guests say of a store: the latest on its page, all of them on one of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.media.models import Media
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room, Store
from cloud_api.support import photos, reviews
from cloud_api.support.models import Review
from cloud_api.web.customer.support import proofs
from cloud_api.web.pages import Visit, page, visit
from cloud_api.web.view_models.booking import StoreReview, StoreReviewsPage

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
LATEST = 3


@router.get("/s/{store_id}/reviews")
async def store_reviews(
    seen: Seen,
    store_id: str,
    before: Annotated[str, Query(max_length=64)] = "",
    room: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """All reviews of a store, or of one of its rooms, a page at a time."""
    async with seen.cloud.db.read() as session:
        store = await stores.get_store(session, seen.who, store_id)
        here = seen.at_store(store)
        rooms = await stores.rooms_of(session, seen.who, store.id)
        one = next((each for each in rooms if each.id == room), None)
        own = None if one is None else one.id
        found, following = await reviews.shown(session, store.id, before or None, own)
        stars, total = await reviews.rating(session, store.id, own)
        known = await photos.of(session, (id_ for one in found for id_ in one.photos))
    href = f"/s/{store.id}" if one is None else f"/rooms/{one.id}"
    kept = {} if one is None else {"room": one.id}
    more = f"/s/{store.id}/reviews?{urlencode({**kept, 'before': following})}" if following else ""
    name = store.name if one is None else f"{store.name} · {one.name}"
    model = StoreReviewsPage(name, href, stars, total, _rows(here, found, rooms, known), more)
    return page(here, "customer/store_reviews.html", model, shell=here.shell())


async def latest(
    session: AsyncSession,
    here: Visit,
    store: Store,
    rooms: Sequence[Room],
    rating: tuple[float, int],
    room_id: str | None = None,
) -> dict[str, Any]:
    """The part of a store's or room's page that tells of its reviews; none asked for where there are none."""
    stars, total = rating
    if not total:
        return {}
    found, following = await reviews.shown(session, store.id, room_id=room_id)
    more = len(found) > LATEST or following
    own = f"?{urlencode({'room': room_id})}" if room_id else ""
    latest_ones = found[:LATEST]
    known = await photos.of(session, (id_ for one in latest_ones for id_ in one.photos))
    return {
        "stars": stars,
        "reviews_total": total,
        "reviews": _rows(here, latest_ones, rooms, known),
        "reviews_href": f"/s/{store.id}/reviews{own}" if more else "",
    }


def _rows(
    here: Visit, found: Sequence[Review], rooms: Sequence[Room], known: Mapping[str, Media]
) -> tuple[StoreReview, ...]:
    names = {room.id: room.name for room in rooms}
    return tuple(
        StoreReview(
            one.stars,
            one.text,
            names.get(one.room_id, ""),
            here.local(one.created_at),
            one.reply,
            proofs(one.photos, known),
        )
        for one in found
    )
