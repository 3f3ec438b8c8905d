"""The cash drawer of a store: what should be in it, counting it, and taking money to the bank."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Actor, Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.ids import new_id
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.days import business_day, open_day
from cloud_api.ledger.models import CashCount, LedgerEntry
from cloud_api.ledger.service import Line, post
from cloud_api.staff.permissions import MONEY_CLOSE
from cloud_api.stores.models import Store
from cloud_api.stores.service import get_store

MOST: Final = 100_000_000  # fen in a drawer: whoever types more has slipped


async def expected(session: AsyncSession, store_id: str) -> int:
    """What should be in a store's drawer, in fen: all that the books say of it."""
    query = select(func.coalesce(func.sum(col(LedgerEntry.amount_fen)), 0)).where(
        col(LedgerEntry.store_id) == store_id, col(LedgerEntry.account) == Account.CASH.value
    )
    return int((await session.exec(query)).one())


async def count(
    session: AsyncSession, actor: Actor, store_id: str, counted_fen: int, why: str, clocks: Clocks
) -> CashCount:
    """Write down a count of the drawer; a difference needs a reason and is booked at once.

    Staff need ``money.close``. Raises KaimenError ``cash.why``, ``cash.amount``.
    """
    if isinstance(actor, Staff):
        actor.need(MONEY_CLOSE)
    store = await get_store(session, actor, store_id)
    _sane(counted_fen)
    await open_day(session, store, clocks)  # one count of a store at a time on PostgreSQL too
    await session.exec(select(Store).where(col(Store.id) == store.id).with_for_update())
    should = await expected(session, store.id)
    if counted_fen != should and not why.strip():
        raise KaimenError("cash.why", "点出来的数和账上不一样，请写明原因", status=422, field="why")
    made = CashCount(
        id=new_id(),
        merchant_id=store.merchant_id,
        store_id=store.id,
        day=business_day(clocks.now, store.tz),
        expected_fen=should,
        counted_fen=counted_fen,
        why=why.strip(),
        by=actor.ref,
        at=clocks.now,
    )
    session.add(made)
    await session.flush()
    await post(
        session,
        store_id=store.id,
        kind="cash_count",
        key=f"cash_count:{made.id}",
        subject=f"drawer:{store.id}",
        lines=[
            Line(Account.CASH, counted_fen - should),
            Line(Account.CASH_DIFFERENCE, should - counted_fen),
        ],
        clocks=clocks,
        text=why.strip(),
        by=actor.ref,
    )
    await _record(session, actor, store, "cash.count", made.id, why, clocks, counted_fen, should)
    return made


async def to_bank(
    session: AsyncSession, staff: Staff, store_id: str, amount_fen: int, why: str, clocks: Clocks
) -> int:
    """Take cash out of the drawer to the bank; returns what is left in it.

    Needs ``money.close``. Raises Conflict ``cash.not_there``, KaimenError ``cash.amount``.
    """
    staff.need(MONEY_CLOSE)
    store = await get_store(session, staff, store_id)
    _sane(amount_fen)
    await session.exec(select(Store).where(col(Store.id) == store.id).with_for_update())
    should = await expected(session, store.id)
    if amount_fen == 0 or amount_fen > should:
        raise Conflict("cash.not_there", "抽屉里没有这么多现金", expected_fen=should)
    move = new_id()
    await post(
        session,
        store_id=store.id,
        kind="cash_to_bank",
        key=f"cash_to_bank:{move}",
        subject=f"drawer:{store.id}",
        lines=[Line(Account.BANK, amount_fen), Line(Account.CASH, -amount_fen)],
        clocks=clocks,
        text=why.strip(),
        by=staff.ref,
    )
    left = should - amount_fen
    await _record(session, staff, store, "cash.bank", move, why, clocks, left, should)
    return left


async def counts(session: AsyncSession, actor: Actor, store_id: str) -> list[CashCount]:
    """The last counts of a store's drawer, newest first."""
    query = scoped(actor, CashCount).where(col(CashCount.store_id) == store_id)
    return list((await session.exec(query.order_by(col(CashCount.id).desc()).limit(20))).all())


def _sane(amount_fen: int) -> None:
    if not 0 <= amount_fen <= MOST:
        raise KaimenError("cash.amount", "金额不对，请再看一眼", status=422, field="amount_fen")


async def _record(
    session: AsyncSession,
    actor: Actor,
    store: Store,
    action: str,
    ref: str,
    why: str,
    clocks: Clocks,
    now_fen: int,
    was_fen: int,
) -> None:
    await audit.record(
        session,
        actor,
        action,
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=f"cash:{ref}",
        before={"amount_fen": was_fen},
        after={"amount_fen": now_fen},
        why=why,
        clocks=clocks,
    )
