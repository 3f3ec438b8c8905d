"""Who may refuse a time before it is priced: the rules of booking, which know what is free.

Prices know no claims; the package that does registers itself here, as jobs do with their kinds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.pricing import rules
from cloud_api.stores.models import Room, Store


class Admit(Protocol):
    """Raises for what may not be booked. ``fixed``: the length is a product's (slot, package)."""

    async def __call__(
        self,
        session: AsyncSession,
        store: Store,
        room: Room,
        starts_at: datetime,
        ends_at: datetime,
        clocks: Clocks,
        *,
        fixed: bool = False,
    ) -> None: ...


_admits: list[Admit] = []


def register(admit: Admit) -> None:
    """Let ``admit`` raise for what may not be booked; the same again changes nothing."""
    if admit not in _admits:
        _admits.append(admit)


async def check(
    session: AsyncSession,
    store: Store,
    room: Room,
    starts_at: datetime,
    ends_at: datetime,
    clocks: Clocks,
    *,
    fixed: bool = False,
) -> None:
    """Raise what the first of them raises; with none, what the store's own limits say."""
    if not _admits:
        rules.check(store, room, starts_at, ends_at, clocks.now, fixed=fixed)
    for admit in _admits:
        await admit(session, store, room, starts_at, ends_at, clocks, fixed=fixed)
