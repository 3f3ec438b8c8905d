"""What the cloud keeps of its talk with stores: desired documents, event cursors, events, shard leases."""

from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, UniqueConstraint
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
    """How far a store's journal was taken; moved by compare-and-set in the events' transaction (I6)."""

    __tablename__ = "event_cursor"
    __table_args__ = (UniqueConstraint("store_id", "journal"),)
    journal: str = Field(primary_key=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    upto: int = 0
    moved_at: datetime = Field(sa_type=UTCDateTime)


class StoreEvent(SQLModel, table=True):
    """One journaled fact of a store, exactly once."""

    __tablename__ = "store_event"
    __table_args__ = (UniqueConstraint("journal", "seq"),)
    id: str = Field(primary_key=True)  # the event's own id
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    journal: str
    seq: int
    at: datetime = Field(sa_type=UTCDateTime)  # business time at the store
    clock: str
    kind: str = Field(index=True)
    body: dict[str, Any] = Field(sa_type=Json)
    historical: bool = False
    received_at: datetime = Field(sa_type=UTCDateTime)  # wire time


class ShardLease(SQLModel, table=True):
    """Which ingest worker listens to a shard: for balance only, never for correctness."""

    __tablename__ = "shard_lease"
    shard: int = Field(primary_key=True)
    holder: str
    until: datetime = Field(sa_type=UTCDateTime)
