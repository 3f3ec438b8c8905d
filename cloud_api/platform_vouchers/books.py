"""Platform vouchers in the books: what the platform owes the house, revenue of the store where it was used."""

from __future__ import annotations

from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.many import by_many
from cloud_api.ledger.models import LedgerTxn
from cloud_api.ledger.service import Line, holds, holds_of, post
from cloud_api.platform_vouchers.models import PlatformUse
from cloud_api.platform_vouchers.transitions import COUNTED

DETAIL: Final = "platform"


def subject_of(use: PlatformUse) -> str:
    """How the books name a use."""
    return f"platform_use:{use.id}"


async def follow(session: AsyncSession, use: PlatformUse, clocks: Clocks) -> None:
    """Bring a use's accounts to where they belong; the caller holds a lock on it. Again does nothing."""
    owed = use.worth_fen if use.state in COUNTED else 0
    slot = (Account.PLATFORM, use.label)
    off = owed - (await holds(session, subject_of(use))).get(slot, 0)
    if not off:
        return
    known = select(col(LedgerTxn.id)).where(col(LedgerTxn.subject) == subject_of(use))
    count = len((await session.exec(known)).all())
    await post(
        session,
        store_id=use.store_id,
        kind="platform",
        key=f"{subject_of(use)}#{count + 1}",
        subject=subject_of(use),
        lines=[
            Line(Account.PLATFORM, off, use.label),
            Line(Account.REVENUE, -off, DETAIL),
        ],
        clocks=clocks,
        text=use.name,
    )


async def check(session: AsyncSession, merchant_id: str) -> list[str]:
    """For ``ledger.verify``: uses whose accounts are not where their money belongs."""
    wrong: list[str] = []
    async for found in by_many(session, PlatformUse, merchant_id):
        held = await holds_of(session, [subject_of(one) for one in found])
        for use in found:
            owed = use.worth_fen if use.state in COUNTED else 0
            known = held.get(subject_of(use), {})
            if known.get((Account.PLATFORM, use.label), 0) != owed:
                wrong.append(f"platform use {use.id} is not booked with its {owed} fen")
    return wrong
