"""The owner's photos on pages: covers for cards, galleries for a store's and a room's own page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.media.models import Media
from cloud_api.media.schemas import MediaOut, picture
from cloud_api.media.service import LOGO, of_stores
from cloud_api.stores.models import Store
from cloud_api.web.view_models.booking import Photo


async def of(session: AsyncSession, stores: Sequence[Store]) -> dict[str, list[Media]]:
    """By room id, and by store id for what is of the store itself; one query."""
    return await of_stores(session, [store.id for store in stores])


async def covers(session: AsyncSession, stores: Sequence[Store]) -> dict[str, str]:
    """By room or store id the address of its first photo; whoever has none is left out."""
    return covers_of(await of(session, stores))


def covers_of(found: Mapping[str, Sequence[Media]]) -> dict[str, str]:
    """The first picture of each that is no logo."""
    covers = {}
    for place, shots in found.items():
        shown = next((picture(one) for one in shots if one.kind != LOGO and one.sizes), "")
        if shown:
            covers[place] = shown
    return covers


def gallery(shots: Sequence[Media]) -> tuple[Photo, ...]:
    """Photos and films in their order, without the logo."""
    told = [MediaOut.of(one) for one in shots if one.kind != LOGO]
    return tuple(Photo(one.src, one.srcset, one.alt, one.video) for one in told)
