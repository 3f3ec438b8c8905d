"""What the page about keeping data is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class KeptRow:
    """A kind: for how many ``days`` (0: for ever) of which ``choices``; ``old`` go tonight.

    ``cleared`` is None where no night took anything yet.
    """

    key: str
    name: str
    what: str
    days: int
    choices: tuple[tuple[int, str], ...]
    old: int
    least: str
    cleared: int | None = None
    cleared_at: datetime | None = None


@dataclass(frozen=True)
class RetentionPage:
    """``changed``: the rows show what was only chosen, and is not kept that way yet."""

    rows: tuple[KeptRow, ...]
    changed: bool

    @property
    def goes(self) -> int:
        """How many rows go tonight."""
        return sum(one.old for one in self.rows)
