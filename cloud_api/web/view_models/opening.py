"""The way to a store that is open: its steps, and its wiring."""

from __future__ import annotations

from dataclasses import dataclass

from cloud_api.web.view_models.prices import Pick


@dataclass(frozen=True)
class Step:
    """One step; ``missing`` says what is not there yet, empty where it is done."""

    number: int
    text: str
    line: str
    missing: tuple[str, ...]
    href: str
    action: str
    optional: bool = False

    @property
    def done(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


@dataclass(frozen=True)
class OpeningPage:
    store_id: str
    store_name: str
    stores: tuple[Pick, ...]
    steps: tuple[Step, ...]
    can_enrol: bool = False
    can_add: bool = False
    site: str = ""
    """The address that the store's computer is told."""

    @property
    def left(self) -> int:
        """How many steps are still to be done."""
        return sum(not one.done and not one.optional for one in self.steps)

    @property
    def following(self) -> Step | None:
        """The first step that is not done."""
        return next((one for one in self.steps if not one.done), None)


@dataclass(frozen=True)
class WireRow:
    id: str
    name: str
    what: str
    rooms: str
    try_href: str


@dataclass(frozen=True)
class BoardCard:
    """A board; ``uses`` are (value, words) of what its channels can do: ``switch.set:3``."""

    id: str
    name: str
    model: str
    where: str
    state: str
    tone: str
    wires: tuple[WireRow, ...]
    uses: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class WiringPage:
    store_id: str
    store_name: str
    stores: tuple[Pick, ...]
    boards: tuple[BoardCard, ...]
    profiles: tuple[tuple[str, str], ...]
    rooms: tuple[tuple[str, str], ...]
    doors: tuple[tuple[str, str], ...]
    locks: tuple[tuple[str, str], ...]
    roles: tuple[tuple[str, str], ...]

    @property
    def roomchecks(self) -> tuple[tuple[str, str, str], ...]:
        """The rooms to tick."""
        return tuple((key, name, "") for key, name in self.rooms)
