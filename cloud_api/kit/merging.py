"""Two customers of a merchant who are one person: every package that keeps rows of customers moves its own.

A package registers what it does in its ``personal`` module. Whoever merges knows none of them; a test
walks the tables, so none is forgotten. Only rows of the one merchant move: the accounts stay two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import update
from sqlmodel import SQLModel, col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker


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


Mover = Callable[[AsyncSession, Merge], Awaitable[None]]
Hindrance = Callable[[AsyncSession, Merge], Awaitable[list[Blocker]]]

_movers: dict[str, Mover] = {}
_hindrances: dict[str, Hindrance] = {}


def register(noun: str, mover: Mover, hindrance: Hindrance | None = None) -> None:
    """Say how rows of ``noun`` move, and what must be settled before. Registering again replaces."""
    _movers[noun] = mover
    if hindrance is not None:
        _hindrances[noun] = hindrance


async def hindrances(session: AsyncSession, merge: Merge) -> list[Blocker]:
    """What must be settled before these two can be one."""
    return [one for noun in sorted(_hindrances) for one in await _hindrances[noun](session, merge)]


async def carry_out(session: AsyncSession, merge: Merge) -> None:
    """Move everything, in the caller's transaction."""
    for noun in sorted(_movers):
        await _movers[noun](session, merge)
