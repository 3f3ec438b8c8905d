"""Every state a delivery may change to, in one table, and the one function that changes it.

``sending`` is written before the call: whoever finds it knows that a call began and nobody wrote down
how it ended. ``unknown`` is final where a repeat would annoy or cost, else it goes on to ``retrying``.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.notifications.models import Delivery

TABLE: Final[dict[str, frozenset[str]]] = {
    "waiting": frozenset({"sending", "skipped", "failed"}),
    "sending": frozenset({"sent", "failed", "unknown", "retrying", "sending"}),
    "retrying": frozenset({"sending", "skipped", "failed"}),
    "sent": frozenset(),
    "failed": frozenset(),
    "unknown": frozenset(),
    "skipped": frozenset(),
}
FINAL: Final = ("sent", "failed", "unknown", "skipped")


async def move(session: AsyncSession, delivery: Delivery, to: str, **values: Any) -> bool:
    """Change the state; False when the table has no such change or somebody changed it first."""
    if to not in TABLE[delivery.state]:
        return False
    changed = await session.exec(
        update(Delivery)
        .where(
            col(Delivery.id) == delivery.id,
            col(Delivery.state) == delivery.state,
            col(Delivery.version) == delivery.version,
        )
        .values(state=to, version=delivery.version + 1, **values)
        .returning(col(Delivery.id))
        .execution_options(synchronize_session=False)
    )
    done = changed.first() is not None
    await session.refresh(delivery)
    return done
