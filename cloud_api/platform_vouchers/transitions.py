"""Every state of a platform voucher's use, in one table, and the one function that changes it (I3)."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit import feed
from cloud_api.kit.actor import Actor, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import NotFound
from cloud_api.platform_vouchers.models import PlatformUse, PlatformUseEvent

TABLE: Final[dict[str, frozenset[str]]] = {
    "asked": frozenset({"verified", "refused", "lapsed"}),  # waits for a person
    "verifying": frozenset({"verified", "refused", "unknown"}),
    "unknown": frozenset({"verified", "refused"}),
    "verified": frozenset({"confirmed", "cancelling"}),  # the order could not be made
    "confirmed": frozenset({"cancelling"}),  # the order was cancelled
    "cancelling": frozenset({"cancelled", "stuck"}),
    "stuck": frozenset({"cancelled"}),  # by hand, at the platform
    "cancelled": frozenset(),
    "refused": frozenset(),
    "lapsed": frozenset(),
}
OVER: Final = frozenset({"refused", "lapsed", "cancelled"})
"""The code was not touched, or is whole again: it may be used another time."""
OPEN: Final = frozenset({"verifying", "unknown"})
"""Nobody knows yet whether the platform has verified it."""
WAITING: Final = frozenset({"asked", "verifying", "unknown", "verified"})
"""A guest waits for an answer."""
COUNTED: Final = frozenset({"confirmed", "cancelling", "stuck"})
"""The platform owes the house the money."""


async def lock_use(session: AsyncSession, actor: Actor, use_id: str) -> PlatformUse:
    """The use, read again and held until the transaction ends. Raises NotFound."""
    query = scoped(actor, PlatformUse).where(col(PlatformUse.id) == use_id).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound("platform_use", "没有这条平台券记录")
    return found


async def begun(session: AsyncSession, use: PlatformUse, clocks: Clocks) -> None:
    """Note that a use began."""
    await _note(session, use, None, use.by, "", clocks)


async def move(
    session: AsyncSession,
    use: PlatformUse,
    to: str,
    *,
    by: str,
    why: str = "",
    clocks: Clocks,
    **values: Any,
) -> bool:
    """Change the state and what goes with it; False where somebody was faster.

    Raises ValueError for a change that is not in the table: a mistake of ours.
    """
    was = use.state
    if to not in TABLE[was]:
        raise ValueError(f"a platform voucher cannot go from {was} to {to}")
    changed = await session.exec(
        update(PlatformUse)
        .where(col(PlatformUse.id) == use.id, col(PlatformUse.state) == was)
        .values(state=to, why=why[:200], version=col(PlatformUse.version) + 1, **values)
        .returning(col(PlatformUse.id))
        .execution_options(synchronize_session=False)
    )
    done = changed.first() is not None
    await session.refresh(use)
    if done:
        await _note(session, use, was, by, why, clocks)
    return done


async def _note(
    session: AsyncSession, use: PlatformUse, was: str | None, by: str, why: str, clocks: Clocks
) -> None:
    session.add(
        PlatformUseEvent(
            merchant_id=use.merchant_id,
            store_id=use.store_id,
            use_id=use.id,
            was=was,
            now=use.state,
            by=by,
            why=why[:200],
            at=clocks.now,
        )
    )
    await feed.tell(
        session,
        merchant_id=use.merchant_id,
        store_id=use.store_id,
        account_id=use.account_id,
        topic="order",
        body={"platform_use": use.id, "state": use.state, "order_id": use.order_id},
        now=clocks.real,
    )
