"""What balances keep of a person; who has money left here does not just vanish with it."""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register
from cloud_api.stored_value.models import Wallet, WalletMove


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
