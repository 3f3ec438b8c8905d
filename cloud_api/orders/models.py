"""Orders: what a customer bought, its lines, and every change it went through."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ColumnElement, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel, and_, col, or_

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import Sequence
from cloud_api.kit.statements import Bound


class Order(SQLModel, table=True):
    """A booking. Status is changed in orders/transitions.py only. Instants are business time."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint(
            "status IN ('pending_payment','paid','ready','in_use','completed','cancelled')"
        ),
        CheckConstraint("total_fen >= 0 AND paid_fen >= 0 AND refunded_fen >= 0"),
        Index("orders_by_start", "store_id", "starts_at"),  # a day is found without the past
        Index("orders_by_making", "store_id", "created_at"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    room_id: str = Field(foreign_key="room.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    claim_id: str = Field(foreign_key="room_claim.id", index=True)
    quote_id: str = Field(foreign_key="quote.id", unique=True)
    number: str = Field(unique=True)
    status: str = "pending_payment"
    starts_at: datetime = Field(sa_type=UTCDateTime)
    ends_at: datetime = Field(sa_type=UTCDateTime)
    hold_expires_at: datetime = Field(sa_type=UTCDateTime)
    total_fen: int
    paid_fen: int = 0
    refunded_fen: int = 0
    refunding_fen: int = 0  # asked for and not yet known to have arrived
    waiting_fen: int = 0  # goes back once the store says nobody used it (orders/refund_wait.py)
    cancel_why: str | None = None
    cancel_fee_fen: int = 0  # kept of what was paid, by the rules told before
    source: str = "app"  # app | staff | waitlist | series
    made_by: str | None = None  # the member of staff who booked for the customer
    staff_note: str = ""  # for staff alone
    series_id: str | None = Field(default=None, index=True)  # of a weekly booking
    entered_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    finished_early: bool = False
    used_s: int | None = None  # from the store's usage report
    power_on_s: int | None = None
    overtime_s: int | None = None
    usage: dict[str, Any] | None = Field(default=None, sa_type=Json)  # UsageBody, with its evidence
    created_at: datetime = Field(sa_type=UTCDateTime)
    version: int = 0


class OrderLine(SQLModel, table=True):
    """One line of an order's price; the lines sum to the total (I9)."""

    __tablename__ = "order_line"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    position: int
    kind: str = "room_time"  # room_time | overtime | discount …
    text: str
    amount_fen: int
    detail: dict[str, Any] = Field(default_factory=dict, sa_type=Json)


class OvertimeCharge(SQLModel, table=True):
    """What a stay's overtime costs, how that came about, and whether it is settled; one per order.

    States: free | due → paid | waived (orders/overtime.py). ``left_at`` is the last sign of somebody.
    """

    __tablename__ = "overtime_charge"
    __table_args__ = (
        CheckConstraint("state IN ('free','due','paid','waived')"),
        CheckConstraint("amount_fen >= 0 AND seconds >= 0 AND unit_minutes > 0"),
        CheckConstraint("state = 'free' OR amount_fen > 0"),
        CheckConstraint("state <> 'waived' OR waived_by IS NOT NULL"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    order_id: str = Field(foreign_key="orders.id", unique=True)
    state: str
    seconds: int  # as the store measured it, after grace
    minutes: int
    free_minutes: int
    units: int
    unit_minutes: int
    unit_fen: int
    amount_fen: int
    covered_fen: int = 0  # of it, from the deposit, the balance and payments
    capped: bool = False
    left_at: datetime = Field(sa_type=UTCDateTime)
    evidence: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    waived_by: str | None = None
    waived_why: str | None = None
    settled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)

    @property
    def owed_fen(self) -> int:
        """What is left to pay of one that is due."""
        return self.amount_fen - self.covered_fen if self.state == "due" else 0


class DepositRule(SQLModel, table=True):
    """What deposit a store asks, or one of its rooms (``room_id``); nothing is none."""

    __tablename__ = "deposit_rule"
    __table_args__ = (
        UniqueConstraint("store_id", "room_id"),
        CheckConstraint("amount_fen >= 0 AND return_minutes >= 0"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    room_id: str | None = Field(default=None, foreign_key="room.id")
    amount_fen: int = 0
    return_minutes: int = 30  # after the end of the stay


class RefundRequest(SQLModel, table=True):
    """A guest asks for money back. States in orders/refund_requests.py: open → approved | declined …"""

    __tablename__ = "refund_request"
    __table_args__ = (
        CheckConstraint("state IN ('open','approved','declined','withdrawn')"),
        CheckConstraint("asked_fen > 0 AND (approved_fen IS NULL OR approved_fen <= asked_fen)"),
        Index(
            "one_open_refund_request",
            "order_id",
            unique=True,
            postgresql_where=text("state = 'open'"),
            sqlite_where=text("state = 'open'"),
        ),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    state: str = "open"
    why: str
    asked_fen: int
    approved_fen: int | None = None
    proposal_fen: int = 0  # what the rule said then
    proposal_text: str = ""
    passed_up_by: str | None = None
    passed_up_why: str = ""
    decided_by: str | None = None
    decided_why: str = ""
    created_at: datetime = Field(sa_type=UTCDateTime)
    decided_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Deposit(SQLModel, table=True):
    """Money held against damage and overtime: paid with the order, given back after the stay.

    States in orders/deposits.py: waiting → held → settled; waiting → void. What was paid is always
    held + returned + damage + overtime.
    """

    __tablename__ = "deposit"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','held','settled','void')"),
        CheckConstraint(
            "amount_fen > 0 AND returned_fen >= 0 AND damage_fen >= 0 AND overtime_fen >= 0 "
            "AND returned_fen + damage_fen + overtime_fen <= amount_fen"
        ),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    order_id: str = Field(foreign_key="orders.id", unique=True)
    state: str = "waiting"
    amount_fen: int
    return_minutes: int = 30
    returned_fen: int = 0  # asked back; whether it arrived, its refund tells
    damage_fen: int = 0
    overtime_fen: int = 0
    return_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    settled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)

    @property
    def taken(self) -> bool:
        """Whether it was paid."""
        return self.state in {"held", "settled"}

    @property
    def held_fen(self) -> int:
        """What is still held."""
        if self.state != "held":
            return 0
        return self.amount_fen - self.returned_fen - self.damage_fen - self.overtime_fen


class DepositClaim(SQLModel, table=True):
    """What staff want to keep of a deposit, with reason and picture; its guest sees it and may object."""

    __tablename__ = "deposit_claim"
    __table_args__ = (
        CheckConstraint("amount_fen > 0"),
        CheckConstraint("state IN ('open','disputed','kept','dropped')"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    deposit_id: str = Field(foreign_key="deposit.id", index=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    state: str = "open"
    amount_fen: int
    why: str
    photo: str = ""  # a path of media, or where the picture lies
    by: str
    objection: str = ""  # the guest's words
    decided_by: str | None = None
    decided_why: str = ""
    created_at: datetime = Field(sa_type=UTCDateTime)
    decided_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class OrderEvent(SQLModel, table=True):
    """One change of an order: who, from what to what, why. Never changed, never deleted."""

    __tablename__ = "order_event"
    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    kind: str
    was: str | None = None
    now: str | None = None
    by: str
    why: str = ""
    body: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    at: datetime = Field(sa_type=UTCDateTime)


class OrderChange(SQLModel, table=True):
    """Another time or room for an order, or more time: held until paid, then applied (orders/changes.py).

    ``claim_ids`` are the pieces of room time held for it beside the order's own claim. ``told_epoch``
    and ``told_rev`` name the store's document that carries it; ``confirmed_at`` is when the store said
    that it obeys it. Instants are business time.
    """

    __tablename__ = "order_change"
    __table_args__ = (
        CheckConstraint("kind IN ('move','extension')"),
        CheckConstraint("state IN ('held','applied','lapsed')"),
        CheckConstraint("starts_at < ends_at AND was_starts_at < was_ends_at"),
        CheckConstraint("fee_fen >= 0 AND total_fen >= 0"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    kind: str
    state: str = "held"
    by: str
    why: str = ""
    was_room_id: str = Field(foreign_key="room.id")
    was_starts_at: datetime = Field(sa_type=UTCDateTime)
    was_ends_at: datetime = Field(sa_type=UTCDateTime)
    room_id: str = Field(foreign_key="room.id")
    starts_at: datetime = Field(sa_type=UTCDateTime)
    ends_at: datetime = Field(sa_type=UTCDateTime)
    lines: list[Any] = Field(default_factory=list, sa_type=Json)  # of the new time, as in a quote
    fee_fen: int = 0
    diff_fen: int = 0  # to pay (fee included); below zero what goes back
    total_fen: int  # of the order once it is applied
    claim_ids: list[Any] = Field(default_factory=list, sa_type=Json)
    hold_expires_at: datetime = Field(sa_type=UTCDateTime)
    applied_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    told_epoch: int | None = None
    told_rev: int | None = None
    confirmed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)


class RefundWait(SQLModel, table=True):
    """Money or voucher of a cancelled order that its store has to agree to first; see orders/refund_wait.py.

    ``amount_fen``: what is to be refunded; where nothing is, what the voucher that paid is worth, or the
    deposit.
    ``told_epoch`` and ``told_rev`` name the store's document that takes the right to enter back.
    Business time.
    """

    __tablename__ = "refund_wait"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','back','kept')"),
        CheckConstraint("amount_fen > 0"),
    )
    order_id: str = Field(foreign_key="orders.id", primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    claim_id: str = Field(foreign_key="room_claim.id")
    state: str = "waiting"
    amount_fen: int
    over_at: datetime = Field(sa_type=UTCDateTime)  # the order's end and grace
    told_epoch: int | None = None
    told_rev: int | None = None
    settled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)


class OrderShare(SQLModel, table=True):
    """A link with which friends join an order, so that the door opens for them too; one per order."""

    __tablename__ = "order_share"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    order_id: str = Field(foreign_key="orders.id", unique=True)
    token: str = Field(unique=True)
    most: int  # friends that may join
    revoked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)


class OrderGuest(SQLModel, table=True):
    """A friend who joined an order by its link; may open its door, and nothing else of it."""

    __tablename__ = "order_guest"
    __table_args__ = (UniqueConstraint("order_id", "account_id"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    joined_at: datetime = Field(sa_type=UTCDateTime)
    removed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class BlockedCustomer(SQLModel, table=True):
    """Somebody a merchant takes no bookings from, until when, and why."""

    __tablename__ = "blocked_customer"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    why: str
    by: str
    until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    lifted_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    lifted_by: str | None = None
    created_at: datetime = Field(sa_type=UTCDateTime)

    @classmethod
    def in_force(cls, now: Bound[datetime]) -> ColumnElement[bool]:
        """What holds at ``now``: not lifted, and not over."""
        return and_(
            col(cls.lifted_at).is_(None), or_(col(cls.until).is_(None), col(cls.until) > now)
        )


class WaitEntry(SQLModel, table=True):
    """Somebody who waits for a time that is taken (orders/waitlist.py); ``room_id`` None: any room.

    ``claim_id`` is the room time that is kept while it is offered.
    """

    __tablename__ = "wait_entry"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','offered','taken','left','over')"),
        CheckConstraint("starts_at < ends_at"),
        CheckConstraint("state <> 'offered' OR claim_id IS NOT NULL"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    room_id: str | None = Field(default=None, foreign_key="room.id")
    starts_at: datetime = Field(sa_type=UTCDateTime)
    ends_at: datetime = Field(sa_type=UTCDateTime)
    state: str = "waiting"
    passed: int = 0  # offers that were let go by
    claim_id: str | None = None
    offered_room_id: str | None = None
    offer_expires_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    order_id: str | None = None
    created_at: datetime = Field(sa_type=UTCDateTime)


class OrderExport(SQLModel, table=True):
    """A list of orders that is being written, or lies ready for who asked for it. Instants are wire time."""

    __tablename__ = "order_export"
    __table_args__ = (CheckConstraint("state IN ('waiting','running','done','failed')"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    staff_id: str = Field(index=True)
    form: str  # csv | xlsx
    wanted: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    store_ids: list[Any] | None = Field(default=None, sa_type=Json)
    state: str = "waiting"
    rows: int = 0  # written so far
    total: int = 0
    content: str | None = Field(default=None, sa_type=Encrypted("order_export.content"))  # base64
    size_bytes: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)
