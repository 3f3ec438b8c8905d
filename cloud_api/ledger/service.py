"""Posting to the books: once per cause, summing to zero, on an open day; and reading them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.ids import new_id
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.days import open_day
from cloud_api.ledger.models import LedgerEntry, LedgerTxn
from cloud_api.stores.models import Store

Slot = tuple[Account, str]
"""An account and its detail."""
MANAGED: Final = (Account.REVENUE, Account.REFUND_PAYABLE, Account.DEPOSIT, Account.VOUCHER)


@dataclass(frozen=True, slots=True)
class Line:
    """One side: fen, debit positive, credit negative."""

    account: Account
    amount_fen: int
    detail: str = ""


async def post(
    session: AsyncSession,
    *,
    store_id: str,
    kind: str,
    key: str,
    subject: str,
    lines: Sequence[Line],
    clocks: Clocks,
    text: str = "",
    by: str = "system",
    raced: bool = False,
) -> bool:
    """Post what happened, in the caller's transaction; False where ``key`` was posted before.

    Lines of nothing are left out; without any left nothing is posted. ``raced`` where no lock keeps
    somebody else from posting the same cause right now: who comes second waits for the first and is told
    False. Raises ValueError for lines that do not sum to zero (the database refuses them as well).
    """
    if sum(line.amount_fen for line in lines) != 0:
        raise ValueError(f"{kind} {key} does not sum to zero: {lines}")
    lines = [line for line in lines if line.amount_fen]
    if not lines:
        return False
    store = await session.get_one(Store, store_id)
    known = select(col(LedgerTxn.id)).where(
        col(LedgerTxn.merchant_id) == store.merchant_id, col(LedgerTxn.key) == key
    )
    if (await session.exec(known)).first() is not None:
        return False
    if raced:
        try:
            async with session.begin_nested():
                await _write(session, store, kind, key, subject, lines, clocks, text, by)
        except IntegrityError:
            if (await session.exec(known)).first() is None:
                raise  # refused for another reason
            return False
        return True
    await _write(session, store, kind, key, subject, lines, clocks, text, by)
    return True


async def _write(
    session: AsyncSession,
    store: Store,
    kind: str,
    key: str,
    subject: str,
    lines: Sequence[Line],
    clocks: Clocks,
    text: str,
    by: str,
) -> None:
    txn_id, day = new_id(), await open_day(session, store, clocks)
    common: dict[str, Any] = {
        "merchant_id": store.merchant_id,
        "store_id": store.id,
        "day": day,
        "subject": subject,
    }
    await session.execute(
        insert(LedgerEntry),
        [
            {
                "id": new_id(),
                "txn_id": txn_id,
                "account": line.account.value,
                "detail": line.detail,
                "amount_fen": line.amount_fen,
                **common,
            }
            for line in lines
        ],
    )
    await session.execute(
        insert(LedgerTxn),
        [
            {"id": txn_id, "kind": kind, "key": key, "text": text, "by": by, "at": clocks.now}
            | common
        ],
    )


async def holds(session: AsyncSession, subject: str) -> dict[Slot, int]:
    """What the books hold of one subject by account and detail; fen, debit positive."""
    return (await holds_of(session, [subject])).get(subject, {})


async def holds_of(session: AsyncSession, subjects: Sequence[str]) -> dict[str, dict[Slot, int]]:
    """``holds`` of each of many subjects of which the books hold anything, in one statement."""
    query = (
        select(
            col(LedgerEntry.subject),
            col(LedgerEntry.account),
            col(LedgerEntry.detail),
            func.sum(col(LedgerEntry.amount_fen)),
        )
        .where(col(LedgerEntry.subject).in_(subjects))
        .group_by(col(LedgerEntry.subject), col(LedgerEntry.account), col(LedgerEntry.detail))
    )
    found: dict[str, dict[Slot, int]] = {}
    for subject, account, detail, total in (await session.exec(query)).all():
        found.setdefault(subject, {})[Account(account), detail] = int(total)
    return found


def moves(known: Mapping[Slot, int], targets: Mapping[Slot, int]) -> list[Line]:
    """The lines that bring a subject's managed accounts to ``targets``, against its advance.

    ``targets`` are credits as positive fen; a managed account that is not named has nothing to hold.
    """
    slots = {slot for slot in known if slot[0] in MANAGED} | set(targets)
    lines = [
        Line(account, -targets.get((account, detail), 0) - known.get((account, detail), 0), detail)
        for account, detail in sorted(slots)
    ]
    lines.append(Line(Account.ADVANCE, -sum(line.amount_fen for line in lines)))
    return [line for line in lines if line.amount_fen]


async def carry(
    session: AsyncSession,
    *,
    store_id: str,
    subject: str,
    targets: Mapping[Slot, int],
    kind: str,
    clocks: Clocks,
    by: str = "system",
) -> bool:
    """Move what a subject holds from its advance to where it belongs now; False if it is there already.

    The caller holds a lock on the subject, so two never carry the same difference.
    """
    lines = moves(await holds(session, subject), targets)
    if not lines:
        return False
    posted = select(func.count()).select_from(LedgerTxn).where(col(LedgerTxn.subject) == subject)
    count = (await session.exec(posted)).one()
    return await post(
        session,
        store_id=store_id,
        kind=kind,
        key=f"{subject}#{count + 1}",
        subject=subject,
        lines=lines,
        clocks=clocks,
        by=by,
    )
