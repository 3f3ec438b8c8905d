"""Telling the layers above that something about an account's safety changed, inside the transaction.

Whoever keeps records for the merchants an account works for registers here at import.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer
from cloud_api.kit.clocks import Clocks

Handler = Callable[[AsyncSession, Customer, str, dict[str, Any], Clocks], Awaitable[None]]
_HANDLERS: Final[list[Handler]] = []


def register(handler: Handler) -> None:
    """Call ``handler`` at every change, once however often it registers."""
    if handler not in _HANDLERS:
        _HANDLERS.append(handler)


async def changed(
    session: AsyncSession, who: Customer, action: str, after: dict[str, Any], clocks: Clocks
) -> None:
    """``who`` did ``action`` (``noun.verb``) to their own account; ``after`` holds no secret."""
    for handler in _HANDLERS:
        await handler(session, who, action, after, clocks)
