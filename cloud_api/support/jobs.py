"""What reviews and tickets do when two customers of a merchant are one person."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit import merging
from cloud_api.support.models import Review, Ticket


async def _merge(session: AsyncSession, merge: merging.Merge) -> None:
    await merge.rows(session, Ticket, "tickets")
    await merge.rows(session, Review, "reviews")


merging.register("support", _merge)
