"""Two customers of a merchant who are one person: every package that keeps rows of customers moves its own.

A package registers what it does in its ``personal`` module. Whoever merges knows none of them; a test
walks the tables, so none is forgotten. Only rows of the one merchant move: the accounts stay two.

Before anything moves, the rows that others lock are locked in the order in which they lock them (``TURNS``):
an order before its payments, those before a balance, a voucher last. Somebody who is at one of them
is waited for, and none of the two is ended by the database for the other's sake.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, update
from sqlmodel import SQLModel, col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker

Turn = Literal["orders", "group_orders", "payments", "wallets", "vouchers"]
TURNS: Final[tuple[Turn, ...]] = ("orders", "group_orders", "payments", "wallets", "vouchers")
_SYSTEM: Final = System()


@dataclass(slots=True)
class Merge:
    """``old`` becomes ``new`` at ``merchant_id``; ``moved`` counts rows by what they are."""

    merchant_id: str
    old: str
    new: str
    by: str
    clocks: Clocks
    moved: dict[str, int] = field(default_factory=dict)

    async def rows(self, session: AsyncSession, model: type[SQLModel], noun: str = "") -> None:
        """Let all rows of a table be of ``new``; counted under ``noun`` where one is given."""
        columns: Any = model
        done = await session.exec(
            update(model)
            .where(
                col(columns.account_id) == self.old,
                col(columns.merchant_id) == self.merchant_id,
            )
            .values(account_id=self.new)
            .execution_options(synchronize_session=False)
        )
        if noun and done.rowcount:
            self.moved[noun] = self.moved.get(noun, 0) + done.rowcount

    async def hold(
        self, session: AsyncSession, model: type[SQLModel], *which: ColumnElement[bool]
    ) -> None:
        """Lock the rows of ``old`` (``which`` narrows them), one after the other by their ids."""
        columns: Any = model
        query = scoped(_SYSTEM, model).where(
            col(columns.account_id) == self.old,
            col(columns.merchant_id) == self.merchant_id,
            *which,
        )
        await session.exec(query.order_by(col(columns.id)).with_for_update())


Holder = Callable[[AsyncSession, Merge], Awaitable[None]]
Mover = Callable[[AsyncSession, Merge], Awaitable[None]]
Hindrance = Callable[[AsyncSession, Merge], Awaitable[list[Blocker]]]

_holders: dict[Turn, Holder] = {}
_movers: dict[str, Mover] = {}
_hindrances: dict[str, Hindrance] = {}


def register(noun: str, mover: Mover, hindrance: Hindrance | None = None) -> None:
    """Say how rows of ``noun`` move, and what must be settled before. Registering again replaces."""
    _movers[noun] = mover
    if hindrance is not None:
        _hindrances[noun] = hindrance


def holding(turn: Turn, holder: Holder) -> None:
    """Say how rows are locked when it is their turn, before anything moves. Again replaces."""
    _holders[turn] = holder


async def hindrances(session: AsyncSession, merge: Merge) -> list[Blocker]:
    """What must be settled before these two can be one."""
    return [one for noun in sorted(_hindrances) for one in await _hindrances[noun](session, merge)]


async def hold(session: AsyncSession, merge: Merge) -> None:
    """Lock what others lock, in their order, until the caller's transaction ends."""
    for turn in TURNS:
        if turn in _holders:
            await _holders[turn](session, merge)


async def carry_out(session: AsyncSession, merge: Merge) -> None:
    """Move everything, in the caller's transaction, which holds the rows (``hold``)."""
    for noun in sorted(_movers):
        await _movers[noun](session, merge)
