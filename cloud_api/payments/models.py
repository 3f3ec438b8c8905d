"""Money on its way: accounts at providers, payment and refund attempts, the inbox of notifications."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime
from cloud_api.kit.ids import new_id
from cloud_api.payments import bill_models  # noqa: F401  its tables are among ours


class ProviderAccount(SQLModel, table=True):
    """A merchant's account at a payment provider; ``credentials`` is JSON, encrypted.

    Without a ``store_id`` it takes money for every store of the merchant that has none of its own at
    this provider. Limits bound a single payment; ``channels`` empty means all that the provider has.
    """

    __tablename__ = "provider_account"
    __table_args__ = (
        CheckConstraint("min_fen IS NULL OR min_fen > 0", name="account_min"),
        CheckConstraint("max_fen IS NULL OR max_fen > 0", name="account_max"),
        CheckConstraint(
            "min_fen IS NULL OR max_fen IS NULL OR min_fen <= max_fen", name="account_span"
        ),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str | None = Field(default=None, foreign_key="store.id")
    provider: str  # a key of payments.providers.PROVIDERS
    name: str
    credentials: str = Field(sa_type=Encrypted("provider_account.credentials"))
    enabled: bool = True
    keys: dict[str, Any] = Field(default_factory=dict, sa_type=Json)  # public, by serial
    keys_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # wire time
    created_at: datetime = Field(sa_type=UTCDateTime)
    position: int = 0  # on the page where people choose
    min_fen: int | None = None
    max_fen: int | None = None
    channels: list[Any] = Field(default_factory=list, sa_type=Json)
    expires_at: datetime | None = Field(
        default=None, sa_type=UTCDateTime
    )  # the first certificate's
    checked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # the last try's time
    checked: str | None = None  # and how it went: "ok", or what is wrong, in words


class PaymentAttempt(SQLModel, table=True):
    """One try to collect money. ``number`` is sent to the provider; written before the call.

    States: created → pending → succeeded | closed | failed | unknown (payments/transitions.py).
    ``pays`` names what it pays for, e.g. ``order:<id>`` (payments/dispatch.py); ``part_of`` the thing
    that it belongs to: ``order:<id>`` for an extension or the overtime of that order too.
    """

    __tablename__ = "payment_attempt"
    __table_args__ = (
        CheckConstraint("amount_fen > 0"),
        UniqueConstraint("account_ref", "provider_txn"),
        Index(  # two taps on "pay" cannot open two payments for one thing
            "one_open_payment",
            "pays",
            unique=True,
            postgresql_where=text("state IN ('created', 'pending', 'unknown')"),
            sqlite_where=text("state IN ('created', 'pending', 'unknown')"),
        ),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(index=True)  # the customer
    account_ref: str = Field(foreign_key="provider_account.id")  # the provider account
    provider: str
    channel: str = "page"
    subject: str = ""  # what for, as the payer reads it; sent again unchanged on a retry
    return_url: str = ""  # where the provider's page leads back to
    pays: str = Field(index=True)
    part_of: str = Field(index=True)
    with_id: str | None = Field(default=None, index=True)  # the attempt whose other part this is
    number: str = Field(unique=True)
    amount_fen: int
    state: str = "created"
    provider_txn: str | None = None
    redirect_url: str | None = None  # of ``step``, where that is a redirect
    step: dict[str, Any] | None = Field(default=None, sa_type=Json)  # providers.base.Step, stored
    payer: str | None = Field(default=None, sa_type=Encrypted("payment_attempt.payer"))
    paid_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # as the provider says
    expires_at: datetime = Field(sa_type=UTCDateTime)  # business time: the last moment to pay
    created_at: datetime = Field(sa_type=UTCDateTime)
    succeeded_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    applied: str | None = None  # what the money did: "order" | "late_restored" | "late_refunded" …
    last_error: str | None = None
    version: int = 0


class RefundAttempt(SQLModel, table=True):
    """One try to give money back: created → submitted → succeeded | failed | abnormal | unknown.

    What a provider will not give back is asked again under another number (``replaced_by``) or given
    back by other means (``by_hand``, with ``proof``).
    """

    __tablename__ = "refund_attempt"
    __table_args__ = (CheckConstraint("amount_fen > 0"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(index=True)
    payment_id: str = Field(foreign_key="payment_attempt.id", index=True)
    number: str = Field(unique=True)
    amount_fen: int
    reason: str
    purpose: str = "price"  # or deposit
    state: str = "created"
    provider_refund: str | None = None
    created_at: datetime = Field(sa_type=UTCDateTime)
    succeeded_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    last_error: str | None = None
    replaced_by: str | None = None  # the number of the refund that was asked for instead
    origin: str = "ours"  # or "provider": made in the provider's own console
    proof: str | None = None  # of by_hand: where the money went, as staff wrote it
    version: int = 0


class Notification(SQLModel, table=True):
    """The inbox: what a provider told us, once each; handled in the transaction of its effect."""

    __tablename__ = "provider_notification"
    __table_args__ = (UniqueConstraint("source", "event_id"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    source: str  # provider account id
    event_id: str
    kind: str
    body: dict[str, Any] = Field(sa_type=Json)
    received_at: datetime = Field(sa_type=UTCDateTime)
    handled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    result: str | None = None
