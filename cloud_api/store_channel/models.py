"""What the cloud keeps of its talk with stores: desired documents, cursors, events, failures, leases."""

from datetime import datetime
from typing import Any

from sqlalchemy import DDL, Index, LargeBinary, UniqueConstraint, event, text
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime


class DesiredDoc(SQLModel, table=True):
    """The desired document of a store as it was signed and published."""

    __tablename__ = "desired_doc"
    store_id: str = Field(primary_key=True, foreign_key="store.id")
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    epoch: int = 1
    rev: int = 0
    payload: bytes = Field(sa_type=LargeBinary)  # the sealed bytes on the topic
    content_hash: str = ""  # of the document without rev and sent_at: unchanged content, no new rev
    published_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class EventCursor(SQLModel, table=True):
    """How far a store's journal was taken; moved by compare-and-set in the events' transaction (I6).

    Its rows are written again with each batch. They have room to be so beside where they stand
    (PostgreSQL's fillfactor, percent): then no index is told, and what they were is swept up at once.
    """

    __tablename__ = "event_cursor"
    __table_args__ = (UniqueConstraint("store_id", "journal"),)
    journal: str = Field(primary_key=True)
    store_id: str = Field(foreign_key="store.id")
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    upto: int = 0
    moved_at: datetime = Field(sa_type=UTCDateTime)


_ROOM = DDL("ALTER TABLE event_cursor SET (fillfactor = 50)")  # type: ignore[no-untyped-call]
event.listen(
    EventCursor.__table__,  # type: ignore[attr-defined]
    "after_create",
    _ROOM.execute_if(dialect="postgresql"),
)

_ACCESS = text("kind = 'access'")


class StoreEvent(SQLModel, table=True):
    """One journaled fact of a store, exactly once.

    The largest table, and what is written most: it has no index that nobody looks things up by, and no
    foreign keys. Its store and merchant are those of its journal's cursor, which is moved in the same
    transaction and cannot go while they are named there.
    """

    __tablename__ = "store_event"
    __table_args__ = (
        UniqueConstraint("journal", "seq"),
        Index("store_event_old", "merchant_id", "received_at"),  # for what is to be forgotten
        Index(  # who was let in lately
            "store_event_access",
            "store_id",
            "received_at",
            postgresql_where=_ACCESS,
            sqlite_where=_ACCESS,
        ),
    )
    id: str = Field(primary_key=True)  # the event's own id
    merchant_id: str
    store_id: str
    journal: str
    seq: int
    at: datetime = Field(sa_type=UTCDateTime)  # business time at the store
    clock: str
    kind: str
    body: dict[str, Any] = Field(sa_type=Json)
    historical: bool = False
    received_at: datetime = Field(sa_type=UTCDateTime)  # wire time


class EventFailure(SQLModel, table=True):
    """An event whose effect failed: tried again until ``dead_at``, then left for a person to see.

    The event itself is never lost: until it is dead it holds its journal up, afterwards it stands in
    ``store_event`` like any other, without its effect. ``settled_at``: the effect came about in the end.
    """

    __tablename__ = "event_failure"
    event_id: str = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    journal: str
    seq: int
    kind: str
    attempts: int = 0
    last_error: str = ""
    first_at: datetime = Field(sa_type=UTCDateTime)  # all instants are wire time
    not_before: datetime = Field(sa_type=UTCDateTime)  # the next try
    dead_at: datetime | None = Field(default=None, sa_type=UTCDateTime, index=True)
    settled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class IngestWorker(SQLModel, table=True):
    """An ingest worker that lives, also while it holds no shard: so that others leave it its share."""

    __tablename__ = "ingest_worker"
    holder: str = Field(primary_key=True)
    until: datetime = Field(sa_type=UTCDateTime)


class ShardLease(SQLModel, table=True):
    """Which ingest worker listens to a shard: for balance only, never for correctness."""

    __tablename__ = "shard_lease"
    shard: int = Field(primary_key=True)
    holder: str
    until: datetime = Field(sa_type=UTCDateTime)
