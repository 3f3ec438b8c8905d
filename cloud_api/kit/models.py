"""Tables of no business noun: outbox, due jobs, idempotency, live feed, throttles, signals."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id

Sequence = BigInteger().with_variant(Integer(), "sqlite")  # SQLite autoincrements INTEGER only


class OutboxRow(SQLModel, table=True):
    """Something to be done outside after the commit that wrote this row; in order per ``stream``."""

    __tablename__ = "outbox"
    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    merchant_id: str = Field(index=True)
    stream: str = Field(index=True)  # the store's id: order is kept within it
    topic: str  # "command" | "desired" | …
    body: dict[str, Any] = Field(sa_type=Json)
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # wire time
    sent_at: datetime | None = Field(default=None, sa_type=UTCDateTime, index=True)
    dropped: str | None = None  # why it was never sent
    attempts: int = 0


class OutboxLease(SQLModel, table=True):
    """Which relay drains a stream now."""

    __tablename__ = "outbox_lease"
    stream: str = Field(primary_key=True)
    holder: str
    until: datetime = Field(sa_type=UTCDateTime)


class DueJob(SQLModel, table=True):
    """Something to do at a time; leased, retried, dead after ``max_attempts``."""

    __tablename__ = "due_job"
    __table_args__ = (UniqueConstraint("kind", "ref", "run_at"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(index=True)
    kind: str
    ref: str
    clock: str = "business"  # which clock run_at is of: "business" | "wire"
    run_at: datetime = Field(sa_type=UTCDateTime, index=True)
    not_before: datetime | None = Field(default=None, sa_type=UTCDateTime)  # back-off, wire time
    body: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    attempts: int = 0
    max_attempts: int = 20
    locked_by: str | None = None
    locked_until: datetime | None = Field(default=None, sa_type=UTCDateTime)  # wire time
    done_at: datetime | None = Field(default=None, sa_type=UTCDateTime, index=True)
    dead_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    last_error: str | None = None


class IdempotencyKey(SQLModel, table=True):
    """The first answer to a request that creates or moves something."""

    __tablename__ = "idempotency_key"
    __table_args__ = (UniqueConstraint("actor", "key"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    actor: str
    key: str
    request_hash: str
    status: int | None = None  # None: still in progress
    response: dict[str, Any] | None = Field(default=None, sa_type=Json)
    created_at: datetime = Field(sa_type=UTCDateTime)


_HAS_ACCOUNT = text("account_id IS NOT NULL")


class FeedEntry(SQLModel, table=True):
    """A line of the live feed (SSE), kept so that any process can resume it by Last-Event-ID."""

    __tablename__ = "feed"
    __table_args__ = (
        Index(  # most lines are of no customer
            "feed_of_account",
            "account_id",
            postgresql_where=_HAS_ACCOUNT,
            sqlite_where=_HAS_ACCOUNT,
        ),
    )
    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    merchant_id: str = Field(index=True)
    store_id: str | None = None
    account_id: str | None = None
    topic: str  # "order" | "room" | "device" | "store" | "command"
    body: dict[str, Any] = Field(sa_type=Json)
    at: datetime = Field(sa_type=UTCDateTime)


class Throttle(SQLModel, table=True):
    """How often something happened in a window; key = ``what:who``."""

    __tablename__ = "throttle"
    key: str = Field(primary_key=True)
    window_start: datetime = Field(sa_type=UTCDateTime)
    count: int = 0


class AlarmSignal(SQLModel, table=True):
    """What is wrong now, or was: a level per (merchant, kind, subject); see kit/alarm_signals.py."""

    __tablename__ = "alarm_signal"
    __table_args__ = (UniqueConstraint("merchant_id", "kind", "subject"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(index=True)
    store_id: str | None = Field(default=None, index=True)
    kind: str
    subject: str  # "kind:id"
    active: bool
    since: datetime = Field(sa_type=UTCDateTime)  # wire time of the last change
    data: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    version: int = 0  # rises with every change
