"""Who must change something in the same transaction as an order changes its status.

Packages register here (in their ``jobs`` module): a guest's figures follow their orders. What gives something
back for an order that nobody can have used registers with ``refund_wait.when_unused`` instead: it may have
to wait for the store's word. A follower may be called again for the same change only by mistake of ours;
it raises nothing that it could instead write down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.orders.models import Order

Follower = Callable[[AsyncSession, Order, str, str, Clocks], Awaitable[None]]
"""Gets the order as it is now, the status it had, by whom it was changed."""

_followers: Final[dict[str, Follower]] = {}


def follow(name: str, follower: Follower) -> None:
    """Be called at each change of an order's status. The same name again replaces."""
    _followers[name] = follower


async def changed(session: AsyncSession, order: Order, was: str, by: str, clocks: Clocks) -> None:
    """Tell all of them."""
    for follower in _followers.values():
        await follower(session, order, was, by, clocks)
