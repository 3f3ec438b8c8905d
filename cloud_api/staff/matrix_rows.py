"""A row of the role matrix: who may use a route, and with which permissions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Row:
    """Who may use a route. ``needs`` and ``fresh`` are of staff."""

    who: Literal["anyone", "proves", "person", "staff", "platform"]
    needs: frozenset[str] = frozenset()
    fresh: bool = False


def needs(*permissions: str, fresh: bool = False) -> Row:
    """Staff with all of these permissions."""
    return Row("staff", frozenset(permissions), fresh)


ANYONE: Final = Row("anyone")
PROVES: Final = Row("proves")
PERSON: Final = Row("person")
STAFF: Final = Row("staff")
PLATFORM: Final = Row("platform")
