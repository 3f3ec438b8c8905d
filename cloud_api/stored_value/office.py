"""What staff and jobs do to balances: adjust, pay out, let gifts end; and the books' check of it all."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Actor, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.kit.money import yuan
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.models import LedgerEntry
from cloud_api.ledger.service import Line
from cloud_api.merchants.models import Merchant
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt
from cloud_api.staff.permissions import BALANCE_EDIT, CUSTOMER_READ
from cloud_api.stored_value import schemas, service, topup
from cloud_api.stored_value.models import BalanceRule, GiftLot, Topup, Wallet, WalletMove
from cloud_api.stored_value.split import Parts
from cloud_api.stores.service import get_store

_SYSTEM: Final = System()


async def show(
    session: AsyncSession, actor: Actor, merchant_id: str, account_id: str
) -> schemas.BalanceOut:
    """A member's balance with its gifts and last movements; staff need ``customer.read``."""
    if isinstance(actor, Staff):
        actor.need(CUSTOMER_READ)
        if actor.merchant_id != merchant_id:
            raise NotFound("balance")
    merchant = await session.get(Merchant, merchant_id)
    if merchant is None:
        raise NotFound("balance")
    wallet = await service.wallet_of(session, merchant_id, account_id)
    moves: list[WalletMove] = []
    gifts: list[GiftLot] = []
    if wallet is not None:
        found = scoped(_SYSTEM, WalletMove).where(col(WalletMove.wallet_id) == wallet.id)
        moves = list(
            (await session.exec(found.order_by(col(WalletMove.id).desc()).limit(50))).all()
        )
        lots = scoped(_SYSTEM, GiftLot).where(
            col(GiftLot.wallet_id) == wallet.id, col(GiftLot.left_fen) > 0
        )
        gifts = list((await session.exec(lots.order_by(col(GiftLot.expires_at)))).all())
    offered = await topup.plans(session, merchant_id)
    return schemas.BalanceOut(
        merchant_id=merchant_id,
        merchant=merchant.name,
        paid_fen=0 if wallet is None else wallet.paid_fen,
        gift_fen=0 if wallet is None else wallet.gift_fen,
        total_fen=0 if wallet is None else wallet.total_fen,
        held_fen=0 if wallet is None else schemas.held(wallet),
        refundable_fen=0 if wallet is None else await refundable(session, wallet),
        spend=await service.rule_of(session, merchant_id),
        gifts=[schemas.GiftOut.of(lot) for lot in gifts],
        moves=[schemas.MoveOut.of(move) for move in moves],
        plans=[schemas.PlanOut.of(plan) for plan in offered],
    )


async def known_member(session: AsyncSession, staff: Staff, account_id: str) -> None:
    """Raise NotFound unless this account has paid at a store that ``staff`` sees, or has a balance."""
    wallet = await service.wallet_of(session, staff.merchant_id, account_id)
    if wallet is not None and staff.store_ids is None:
        return
    query = scoped(staff, PaymentAttempt).where(col(PaymentAttempt.account_id) == account_id)
    if (await session.exec(query.limit(1))).first() is None:
        raise NotFound("member", "没有这个会员")


async def merchants_of(session: AsyncSession, account_id: str) -> list[str]:
    """The merchants at which somebody has a balance."""
    query = select(col(Wallet.merchant_id)).where(col(Wallet.account_id) == account_id)
    return list((await session.exec(query.order_by(col(Wallet.merchant_id)))).all())


async def at_a_glance(session: AsyncSession, account_id: str) -> list[tuple[str, int]]:
    """Each merchant's name with what somebody has there in fen; where nothing is left it is not named."""
    query = (
        select(col(Merchant.name), col(Wallet.paid_fen) + col(Wallet.gift_fen))
        .join(Wallet, col(Wallet.merchant_id) == col(Merchant.id))
        .where(col(Wallet.account_id) == account_id)
        .order_by(col(Merchant.name))
    )
    return [(name, int(fen)) for name, fen in (await session.execute(query)).all() if fen]


async def refundable(session: AsyncSession, wallet: Wallet) -> int:
    """What can be paid out again: the paid part that is left, as far as its payments allow it."""
    return min(wallet.paid_fen, sum(left for _, left in await _payable(session, wallet)))


async def adjust(
    session: AsyncSession,
    staff: Staff,
    account_id: str,
    body: schemas.AdjustIn,
    clocks: Clocks,
) -> WalletMove:
    """Add a gift to a balance or take from it (gifts first), for a reason. Needs ``balance.edit``.

    The role's limit of refunds is the limit here too: it gives the merchant's money away just so.
    """
    staff.need(BALANCE_EDIT)
    store = await get_store(session, staff, body.store_id)
    if body.amount_fen == 0:
        raise KaimenError("balance.amount", "请填调整的金额", status=422, field="amount_fen")
    staff.need_refund(abs(body.amount_fen))
    wallet = await service.lock_wallet(session, staff.merchant_id, account_id, clocks)
    before = wallet.total_fen
    if body.amount_fen > 0:
        parts = Parts(0, body.amount_fen)
        lots = await service.give(
            session,
            wallet,
            store_id=store.id,
            amount_fen=body.amount_fen,
            days=None,
            clocks=clocks,
        )
    else:
        if -body.amount_fen > wallet.total_fen:
            raise Conflict(
                "balance.too_little", _("余额只有 {money}").format(money=yuan(wallet.total_fen))
            )
        gift = min(wallet.gift_fen, -body.amount_fen)
        parts = Parts(body.amount_fen + gift, -gift)
        lots = await service.take_gifts(session, wallet, gift)
        wallet.paid_fen += parts.paid
        session.add(wallet)
        await session.flush()
    ref = new_id()
    move = await service.moved(
        session,
        wallet,
        store_id=store.id,
        kind="adjust",
        key=f"adjust:{ref}",
        parts=parts,
        subject=f"adjust:{ref}",
        lines=[
            Line(Account.BALANCE_PAID, -parts.paid),
            Line(Account.REVENUE, parts.paid, "balance"),
            Line(Account.BALANCE_GIFT, -parts.gift),
            Line(Account.GIFT_COST, parts.gift),
        ],
        clocks=clocks,
        text=body.why,
        by=staff.ref,
        lots=lots,
    )
    await _record(session, staff, "balance.adjust", wallet, store.id, before, body.why, clocks)
    return move


async def pay_out(
    session: AsyncSession,
    staff: Staff,
    account_id: str,
    body: schemas.PayOutIn,
    clocks: Clocks,
) -> WalletMove:
    """Give paid money back out of a balance by the payments it came with, the newest first.

    Gifts go in proportion: they were given for money that stays. Needs ``balance.edit`` and the role's
    limit of refunds. Raises Conflict ``balance.not_refundable`` (with ``refundable_fen``).
    """
    staff.need(BALANCE_EDIT)
    staff.need_refund(body.amount_fen)
    wallet = await service.lock_wallet(session, staff.merchant_id, account_id, clocks)
    can = await refundable(session, wallet)
    if body.amount_fen > can:
        raise Conflict(
            "balance.not_refundable",
            _("最多能退 {money}").format(money=yuan(can)),
            refundable_fen=can,
        )
    before = wallet.total_fen
    gift = -(-wallet.gift_fen * body.amount_fen // wallet.paid_fen)
    lots = await service.take_gifts(session, wallet, gift)
    wallet.paid_fen -= body.amount_fen
    session.add(wallet)
    await session.flush()
    ref, left = new_id(), body.amount_fen
    lines = [
        Line(Account.BALANCE_PAID, body.amount_fen),
        Line(Account.ADVANCE, -body.amount_fen),
        Line(Account.BALANCE_GIFT, gift),
        Line(Account.GIFT_COST, -gift),
    ]
    store_id = ""
    for payment, rest in await _payable(session, wallet):
        part = min(left, rest)
        if part:
            left -= part
            store_id = store_id or payment.store_id
            count = len(await payments.refunds_of(session, payment.pays)) + 1
            await payments.ask_refund(
                session,
                payment.id,
                tag=f"V{count}",
                amount_fen=part,
                reason=body.why,
                clocks=clocks,
            )
    move = await service.moved(
        session,
        wallet,
        store_id=store_id,
        kind="paid_out",
        key=f"paid_out:{ref}",
        parts=Parts(-body.amount_fen, -gift),
        subject=f"paid_out:{ref}",
        lines=lines,
        clocks=clocks,
        text=body.why,
        by=staff.ref,
        lots=lots,
    )
    await _record(session, staff, "balance.pay_out", wallet, store_id, before, body.why, clocks)
    return move


async def expire(session: AsyncSession, lot_id: str, clocks: Clocks) -> None:
    """The job's: what is left of a gift ends, unless it counts longer now."""
    lot = await session.get_one(GiftLot, lot_id)
    wallet = await service.lock_wallet_of(session, lot, clocks)
    if lot.expires_at is None or lot.expires_at > clocks.now or lot.left_fen == 0:
        return
    amount, ended = lot.left_fen, lot.expires_at
    lot.left_fen = 0
    wallet.gift_fen -= amount
    session.add_all([lot, wallet])
    await session.flush()
    await service.moved(
        session,
        wallet,
        store_id=lot.store_id,
        kind="expire",
        key=f"expire:{lot.id}.{ended.isoformat()}",
        parts=Parts(0, -amount),
        subject=f"gift:{lot.id}",
        lines=[Line(Account.BALANCE_GIFT, amount), Line(Account.GIFT_COST, -amount)],
        clocks=clocks,
        lots={lot.id: amount},
    )


async def set_rule(session: AsyncSession, staff: Staff, spend: str, clocks: Clocks) -> None:
    """Say which part is spent first. Needs ``balance.edit``, for every store."""
    staff.need(BALANCE_EDIT)
    if staff.store_ids is not None:
        raise KaimenError(
            "plan.all_stores", "储值方案所有门店通用，要能管全部门店的人来改", status=403
        )
    rule = await session.get(BalanceRule, staff.merchant_id)
    was = "gift_first" if rule is None else rule.spend
    rule = rule or BalanceRule(merchant_id=staff.merchant_id)
    rule.spend = spend
    session.add(rule)
    await audit.record(
        session,
        staff,
        "balance.rule",
        merchant_id=staff.merchant_id,
        subject=f"merchant:{staff.merchant_id}",
        before={"spend": was},
        after={"spend": spend},
        clocks=clocks,
    )


async def check(session: AsyncSession, merchant_id: str) -> list[str]:
    """For ``ledger.verify``: balances are what the books owe, their movements and their gifts."""
    wallets = (
        await session.exec(scoped(_SYSTEM, Wallet).where(col(Wallet.merchant_id) == merchant_id))
    ).all()
    wrong = []
    for account, has in (
        (Account.BALANCE_PAID, sum(w.paid_fen + w.held_paid_fen for w in wallets)),
        (Account.BALANCE_GIFT, sum(w.gift_fen + w.held_gift_fen for w in wallets)),
    ):
        query = select(func.coalesce(func.sum(col(LedgerEntry.amount_fen)), 0)).where(
            col(LedgerEntry.merchant_id) == merchant_id,
            col(LedgerEntry.account) == account.value,
        )
        owed = -int((await session.exec(query)).one())
        if owed != has:
            wrong.append(f"{account}: members have {has}, the books owe {owed}")
    sums = {
        wallet: (int(paid), int(gift))
        for wallet, paid, gift in (
            await session.exec(
                select(
                    col(WalletMove.wallet_id),
                    func.sum(col(WalletMove.paid_fen)),
                    func.sum(col(WalletMove.gift_fen)),
                )
                .where(col(WalletMove.merchant_id) == merchant_id)
                .group_by(col(WalletMove.wallet_id))
            )
        ).all()
    }
    lots = dict(
        (
            await session.exec(
                select(col(GiftLot.wallet_id), func.sum(col(GiftLot.left_fen)))
                .where(col(GiftLot.merchant_id) == merchant_id)
                .group_by(col(GiftLot.wallet_id))
            )
        ).all()
    )
    for wallet in wallets:
        whole = (wallet.paid_fen + wallet.held_paid_fen, wallet.gift_fen + wallet.held_gift_fen)
        if sums.get(wallet.id, (0, 0)) != whole:
            wrong.append(f"wallet {wallet.id}: has {whole}, moved {sums.get(wallet.id)}")
        if int(lots.get(wallet.id, 0)) != wallet.gift_fen:
            wrong.append(f"wallet {wallet.id}: its gifts are not its gift part")
    return wrong


async def _payable(session: AsyncSession, wallet: Wallet) -> list[tuple[PaymentAttempt, int]]:
    """The payments of a member's top-ups and what of each was not given back, newest first."""
    done = select(col(Topup.id)).where(
        col(Topup.merchant_id) == wallet.merchant_id,
        col(Topup.account_id) == wallet.account_id,
        col(Topup.state) == "done",
    )
    names = [f"{topup.KIND}:{one}" for one in (await session.exec(done)).all()]
    query = scoped(_SYSTEM, PaymentAttempt).where(
        col(PaymentAttempt.pays).in_(names), col(PaymentAttempt.applied) == topup.KIND
    )
    found = []
    for payment in (await session.exec(query.order_by(col(PaymentAttempt.id).desc()))).all():
        refunds = await payments.refunds_of(session, payment.pays)
        asked = sum(
            r.amount_fen for r in refunds if r.payment_id == payment.id and r.state != "failed"
        )
        found.append((payment, payment.amount_fen - asked))
    return found


async def _record(
    session: AsyncSession,
    staff: Staff,
    action: str,
    wallet: Wallet,
    store_id: str,
    before_fen: int,
    why: str,
    clocks: Clocks,
) -> None:
    await audit.record(
        session,
        staff,
        action,
        merchant_id=wallet.merchant_id,
        store_id=store_id or None,
        subject=f"account:{wallet.account_id}",
        before={"balance_fen": before_fen},
        after={"balance_fen": wallet.total_fen},
        why=why,
        clocks=clocks,
    )
