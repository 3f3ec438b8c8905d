"""Door stickers for print."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import service as access
from cloud_api.kit.actor import Staff
from cloud_api.stores import service as stores
from cloud_api.stores.models import Door, Store
from cloud_api.web.customer.readers import readers_at
from cloud_api.web.pages import Visit
from cloud_api.web.view_models import Sticker, StickersPage


async def stickers_page(
    session: AsyncSession, seen: Visit, who: Staff, found: Sequence[Store]
) -> StickersPage:
    """The stickers of these stores, entrances first."""
    made = []
    for store in found:
        doors = await stores.doors_of(session, who, store.id)
        readers = await readers_at(session, doors)
        _store, items = await access.stickers(
            session, who, store.id, seen.cloud.settings.public_url
        )
        made += [
            Sticker(
                store_name=store.name,
                door_name=item.name,
                url=item.url,
                qr_svg_url=f"/console/doors/{item.door_id}/sticker.svg",
                keypad=readers[item.door_id].pins,
            )
            for item in items
        ]
    return StickersPage(tuple(made))


def url_of(seen: Visit, door: Door) -> str:
    """What a door's QR code says."""
    return access.sticker_url(seen.cloud.settings.public_url, door.token)
