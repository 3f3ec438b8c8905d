"""What balances keep of a person; who has money left here does not just vanish with it."""

from __future__ import annotations

from typing import Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit import merging
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict
from cloud_api.kit.i18n import later
from cloud_api.kit.ids import new_id
from cloud_api.kit.personal import Blocker, Section, register
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.service import Line
from cloud_api.stored_value import service
from cloud_api.stored_value.models import GiftLot, Topup, Wallet, WalletHold, WalletMove
from cloud_api.stored_value.split import Parts
from cloud_api.stores.models import Store

_HELD: Final = "要并掉的这位有余额正在付款中，等它有结果再合并"


class _Balances:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        query = scoped(Customer(account_id), WalletMove).order_by(col(WalletMove.id))
        rows = [
            {
                "类型": move.kind,
                "本金_分": move.paid_fen,
                "赠送_分": move.gift_fen,
                "说明": move.text,
                "时间": move.at,
            }
            for move in (await session.exec(query)).all()
        ]
        return [Section("balances", "储值变动", rows)]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        query = scoped(Customer(account_id), Wallet).where(
            (col(Wallet.paid_fen) > 0)
            | (col(Wallet.held_paid_fen) > 0)
            | (col(Wallet.held_gift_fen) > 0)
        )
        left = (await session.exec(query)).all()
        if not left:
            return []
        text = "还有没用完的余额，先用掉或找店家退"
        return [Blocker("money.balance", text, [one.id for one in left])]

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        """Movements stay for the books: they hold no name, and the account has none any more."""
        del session, account_id, clocks


register("balances", _Balances())


async def _merge(session: AsyncSession, merge: merging.Merge) -> None:
    """The whole balance goes over as one movement of each wallet, and one of the books; gifts keep their end.

    The old wallet stays, empty, with its history. Top-ups follow, so that what was paid can be paid out.
    """
    locked = await _lock_both(session, merge)
    if not locked:
        return
    old, new = locked[merge.old], locked[merge.new]
    if old.held_paid_fen or old.held_gift_fen:  # held since we looked
        raise Conflict("member.merge_blocked", _HELD)
    await merge.rows(session, Topup, "topups")
    query = scoped(System(), GiftLot).where(col(GiftLot.wallet_id) == old.id)
    lots: dict[str, int] = {}
    for lot in (await session.exec(query.execution_options(populate_existing=True))).all():
        lot.wallet_id, lot.account_id = (
            new.id,
            merge.new,
        )  # empty ones too: a refund fills them again
        if lot.left_fen:
            lots[lot.id] = lot.left_fen
        session.add(lot)
    parts = Parts(old.paid_fen, old.gift_fen)
    if not parts.paid and not parts.gift:
        await session.flush()
        return
    stores = scoped(System(), Store).where(col(Store.merchant_id) == merge.merchant_id)
    store = (await session.exec(stores.order_by(col(Store.id)).limit(1))).one()
    for wallet, sign in ((old, -1), (new, 1)):
        wallet.paid_fen += sign * parts.paid
        wallet.gift_fen += sign * parts.gift
        session.add(wallet)
    await session.flush()
    key = f"merge:{new_id()}"
    for wallet, sign in ((old, -1), (new, 1)):
        # Both halves of the books' entry stand at the one that gives; the other has the movement.
        lines = [
            Line(Account.BALANCE_PAID, parts.paid, merge.old),
            Line(Account.BALANCE_PAID, -parts.paid, merge.new),
            Line(Account.BALANCE_GIFT, parts.gift, merge.old),
            Line(Account.BALANCE_GIFT, -parts.gift, merge.new),
        ]
        await service.moved(
            session,
            wallet,
            store_id=store.id,
            kind="merge",
            key=key,
            parts=Parts(sign * parts.paid, sign * parts.gift),
            subject=f"account:{merge.new}",
            lines=lines if sign < 0 else [],
            clocks=merge.clocks,
            text=later("两个会员合并"),
            by=merge.by,
            lots=lots,
        )
    merge.moved["balance_fen"] = parts.paid + parts.gift


async def _lock_both(session: AsyncSession, merge: merging.Merge) -> dict[str, Wallet]:
    """Both wallets by their members, always locked in the same order; none where ``old`` has none."""
    if await service.wallet_of(session, merge.merchant_id, merge.old) is None:
        return {}
    return {
        one: await service.lock_wallet(session, merge.merchant_id, one, merge.clocks)
        for one in sorted((merge.old, merge.new))
    }


async def _hold(session: AsyncSession, merge: merging.Merge) -> None:
    await _lock_both(session, merge)


async def _hindrance(session: AsyncSession, merge: merging.Merge) -> list[Blocker]:
    query = scoped(System(), WalletHold).where(
        col(WalletHold.merchant_id) == merge.merchant_id,
        col(WalletHold.account_id) == merge.old,
        col(WalletHold.state) == "held",
    )
    if (await session.exec(query.limit(1))).first() is None:
        return []
    return [Blocker("merge.hold", _HELD)]


async def _holds(session: AsyncSession, merge: merging.Merge) -> None:
    await merge.rows(session, WalletHold)


merging.holding("wallets", _hold)
merging.register("balance", _merge, _hindrance)
merging.register("balance_holds", _holds)
