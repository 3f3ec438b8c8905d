"""Providers' daily bills as we have read them, and where they and our books differ."""

from datetime import date, datetime

from sqlalchemy import Date, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import UTCDateTime
from cloud_api.kit.ids import new_id


class ProviderBill(SQLModel, table=True):
    """One day of one account. Sums in fen; refunds are positive.

    ``state``: waiting (not there yet, see ``last_error``), balanced, open (somebody must look), none
    (the provider has no bills). ``day`` is of the provider's calendar.
    """

    __tablename__ = "provider_bill"
    __table_args__ = (UniqueConstraint("account_ref", "day"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str | None = Field(default=None, foreign_key="store.id")  # the account's
    account_ref: str = Field(foreign_key="provider_account.id")
    provider: str
    day: date = Field(sa_type=Date)
    state: str = "waiting"
    digest: str = ""
    lines: int = 0
    theirs_paid_fen: int = 0
    theirs_refunded_fen: int = 0
    fee_fen: int = 0  # what the provider kept, less what it gave back with refunds
    ours_paid_fen: int = 0
    ours_refunded_fen: int = 0
    open_differences: int = 0
    healed: int = 0  # what was missing here and is not any more
    tries: int = 0
    last_error: str | None = None
    read_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class BillRow(SQLModel, table=True):
    """One movement of a bill."""

    __tablename__ = "provider_bill_line"
    __table_args__ = (UniqueConstraint("bill_id", "kind", "number", "payment_number"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    account_ref: str = Field(foreign_key="provider_account.id")
    bill_id: str = Field(foreign_key="provider_bill.id", index=True)
    kind: str  # payment | refund
    number: str = Field(index=True)
    payment_number: str
    provider_no: str = ""
    amount_fen: int
    fee_fen: int = 0
    state: str
    at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class BillDifference(SQLModel, table=True):
    """Where a bill and our books say different things. ``state``: open, healed (by itself), resolved.

    ``category``: missing_here (money there that we know nothing of), missing_there (we count money that
    the bill has not), amount (another sum), state (theirs moved, ours did not).
    """

    __tablename__ = "bill_difference"
    __table_args__ = (UniqueConstraint("bill_id", "category", "kind", "number"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str | None = Field(default=None, foreign_key="store.id")
    bill_id: str = Field(foreign_key="provider_bill.id", index=True)
    category: str
    kind: str
    number: str
    theirs_fen: int | None = None
    ours_fen: int | None = None
    ours_state: str | None = None
    pays: str | None = None  # what it is for, as the attempt names it
    state: str = "open"
    note: str = ""
    by: str = ""
    found_at: datetime = Field(sa_type=UTCDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
