"""A wish for an invoice. Instants are business time; money is fen."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, UTCDateTime
from cloud_api.kit.ids import new_id


class InvoiceRequest(SQLModel, table=True):
    """One per order; states in invoices/service.py. ``title`` is 抬头, ``tax_no`` the buyer's tax number."""

    __tablename__ = "invoice_request"
    __table_args__ = (
        CheckConstraint("kind IN ('person','company')"),
        CheckConstraint("state IN ('asked','issued','refused','withdrawn')"),
        CheckConstraint("amount_fen > 0"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    order_id: str = Field(foreign_key="orders.id", unique=True)
    kind: str
    title: str = Field(sa_type=Encrypted("invoice_request.title"))
    tax_no: str = ""
    email: str = Field(default="", sa_type=Encrypted("invoice_request.email"))
    amount_fen: int  # what the order had brought when it was asked for
    state: str = "asked"
    number: str = ""  # of the invoice, once it is made out
    why: str = ""  # it is not made out
    decided_by: str | None = None
    decided_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)
