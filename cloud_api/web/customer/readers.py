"""Whether a store has what a pass or a PIN is shown to: no page promises a reader that is not there."""

from __future__ import annotations

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.models import Binding

_READERS = ("input.code", "input.card")


async def reads_codes(session: AsyncSession, store_id: str) -> bool:
    """Whether a scanner, card reader or keypad hangs in the store."""
    query = (
        select(func.count())
        .select_from(Binding)
        .where(col(Binding.store_id) == store_id, col(Binding.capability).in_(_READERS))
    )
    return bool((await session.exec(query)).one())
