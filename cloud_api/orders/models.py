"""Orders: what a customer bought, its lines, and every change it went through."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import Sequence


class Order(SQLModel, table=True):
    """A booking. Status is changed in orders/transitions.py only. Instants are business time."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint(
            "status IN ('pending_payment','paid','ready','in_use','completed','cancelled')"
        ),
        CheckConstraint("total_fen >= 0 AND paid_fen >= 0 AND refunded_fen >= 0"),
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
    cancel_why: str | None = None
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
    capped: bool = False
    left_at: datetime = Field(sa_type=UTCDateTime)
    evidence: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    waived_by: str | None = None
    waived_why: str | None = None
    settled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)


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
