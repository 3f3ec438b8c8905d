"""Whose page an address of this site is: a guest who is sent to log in stays in the same house."""

from __future__ import annotations

from urllib.parse import urlsplit

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy.models import Campaign
from cloud_api.pricing.models import Quote
from cloud_api.stores.models import Door, Room, Store


async def merchant_of(session: AsyncSession, href: str) -> str:
    """The merchant of what a path shows; empty where it is of none, or of nobody's that we tell.

    Orders and vouchers are a person's own: their merchant is not told to who may not see them.
    """
    kind, _, rest = urlsplit(href).path.strip("/").partition("/")
    key = rest.partition("/")[0][:80]
    query = {
        "s": select(Store.merchant_id).where(col(Store.id) == key),
        "d": select(Door.merchant_id).where(col(Door.token) == key),
        "rooms": select(Room.merchant_id).where(col(Room.id) == key),
        "quotes": select(Quote.merchant_id).where(col(Quote.id) == key),
        "groupbuy": select(Campaign.merchant_id).where(col(Campaign.id) == key),
    }.get(kind)
    if not key or query is None or not key.isprintable():
        return ""
    return (await session.exec(query)).first() or ""
