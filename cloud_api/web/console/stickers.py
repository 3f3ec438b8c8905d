"""Door stickers for print."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import service as access
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.stores import service as stores
from cloud_api.stores.models import Door, Store
from cloud_api.web import logos, pictures
from cloud_api.web.console.sticker_sheet import GRIDS, Label, sheets
from cloud_api.web.customer.readers import readers_at
from cloud_api.web.pages import Visit
from cloud_api.web.view_models import Sticker, StickerSheet, StickersPage


async def stickers_page(
    session: AsyncSession, seen: Visit, who: Staff, found: Sequence[Store]
) -> StickersPage:
    """The stickers of these stores, entrances first."""
    made: list[Sticker] = []
    to_print = []
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
                logo=seen.looks.of(store.merchant_id).icon(192),
            )
            for item in items
        ]
        doors_to_choose = tuple((item.door_id, item.name) for item in items)
        to_print.append(
            StickerSheet(store.name, f"/console/stores/{store.id}/stickers.pdf", doors_to_choose)
        )
    return StickersPage(tuple(made), tuple(to_print))


async def sheet(
    session: AsyncSession, seen: Visit, who: Staff, store: Store, wanted: Sequence[str], grid: str
) -> bytes:
    """The PDF of a store's stickers; ``wanted`` door ids, none for all.

    Raises NotFound for a door of another store, 422 ``stickers.grid``.
    """
    if grid not in GRIDS:
        raise KaimenError("stickers.grid", "没有这种排版", status=422, field="grid")
    doors = await stores.doors_of(session, who, store.id)
    readers = await readers_at(session, doors)
    _store, items = await access.stickers(session, who, store.id, seen.cloud.settings.public_url)
    if set(wanted) - {item.door_id for item in items}:
        raise NotFound("door", "没有这扇门，或不归你管")
    shots = (await pictures.of(session, [store])).get(store.id, [])
    look = seen.looks.of(store.merchant_id)
    logo = await asyncio.to_thread(logos.square, seen.cloud.settings, look, shots)
    labels = [
        Label(
            store.name,
            item.name,
            _("、").join(item.rooms),
            item.url,
            readers[item.door_id].pins,
            logo,
        )
        for item in items
        if not wanted or item.door_id in wanted
    ]
    day = seen.at(store.tz).now.date()
    return await asyncio.to_thread(sheets, labels, grid, day)


def url_of(seen: Visit, door: Door) -> str:
    """What a door's QR code says."""
    return access.sticker_url(seen.cloud.settings.public_url, door.token)
