"""The pages of statistics. Numbers are worded already; a chart carries its data and the table behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Kpi:
    """A figure; ``tone``: good, bad or nothing. ``href`` leads to its rows."""

    text: str
    what: str
    value: str
    change: str
    tone: str = ""
    href: str = ""


@dataclass(frozen=True)
class Chart:
    """``kind``: bar, line, pie, heat, rows. ``title`` is the question, ``finding`` its answer in a sentence.

    ``data`` is what js/stats.js draws; ``head`` and ``rows`` are the same in words.
    """

    key: str
    kind: str
    title: str
    sub: str
    finding: str
    data: dict[str, Any]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: bool = False
    href: str = ""
    links: dict[str, str] = field(default_factory=dict)  # of rows, by their first word


@dataclass(frozen=True)
class Choice:
    """A link among several."""

    text: str
    href: str
    on: bool = False


@dataclass(frozen=True)
class Advice:
    """Something worth trying: what, why, for whom; ``href`` leads to the numbers it rests on.

    ``post`` and ``body`` make the draft; ``done`` leads to it.
    """

    key: str
    icon: str
    title: str
    why: str
    rule: str
    gain: str
    href: str
    post: str = ""
    body: str = ""
    done: str = ""
    act: str = ""
    kind: str = "campaign"


@dataclass(frozen=True)
class StatsPage:
    """``empty``: there was never an order. ``hidden`` is what the form of stores sends along."""

    views: tuple[Choice, ...]
    kinds: tuple[Choice, ...]
    period: str
    compared: str
    previous_href: str
    next_href: str
    stores: tuple[tuple[str, str], ...]
    store_id: str
    first: str
    last: str
    kind: str
    view: str
    kpis: tuple[Kpi, ...]
    charts: tuple[Chart, ...]
    as_of: datetime | None
    behind: int
    empty: bool
    rooms: tuple[tuple[str, str], ...] = ()  # to choose from, and the one that is chosen
    room_id: str = ""
    channels: tuple[tuple[str, str], ...] = ()
    channel: str = ""
    export: str = ""
    advice: tuple[Advice, ...] = ()
    checked: tuple[str, ...] = ()  # what was looked at and gave no advice


@dataclass(frozen=True)
class StatRow:
    """One row behind a figure."""

    at: datetime
    text: str
    href: str
    room: str
    channel: str
    kind: str
    value: str


@dataclass(frozen=True)
class StatRowsPage:
    """The rows behind a figure, whole days, newest first."""

    text: str
    what: str
    period: str
    total: str
    rows: tuple[StatRow, ...]
    more_href: str
    back_href: str


@dataclass(frozen=True)
class GuestRow:
    """A guest of a group: masked, with what they did."""

    who: str
    visits: int
    spent_fen: int
    first: str
    last: str
    segment: str


@dataclass(frozen=True)
class StatGuestsPage:
    """Who is in a group of guests."""

    text: str
    what: str
    total: int
    rows: tuple[GuestRow, ...]
    back_href: str
