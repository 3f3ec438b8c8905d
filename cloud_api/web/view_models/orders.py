"""The console's orders: the list's rows, and one order with everything that happened to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.web.view_models.listing import Listing
from cloud_api.web.view_models.parts import Fees
from cloud_api.web.view_models.visit import MoneyMove, OrderWord, Overtime


@dataclass(frozen=True)
class ConsoleOrderRow:
    """A row; ``refund`` says what of money goes back, if any."""

    id: str
    href: str
    number: str
    word: OrderWord
    who: str
    room_name: str
    store_name: str
    starts_at: datetime
    ends_at: datetime
    total_fen: int
    created_at: datetime
    refund: str = ""


@dataclass(frozen=True)
class Happened:
    """One line of what happened; ``kind`` is ``order``, ``door`` or ``money``."""

    at: datetime
    text: str
    note: str = ""


@dataclass(frozen=True)
class ConsoleClaim:
    """What was claimed of a deposit; ``decide_url`` where somebody has to decide it."""

    amount_fen: int
    why: str
    word: str
    objection: str = ""
    decide_url: str = ""


@dataclass(frozen=True)
class ConsoleDeposit:
    """A deposit in the drawer; ``claim_url`` where some of it may be claimed."""

    amount_fen: int
    held_fen: int
    text: str
    claims: tuple[ConsoleClaim, ...] = ()
    claim_url: str = ""


@dataclass(frozen=True)
class ConsoleOrder:
    """One order in the drawer. ``cancel_back_fen`` None: this member of staff cannot cancel it."""

    id: str
    number: str
    word: OrderWord
    who: str
    room_name: str
    room_href: str
    store_id: str
    store_name: str
    art: str
    starts_at: datetime
    ends_at: datetime
    fees: Fees
    happened: tuple[Happened, ...]
    close_href: str
    href: str
    moves: tuple[MoneyMove, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    overtime: Overtime | None = None
    refund: str = ""
    cancel_back_fen: int | None = None
    cancel_why_not: str = ""
    can_finish: bool = False
    can_extend: bool = False
    can_confirm: bool = False
    can_block: bool = False
    note: str = ""
    cash_fen: int = 0
    """What may be taken in cash now."""
    cash_refunds: tuple[tuple[str, int], ...] = ()
    """Numbers and amounts of refunds that wait to be handed over."""
    deposit: ConsoleDeposit | None = None
    balance_href: str = ""
    refund_ask_fen: int = 0
    """What may be asked back for the guest now."""
    refund_asked: bool = False
    """A request waits for a decision."""


@dataclass(frozen=True)
class CancelRow:
    """An order that may be cancelled with others. ``no``: why it cannot; ``rule_no``: why not by the rules."""

    id: str
    number: str
    word: OrderWord
    who: str
    place: str
    starts_at: datetime
    ends_at: datetime
    paid_fen: int
    back_fen: int
    rule_back_fen: int
    rule_fee_fen: int
    no: str = ""
    rule_no: str = ""


@dataclass(frozen=True)
class CancelPage:
    """What cancelling these would do, before anybody does it."""

    rows: tuple[CancelRow, ...]

    @property
    def good(self) -> tuple[CancelRow, ...]:
        """Those that can be cancelled."""
        return tuple(row for row in self.rows if not row.no)

    @property
    def back_fen(self) -> int:
        """What goes back altogether."""
        return sum(row.back_fen for row in self.good)

    @property
    def rule_back_fen(self) -> int:
        """What goes back where the rules' fee is kept; what they do not let anybody cancel stays."""
        return sum(row.rule_back_fen for row in self.good if not row.rule_no)

    @property
    def rule_fee_fen(self) -> int:
        """What is kept then."""
        return sum(row.rule_fee_fen for row in self.good if not row.rule_no)

    @property
    def ids(self) -> list[str]:
        """Of those that can be cancelled."""
        return [row.id for row in self.good]


@dataclass(frozen=True)
class ConsoleOrdersPage:
    """The list, and the order that is open beside it."""

    list: Listing[ConsoleOrderRow]
    order: ConsoleOrder | None = None
    export: str = ""
    """What an export of this list is asked for with, as JSON; empty: this member of staff may not."""
    acts: tuple[str, ...] = ()
    """What this member of staff may do with many: confirm, message, export, cancel."""


@dataclass(frozen=True)
class ExportRow:
    """A list of orders to take along. ``part``: how much of it is written, per cent, while it is."""

    at: datetime
    state: str
    word: str
    form: str
    total: int
    part: int | None = None
    href: str = ""
    until: datetime | None = None
    size: str = ""
    what: str = ""  # in words, where it is no list of orders


@dataclass(frozen=True)
class ExportsPage:
    """``running``: looked at again until nothing is being written any more."""

    rows: tuple[ExportRow, ...]
    running: bool = False
