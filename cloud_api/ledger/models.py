"""The books' tables: transactions, their entries, business days, counts of the cash drawer."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id


class LedgerTxn(SQLModel, table=True):
    """One thing that happened to money. ``key`` names its cause, so it is posted once.

    Inserted after its entries: the database checks then that they sum to zero (ledger/guard.py).
    """

    __tablename__ = "ledger_txn"
    __table_args__ = (
        UniqueConstraint("merchant_id", "key"),
        Index("ledger_txn_of_day", "store_id", "day"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id")
    day: date  # the store's business day
    kind: str
    key: str
    subject: str = Field(index=True)  # "order:<id>", "topup:<id>" …
    text: str = ""
    by: str = "system"
    at: datetime = Field(sa_type=UTCDateTime)


class LedgerEntry(SQLModel, table=True):
    """One side of a transaction; fen, debit positive, credit negative."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        CheckConstraint("amount_fen <> 0"),
        Index("ledger_entry_of_day", "store_id", "day", "account"),
        Index("ledger_entry_of_subject", "subject", "account"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    txn_id: str = Field(
        sa_column=Column(
            String,
            ForeignKey("ledger_txn.id", deferrable=True, initially="DEFERRED"),
            nullable=False,
            index=True,
        )
    )
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id")
    day: date
    account: str
    detail: str = ""
    subject: str
    amount_fen: int


class LedgerDay(SQLModel, table=True):
    """A store's business day: open, or closed with what it came to. A closed day never changes."""

    __tablename__ = "ledger_day"
    __table_args__ = (
        UniqueConstraint("store_id", "day"),
        CheckConstraint("state IN ('open','closed')"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    day: date
    state: str = "open"
    totals: dict[str, Any] = Field(default_factory=dict, sa_type=Json)  # "account/detail": fen
    closed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    closed_by: str | None = None


class CashCount(SQLModel, table=True):
    """The drawer was counted: what should have been in it, what was, and why they differ."""

    __tablename__ = "cash_count"
    __table_args__ = (CheckConstraint("counted_fen >= 0"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    day: date
    expected_fen: int
    counted_fen: int
    why: str = ""
    by: str
    at: datetime = Field(sa_type=UTCDateTime)
