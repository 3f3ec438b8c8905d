"""Pages about money: a balance, a request for a refund, the books of a store, deposits. Money in fen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True)
class BalanceMove:
    """A line of a balance's movements."""

    at: datetime
    text: str
    note: str
    amount_fen: int
    after_fen: int


@dataclass(frozen=True)
class PlanCard:
    """A plan on offer."""

    id: str
    name: str
    pay_fen: int
    gift_fen: int
    note: str


@dataclass(frozen=True)
class Gift:
    """A gift that ends."""

    left_fen: int
    ends_at: datetime


@dataclass(frozen=True)
class Balance:
    """A balance at one merchant."""

    merchant: str
    paid_fen: int
    gift_fen: int
    total_fen: int
    held_fen: int
    refundable_fen: int
    spend: str
    gifts: tuple[Gift, ...]
    moves: tuple[BalanceMove, ...]
    plans: tuple[PlanCard, ...] = ()


@dataclass(frozen=True)
class PayWay:
    """A way to pay a top-up."""

    provider: str
    channel: str
    name: str


@dataclass(frozen=True)
class BalancePage:
    """One's balances; ``store_id`` is where a plan would be bought."""

    balances: tuple[Balance, ...]
    store_id: str = ""
    store_name: str = ""
    ways: tuple[PayWay, ...] = ()


@dataclass(frozen=True)
class RefundForm:
    """Asking for money back for an order."""

    order_id: str
    number: str
    room_name: str
    kept_fen: int
    proposal: str
    state: str = ""
    word: str = ""
    why: str = ""
    answer: str = ""
    asked_fen: int = 0
    approved_fen: int | None = None


@dataclass(frozen=True)
class RefundCase:
    """A request as staff review it: evidence at the left, the rule's proposal at the right."""

    id: str
    href: str
    order_number: str
    order_href: str
    room_name: str
    store_name: str
    who: str
    asked_at: datetime
    waits: str
    why: str
    asked_fen: int
    proposal_fen: int
    proposal_text: str
    kept_fen: int
    state: str
    word: str
    passed_up: bool
    answer: str = ""
    approved_fen: int | None = None
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RefundsPage:
    """What waits, and the one that is open; ``limit`` says what one's role may give back."""

    cases: tuple[RefundCase, ...]
    opened: RefundCase | None
    decided: bool
    limit: str
    over_limit: bool = False


@dataclass(frozen=True)
class PaymentPage:
    """An open payment of something that is no order; ``back_href`` is what it is for."""

    id: str
    subject: str
    store_name: str
    amount_fen: int
    provider_name: str
    until: datetime
    open_state: str
    back_href: str
    go_on_href: str = ""
    code_href: str = ""
    jsapi: str = ""


@dataclass(frozen=True)
class StuckRefund:
    """A refund that did not go through; ``mine``: within one's role's limit."""

    id: str
    number: str
    amount_fen: int
    what: str
    subject: str
    href: str
    store_name: str
    provider: str
    state: str
    hint: str
    detail: str
    reason: str
    at: datetime
    mine: bool = True


@dataclass(frozen=True)
class StuckRefundsPage:
    """What somebody has to see to, the oldest first."""

    refunds: tuple[StuckRefund, ...]


@dataclass(frozen=True)
class AccountRow:
    """An account of a statement."""

    name: str
    opening_fen: int
    up_fen: int
    down_fen: int
    closing_fen: int


@dataclass(frozen=True)
class DayRow:
    """A business day and whether it is closed."""

    day: date
    closed: bool
    by: str


@dataclass(frozen=True)
class CountRow:
    """A count of the drawer."""

    at: datetime
    expected_fen: int
    counted_fen: int
    why: str


@dataclass(frozen=True)
class FinancePage:
    """A store's statement, its days and its drawer."""

    store_id: str
    store_name: str
    stores: tuple[tuple[str, str], ...]
    first: date
    last: date
    today: date
    last_over: date
    revenue_fen: int
    rows: tuple[AccountRow, ...]
    days: tuple[DayRow, ...]
    drawer_fen: int
    counts: tuple[CountRow, ...]
    can_close: bool
    csv_href: str


@dataclass(frozen=True)
class PlanForm:
    """A plan as staff edit it."""

    id: str
    name: str
    pay_fen: int | None
    gift_fen: int
    gift_days: int | None
    per_member: int | None
    active: bool


@dataclass(frozen=True)
class DepositForm:
    """The deposit of a store or a room."""

    action: str
    name: str
    room_id: str
    amount_fen: int
    return_minutes: int
    seen: str = ""


@dataclass(frozen=True)
class PlansPage:
    """Plans, the rule of spending, and deposits."""

    plans: tuple[PlanForm, ...]
    spend: str
    rules: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DepositsPage:
    """Deposits by store."""

    stores: tuple[tuple[str, tuple[DepositForm, ...]], ...]


@dataclass(frozen=True)
class MemberBalancePage:
    """A member's balance as staff see it."""

    account_id: str
    who: str
    balance: Balance
    stores: tuple[tuple[str, str], ...]
    can_edit: bool
    limit: str


@dataclass(frozen=True)
class InvoiceForm:
    """Asking for an order's invoice: who it is for, filled with what was said last."""

    order_id: str
    number: str
    store_name: str
    amount_fen: int
    can_ask: bool
    state: str = ""
    word: str = ""
    invoice_number: str = ""
    why: str = ""
    kind: str = "person"
    title: str = ""
    tax_no: str = ""
    email: str = ""
    phone: str = ""


@dataclass(frozen=True)
class InvoiceRow:
    """One to be made out, or that was; ``now_fen`` is what the order keeps now."""

    id: str
    order_href: str
    order_number: str
    store_name: str
    who: str
    company: bool
    title: str
    tax_no: str
    email: str
    amount_fen: int
    now_fen: int
    at: datetime
    number: str = ""
    why: str = ""


@dataclass(frozen=True)
class InvoicesPage:
    """Those in one state."""

    state: str
    rows: tuple[InvoiceRow, ...]
    total_fen: int
