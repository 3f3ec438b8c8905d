"""A list page: filters, columns that sort, rows, the way to the next page. Its whole state is its URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import urlencode

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column:
    """A column's head. ``sort`` is the key it can be ordered by; ``number`` sets it to the right."""

    text: str
    sort: str = ""
    number: bool = False


@dataclass(frozen=True)
class Choice:
    """One value of a filter; the empty one means all."""

    value: str
    text: str


@dataclass(frozen=True)
class Filter:
    """One question above a list. ``kind``: ``chips``, ``select``, ``date`` or ``search``."""

    name: str
    kind: str
    label: str
    value: str = ""
    choices: tuple[Choice, ...] = ()
    hint: str = ""


@dataclass(frozen=True)
class Empty:
    """What an empty list teaches: what will stand here, and the one button that ends the emptiness."""

    line: str
    text: str = ""
    href: str = ""


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """``query`` is what the URL holds now without the cursor; ``sort`` is ``-key`` for downwards."""

    path: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    filters: tuple[Filter, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    sort: str = ""
    cursor: str = ""
    next_cursor: str = ""
    empty: Empty = field(default_factory=lambda: Empty(""))
    caption: str = ""
    """Read out before the table: what the rows are."""

    def href(self, **changes: str) -> str:
        """This list with other filters; from its first page."""
        merged = {**self.query, **changes}
        told = urlencode({key: value for key, value in merged.items() if value})
        return f"{self.path}?{told}" if told else self.path

    @property
    def suffix(self) -> str:
        """``?…`` of the list as it is, for links to a row that come back to it."""
        return self.href(cursor=self.cursor).removeprefix(self.path)

    @property
    def filtered(self) -> bool:
        """Whether a filter hides rows."""
        return any(one.value for one in self.filters)

    @property
    def bare(self) -> bool:
        """Whether there is nothing at all: then the empty state alone offers the first one."""
        return not (self.rows or self.filtered or self.cursor)

    @property
    def next_href(self) -> str:
        """The next page, or nothing."""
        return self.href(cursor=self.next_cursor) if self.next_cursor else ""

    @property
    def first_href(self) -> str:
        """The first page, when this is another one."""
        return self.href() if self.cursor else ""

    def sort_href(self, column: Column) -> str:
        """Order by ``column``; downwards first, then the other way round."""
        return self.href(sort=column.sort if self.sort == f"-{column.sort}" else f"-{column.sort}")

    def direction(self, column: Column) -> str:
        """``descending``, ``ascending`` or ``none``, as aria-sort says it."""
        if not column.sort or self.sort.removeprefix("-") != column.sort:
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"
