"""Addresses that hear of events, and each delivery to one of them. Instants are wire time."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime
from cloud_api.kit.ids import new_id


class Webhook(SQLModel, table=True):
    """An address of other software. Address and secret may open doors elsewhere: both are encrypted.

    ``old_secret`` signs as well until ``old_until``. ``failing_since``: when the deliveries began to
    fail that have failed ever since. ``kinds`` empty: every kind. ``kept_by``: who made it, or started it
    again last: it is told while they work here.
    """

    __tablename__ = "webhook"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    name: str = Field(max_length=40)
    url: str = Field(sa_type=Encrypted("webhook.url"))
    host: str  # for people
    secret: str = Field(sa_type=Encrypted("webhook.secret"))
    old_secret: str | None = Field(default=None, sa_type=Encrypted("webhook.old_secret"))
    old_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    kinds: list[Any] = Field(default_factory=list, sa_type=Json)
    store_ids: list[Any] | None = Field(default=None, sa_type=Json)
    enabled: bool = True
    stopped_why: str = ""
    failing_since: datetime | None = Field(default=None, sa_type=UTCDateTime)
    from_feed: int = Field(default=0, sa_type=BigInteger)  # events after this one
    kept_by: str = ""  # actor.ref; empty: nobody knows
    created_at: datetime = Field(sa_type=UTCDateTime)


class WebhookDelivery(SQLModel, table=True):
    """One event for one address: waiting → sent | failed; ``id`` is the message's, the same at each try."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("webhook_id", "feed_id"),
        CheckConstraint("state IN ('waiting','sent','failed')"),
        Index("webhook_delivery_list", "webhook_id", "id"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    webhook_id: str = Field(foreign_key="webhook.id")
    feed_id: int | None = Field(default=None, sa_type=BigInteger)  # None: a test
    kind: str
    body: dict[str, Any] = Field(sa_type=Json)
    state: str = "waiting"
    tries: int = 0
    replays: int = 0
    status: int | None = None  # of the last answer
    took_ms: int | None = None
    said: str = ""  # the beginning of the last answer, or what was wrong
    created_at: datetime = Field(sa_type=UTCDateTime)
    tried_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
