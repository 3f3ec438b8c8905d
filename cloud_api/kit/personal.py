"""What is known of a person, asked of every package that keeps some: for their export and deletion.

Each package that holds personal data has a ``personal`` module that registers a Holder. So the page
that gives it all out, or takes it all away, need not know who they are; and nobody is forgotten,
since a test walks the tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks


@dataclass(frozen=True, slots=True)
class Section:
    """A part of an export: a title for people, and its rows in plain data (instants may be aware)."""

    name: str
    title: str
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why somebody cannot be deleted yet: a stable code, a sentence, what it is about."""

    code: str
    message: str
    refs: list[str] = field(default_factory=list)


class Holder(Protocol):
    """What a package keeps of people."""

    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        """Everything about this person, for themselves."""
        ...

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        """What must be settled before they can go."""
        ...

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        """Take away what tells who they are; what the law wants kept of money stays, without person."""
        ...


_holders: dict[str, Holder] = {}


def register(noun: str, holder: Holder) -> None:
    """Say who holds ``noun``. Registering again replaces."""
    _holders[noun] = holder


def holders() -> list[Holder]:
    """Everybody, in the order of their nouns."""
    return [_holders[noun] for noun in sorted(_holders)]
