"""Every state of a voucher, in one table, and the one function that changes it (I3).

A change is one conditional UPDATE: of two who redeem, refund or let expire at the same time, the
database lets one through.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Actor, scoped
from cloud_api.kit.errors import NotFound
from cloud_api.vouchers.models import Voucher

TABLE: Final[dict[str, frozenset[str]]] = {
    "issued": frozenset({"redeemed", "expired", "refunding"}),
    "redeemed": frozenset({"issued"}),  # undone
    "expired": frozenset({"issued", "refunding"}),  # extended by staff; money goes back
    "refunding": frozenset({"refunded"}),
    "refunded": frozenset(),
}


async def lock_voucher(session: AsyncSession, actor: Actor, voucher_id: str) -> Voucher:
    """The voucher, read again and held until the transaction ends. Raises NotFound."""
    query = scoped(actor, Voucher).where(col(Voucher.id) == voucher_id).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound("voucher", "没有这张券")
    return found


async def move(session: AsyncSession, voucher: Voucher, to: str, **values: Any) -> bool:
    """Change the state and what goes with it; False where somebody was faster.

    Raises ValueError for a change that is not in the table: a mistake of ours.
    """
    if to not in TABLE[voucher.state]:
        raise ValueError(f"a voucher cannot go from {voucher.state} to {to}")
    changed = await session.exec(
        update(Voucher)
        .where(col(Voucher.id) == voucher.id, col(Voucher.state) == voucher.state)
        .values(state=to, version=col(Voucher.version) + 1, **values)
        .returning(col(Voucher.id))
        .execution_options(synchronize_session=False)
    )
    done = changed.first() is not None
    await session.refresh(voucher)
    return done
