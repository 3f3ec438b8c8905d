"""Where a day's bill and our books differ: a pure comparison of two lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cloud_api.payments.providers.base import BillLine

Key = tuple[str, str]
"""payment | refund, and our number."""


@dataclass(frozen=True, slots=True)
class Ours:
    """A payment or refund as our books have it. ``moved``: money did move, as far as we know."""

    kind: str
    number: str
    amount_fen: int
    moved: bool
    state: str
    pays: str
    store_id: str

    @property
    def key(self) -> Key:
        """What it is matched by."""
        return self.kind, self.number


@dataclass(frozen=True, slots=True)
class Difference:
    """See BillDifference."""

    category: str
    kind: str
    number: str
    theirs_fen: int | None = None
    ours: Ours | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is known again by."""
        return self.category, self.kind, self.number


def compare(
    lines: Iterable[BillLine],
    known: Mapping[Key, Ours],
    of_the_day: Iterable[Ours],
    elsewhere: Collection[Key],
) -> list[Difference]:
    """``known``: ours by key, for every number of ``lines``. ``of_the_day``: what moved on that day by
    our books; ``elsewhere``: what bills of other days have.
    """
    found: list[Difference] = []
    seen: set[Key] = set()
    for line in lines:
        key = (line.kind, line.number)
        seen.add(key)
        ours = known.get(key)
        if line.state != "succeeded":
            if ours is not None and ours.moved:
                found.append(Difference("state", *key, line.amount_fen, ours))
        elif ours is None:
            found.append(Difference("missing_here", *key, line.amount_fen))
        elif ours.amount_fen != line.amount_fen:
            found.append(Difference("amount", *key, line.amount_fen, ours))
        elif not ours.moved:
            found.append(Difference("state", *key, line.amount_fen, ours))
    for ours in of_the_day:
        if ours.moved and ours.key not in seen and ours.key not in elsewhere:
            found.append(Difference("missing_there", *ours.key, None, ours))
    return found
