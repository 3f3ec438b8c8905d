"""What a list page was asked for, read from its URL: filters, order, cursor. Nothing odd gets through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from fastapi import Request

LONGEST = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """``filters`` has a value for each name that was asked for, empty where none was given."""

    path: str
    filters: dict[str, str]
    sort: str
    cursor: str

    @property
    def query(self) -> dict[str, str]:
        """What stands in the URL again: filters and order, no cursor."""
        return {**{k: v for k, v in self.filters.items() if v}, "sort": self.sort}

    def get(self, name: str) -> str:
        """A filter's value, or nothing."""
        return self.filters.get(name, "")

    def day(self, name: str) -> date | None:
        """A filter that is a day of this century; None for no day and for what is none."""
        try:
            day = date.fromisoformat(self.get(name))
        except ValueError:
            return None
        return day if 2000 <= day.year < 2100 else None

    @property
    def downwards(self) -> bool:
        """Whether the greatest comes first."""
        return self.sort.startswith("-")

    @property
    def key(self) -> str:
        """The column to order by."""
        return self.sort.removeprefix("-")


def asked(request: Request, *, names: Sequence[str], sorts: Sequence[str], path: str = "") -> Asked:
    """Read the URL. ``sorts`` are the keys one may order by; its first, downwards, is the default."""
    given = request.query_params
    filters = {name: _plain(given.get(name, "")) for name in names}
    sort = given.get("sort", "")
    if sort.removeprefix("-") not in sorts:
        sort = f"-{sorts[0]}"
    return Asked(path or request.url.path, filters, sort, _plain(given.get("cursor", "")))


def _plain(text: str) -> str:
    return text.strip()[:LONGEST] if text.isprintable() else ""
