"""Paying with a balance: all of it at once, or a part that is held until the other part has come.

The part of a combined payment is held with the attempt at the other provider: taken when that money
came (a companion attempt of its own, ``with_id``), given back when the attempt ended without money.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.money import payment_settled
from cloud_api.ledger.service import Line
from cloud_api.payments import house
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.payments.providers.base import Back, RefundView
from cloud_api.stored_value import service
from cloud_api.stored_value.models import Wallet, WalletHold
from cloud_api.stored_value.split import Parts
from cloud_api.stores.models import Store

BALANCE: Final = "balance"


async def pay_all(
    session: AsyncSession,
    *,
    store: Store,
    account_id: str,
    pays: str,
    part_of: str,
    number: str,
    amount_fen: int,
    subject: str,
    expires_at: datetime,
    clocks: Clocks,
) -> PaymentAttempt:
    """Pay out of the balance, in the caller's transaction: a succeeded attempt, to be settled by the caller.

    Raises Conflict ``balance.too_little``.
    """
    wallet = await service.lock_wallet(session, store.merchant_id, account_id, clocks)
    parts, lots = await service.take(session, wallet, amount_fen)
    payment = await house.paid(
        session,
        store=store,
        account_id=account_id,
        provider=BALANCE,
        pays=pays,
        part_of=part_of,
        number=number,
        amount_fen=amount_fen,
        subject=subject,
        expires_at=expires_at,
        clocks=clocks,
    )
    await _paid(session, wallet, payment, parts, lots, clocks)
    return payment


async def hold(
    session: AsyncSession, payment: PaymentAttempt, amount_fen: int, clocks: Clocks
) -> WalletHold:
    """Hold a part of the balance beside ``payment``. Raises Conflict ``balance.too_little``."""
    wallet = await service.lock_wallet_of(session, payment, clocks)
    parts, lots = await service.take(session, wallet, amount_fen)
    wallet.held_paid_fen += parts.paid
    wallet.held_gift_fen += parts.gift
    session.add(wallet)
    made = WalletHold(
        merchant_id=payment.merchant_id,
        account_id=payment.account_id,
        wallet_id=wallet.id,
        payment_id=payment.id,
        paid_fen=parts.paid,
        gift_fen=parts.gift,
        lots=lots,
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    return made


async def hold_of(session: AsyncSession, payment_id: str) -> WalletHold | None:
    """What is or was held beside a payment."""
    query = select(WalletHold).where(col(WalletHold.payment_id) == payment_id)
    return (await session.exec(query.execution_options(populate_existing=True))).one_or_none()


async def settled(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    """The other part came: take what is held. Given back meanwhile, it is held again if it is there still."""
    if await hold_of(session, payment_id) is None:
        return
    payment = await session.get_one(PaymentAttempt, payment_id)
    wallet = await service.lock_wallet_of(session, payment, clocks)
    held = await hold_of(session, payment_id)
    if held is None or held.state == "taken":
        return
    parts = Parts(held.paid_fen, held.gift_fen)
    lots = {str(lot): int(amount) for lot, amount in held.lots.items()}
    if held.state == "held":
        wallet.held_paid_fen -= parts.paid
        wallet.held_gift_fen -= parts.gift
    else:
        try:
            parts, lots = await service.take(session, wallet, sum(parts))
        except Conflict:
            return  # spent meanwhile: whoever sold the thing sees that a part is missing
        held.paid_fen, held.gift_fen, held.lots = parts.paid, parts.gift, lots
    held.state = "taken"
    session.add_all([held, wallet])
    await session.flush()
    store = await session.get_one(Store, payment.store_id)
    companion = await house.paid(
        session,
        store=store,
        account_id=payment.account_id,
        provider=BALANCE,
        pays=payment.pays,
        part_of=payment.part_of,
        number=f"{payment.number}B",
        amount_fen=sum(parts),
        subject=payment.subject,
        expires_at=payment.expires_at,
        with_id=payment.id,
        clocks=clocks,
    )
    await payment_settled(session, companion.id, clocks)
    await _paid(session, wallet, companion, parts, lots, clocks)


async def parts_of(session: AsyncSession, payment: PaymentAttempt) -> list[PaymentAttempt]:
    """A payment that succeeded, and what was taken from a balance beside it."""
    query = select(PaymentAttempt).where(
        col(PaymentAttempt.with_id) == payment.id, col(PaymentAttempt.state) == "succeeded"
    )
    return [payment, *(await session.exec(query)).all()]


async def closed(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    """The other part ended without money: give back what was held."""
    held = await hold_of(session, payment_id)
    if held is None or held.state != "held":
        return
    wallet = await service.lock_wallet_of(session, held, clocks)
    held = await hold_of(session, payment_id)
    if held is None or held.state != "held":
        return
    parts = Parts(held.paid_fen, held.gift_fen)
    wallet.held_paid_fen -= parts.paid
    wallet.held_gift_fen -= parts.gift
    held.state = "released"
    session.add(held)
    await service.put_back(
        session, wallet, parts, {str(k): int(v) for k, v in held.lots.items()}, clocks
    )


async def give_back(
    session: AsyncSession, refund: RefundAttempt, payment: PaymentAttempt, clocks: Clocks
) -> RefundView:
    """Money goes back into the balance it came out of: paid part and gifts as they were taken.

    Of a part refund the paid part comes back first.
    """
    payment = await session.get_one(PaymentAttempt, payment.id)
    wallet = await service.lock_wallet_of(session, payment, clocks)
    key = f"refund:{refund.id}"
    if await service.move_of(session, wallet.merchant_id, key) is None:
        parts, lots = await _returned(session, payment, refund.amount_fen)
        await service.put_back(session, wallet, parts, lots, clocks)
        await service.moved(
            session,
            wallet,
            store_id=payment.store_id,
            kind="refund",
            key=key,
            parts=parts,
            subject=payment.part_of,
            lines=[
                Line(Account.BALANCE_PAID, -parts.paid),
                Line(Account.BALANCE_GIFT, -parts.gift),
                Line(Account.CLEARING, sum(parts), payment.account_ref),
            ],
            clocks=clocks,
            text=refund.reason,
            lots=lots,
        )
    return RefundView(Back.SUCCEEDED, refund.number, amount_fen=refund.amount_fen)


async def _paid(
    session: AsyncSession,
    wallet: Wallet,
    payment: PaymentAttempt,
    parts: Parts,
    lots: dict[str, int],
    clocks: Clocks,
) -> None:
    await service.moved(
        session,
        wallet,
        store_id=payment.store_id,
        kind="pay",
        key=f"payment:{payment.id}",
        parts=Parts(-parts.paid, -parts.gift),
        subject=payment.part_of,
        lines=[
            Line(Account.BALANCE_PAID, parts.paid),
            Line(Account.BALANCE_GIFT, parts.gift),
            Line(Account.CLEARING, -sum(parts), payment.account_ref),
        ],
        clocks=clocks,
        text=payment.subject,
        by=f"customer:{payment.account_id}",
        lots=lots,
    )


async def _returned(
    session: AsyncSession, payment: PaymentAttempt, amount_fen: int
) -> tuple[Parts, dict[str, int]]:
    """The parts of ``amount_fen`` that were taken for ``payment`` and not yet given back."""
    taken = await service.move_of(session, payment.merchant_id, f"payment:{payment.id}")
    assert taken is not None
    query = (
        select(RefundAttempt)
        .where(col(RefundAttempt.payment_id) == payment.id)
        .order_by(col(RefundAttempt.id))
    )
    paid_left = -taken.paid_fen
    lots_left = {str(lot): int(amount) for lot, amount in taken.lots.items()}
    for one in (await session.exec(query)).all():
        earlier = await service.move_of(session, payment.merchant_id, f"refund:{one.id}")
        if earlier is not None:
            paid_left -= earlier.paid_fen
            for lot, amount in earlier.lots.items():
                lots_left[str(lot)] -= int(amount)
    paid = min(paid_left, amount_fen)
    gift, lots = amount_fen - paid, {}
    left = gift
    for lot, amount in lots_left.items():
        part = min(left, amount)
        if part:
            lots[lot] = part
            left -= part
    assert left == 0
    return Parts(paid, gift), lots
