"""The one place where a balance moves: under the lock of its row, with a movement and an entry in the books.

A movement's ``key`` names its cause, so the same cause moves it once. The database keeps every part at or
above nothing; whoever comes second finds less.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.kit.money import yuan
from cloud_api.kit.statements import Bound
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.ledger.service import Line, post
from cloud_api.payments.models import PaymentAttempt
from cloud_api.stored_value.models import BalanceRule, GiftLot, Wallet, WalletHold, WalletMove
from cloud_api.stored_value.split import Parts, split

EXPIRE: Final = "gift.expire"  # ref: gift lot id
AGAIN: Final = timedelta(days=7)  # a gift that comes back after its end counts so long again
_SYSTEM: Final = System()


async def wallet_of(session: AsyncSession, merchant_id: str, account_id: str) -> Wallet | None:
    """A member's wallet for reading; None where there never was one."""
    query = scoped(_SYSTEM, Wallet).where(
        col(Wallet.merchant_id) == merchant_id, col(Wallet.account_id) == account_id
    )
    return (await session.exec(query)).one_or_none()


def balance_of(customer: Customer, merchant_id: Bound[str]) -> SelectOfScalar[int]:
    """What a member can spend at a merchant, in fen (``Wallet.total_fen``); no row without a wallet."""
    return select(col(Wallet.paid_fen) + col(Wallet.gift_fen)).where(
        col(Wallet.account_id) == customer.account_id, col(Wallet.merchant_id) == merchant_id
    )


async def lock_wallet(
    session: AsyncSession, merchant_id: str, account_id: str, clocks: Clocks
) -> Wallet:
    """A member's wallet, read again and held until the transaction ends; made where there is none."""
    query = (
        select(Wallet)
        .where(col(Wallet.merchant_id) == merchant_id, col(Wallet.account_id) == account_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found = (await session.exec(query)).one_or_none()
    if found is None:
        values: dict[str, Any] = {
            "id": new_id(),
            "merchant_id": merchant_id,
            "account_id": account_id,
            "paid_fen": 0,
            "gift_fen": 0,
            "held_paid_fen": 0,
            "held_gift_fen": 0,
            "created_at": clocks.now,
        }
        await insert_or_ignore(session, Wallet, values)
        found = (await session.exec(query)).one()
    return found


async def lock_wallet_of(
    session: AsyncSession, owned: PaymentAttempt | WalletHold | GiftLot, clocks: Clocks
) -> Wallet:
    """The wallet that ``owned`` belongs to, held; ``owned`` is read again.

    Whoever waits for the wallet of somebody who is being merged gets the wallet of who stays.
    """
    while True:
        wallet = await lock_wallet(session, owned.merchant_id, owned.account_id, clocks)
        await session.refresh(owned)
        if owned.account_id == wallet.account_id:
            return wallet


async def rule_of(session: AsyncSession, merchant_id: str) -> str:
    """Which part is spent first."""
    rule = await session.get(BalanceRule, merchant_id)
    return "gift_first" if rule is None else rule.spend


async def take(
    session: AsyncSession, wallet: Wallet, amount_fen: int
) -> tuple[Parts, dict[str, int]]:
    """Take ``amount_fen`` out of a locked wallet: its parts, and the gifts it came from.

    Raises Conflict ``balance.too_little`` (with ``balance_fen``).
    """
    if amount_fen > wallet.total_fen:
        raise Conflict(
            "balance.too_little",
            _("余额只有 {money}，不够付").format(money=yuan(wallet.total_fen)),
            balance_fen=wallet.total_fen,
        )
    rule = await rule_of(session, wallet.merchant_id)
    parts = split(rule, wallet.paid_fen, wallet.gift_fen, amount_fen)
    lots = await take_gifts(session, wallet, parts.gift)
    wallet.paid_fen -= parts.paid
    session.add(wallet)
    await session.flush()
    return parts, lots


async def take_gifts(session: AsyncSession, wallet: Wallet, amount_fen: int) -> dict[str, int]:
    """Take from the gifts of a locked wallet, those that end first; by gift, what was taken."""
    query = scoped(_SYSTEM, GiftLot).where(
        col(GiftLot.wallet_id) == wallet.id, col(GiftLot.left_fen) > 0
    )
    lots = list((await session.exec(query.execution_options(populate_existing=True))).all())
    lots.sort(key=lambda lot: (lot.expires_at is None, lot.expires_at or lot.created_at, lot.id))
    taken: dict[str, int] = {}
    left = amount_fen
    for lot in lots:
        part = min(left, lot.left_fen)
        if part:
            lot.left_fen -= part
            taken[lot.id] = part
            left -= part
            session.add(lot)
    if left:
        raise RuntimeError(f"wallet {wallet.id} has {left} fen of gifts less than it says")
    wallet.gift_fen -= amount_fen
    session.add(wallet)
    await session.flush()
    return taken


async def put_back(
    session: AsyncSession, wallet: Wallet, parts: Parts, lots: Mapping[str, int], clocks: Clocks
) -> None:
    """Give parts back to a locked wallet, gifts to where they came from."""
    for lot_id, amount in lots.items():
        lot = await session.get_one(GiftLot, lot_id, populate_existing=True)
        lot.left_fen += amount
        if lot.expires_at is not None and lot.expires_at <= clocks.now:
            lot.expires_at = clocks.now + AGAIN
            await expire_at(session, lot, lot.expires_at)
        session.add(lot)
    wallet.paid_fen += parts.paid
    wallet.gift_fen += parts.gift
    session.add(wallet)
    await session.flush()


async def give(
    session: AsyncSession,
    wallet: Wallet,
    *,
    store_id: str,
    amount_fen: int,
    days: int | None,
    clocks: Clocks,
) -> dict[str, int]:
    """Add a gift to a locked wallet; it ends after ``days``."""
    if not amount_fen:
        return {}
    lot = GiftLot(
        merchant_id=wallet.merchant_id,
        account_id=wallet.account_id,
        wallet_id=wallet.id,
        store_id=store_id,
        amount_fen=amount_fen,
        left_fen=amount_fen,
        expires_at=None if days is None else clocks.now + timedelta(days=days),
        created_at=clocks.now,
    )
    session.add(lot)
    wallet.gift_fen += amount_fen
    session.add(wallet)
    await session.flush()
    if lot.expires_at is not None:
        await expire_at(session, lot, lot.expires_at)
    return {lot.id: amount_fen}


async def expire_at(session: AsyncSession, lot: GiftLot, at: datetime) -> None:
    """Let a gift end at ``at`` (business time)."""
    await schedule(session, merchant_id=lot.merchant_id, kind=EXPIRE, ref=lot.id, run_at=at)


async def moved(
    session: AsyncSession,
    wallet: Wallet,
    *,
    store_id: str,
    kind: str,
    key: str,
    parts: Parts,
    subject: str,
    lines: list[Line],
    clocks: Clocks,
    text: str = "",
    by: str = "system",
    lots: Mapping[str, int] | None = None,
) -> WalletMove:
    """Write a movement down (``parts`` signed) and post it. The wallet was changed by the caller."""
    move = WalletMove(
        merchant_id=wallet.merchant_id,
        store_id=store_id,
        account_id=wallet.account_id,
        wallet_id=wallet.id,
        key=key,
        kind=kind,
        paid_fen=parts.paid,
        gift_fen=parts.gift,
        paid_after_fen=wallet.paid_fen,
        gift_after_fen=wallet.gift_fen,
        subject=subject,
        text=text,
        by=by,
        lots=dict(lots or {}),
        at=clocks.now,
    )
    session.add(move)
    await session.flush()
    await post(
        session,
        store_id=store_id,
        kind="balance",
        key=f"wallet:{wallet.id}:{key}",
        subject=subject,
        lines=lines,
        clocks=clocks,
        text=text,
        by=by,
    )
    return move


async def move_of(session: AsyncSession, merchant_id: str, key: str) -> WalletMove | None:
    """The movement that a payment or a refund caused, if it was made: of whichever wallet, for members
    are merged and movements stay where they were.
    """
    query = select(WalletMove).where(
        col(WalletMove.merchant_id) == merchant_id, col(WalletMove.key) == key
    )
    return (await session.exec(query)).one_or_none()
