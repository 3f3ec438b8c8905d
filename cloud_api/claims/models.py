"""Room time: the one table that says whose a room is when (I1).

The database refuses an overlap: an exclusion constraint on PostgreSQL, triggers on SQLite
(claims/guard.py holds both, and /readyz looks for them).
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id


class RoomClaim(SQLModel, table=True):
    """A claim of a room from ``block_from`` to ``block_until`` (half open: touching is legal).

    ``starts_at``..``ends_at`` is what was bought; the block adds cleaning. Business time.
    """

    __tablename__ = "room_claim"
    __table_args__ = (
        Index("ix_room_claim_ahead", "room_id", "block_until"),  # a day is found without the past
        CheckConstraint(
            "block_from <= starts_at AND starts_at < ends_at AND ends_at <= block_until"
        ),
        CheckConstraint("state IN ('held','confirmed','in_use','released')"),
        CheckConstraint("kind IN ('booking','maintenance','cleaning','external')"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    room_id: str = Field(foreign_key="room.id", index=True)
    order_id: str | None = Field(default=None, index=True)
    kind: str = "booking"
    starts_at: datetime = Field(sa_type=UTCDateTime)
    ends_at: datetime = Field(sa_type=UTCDateTime)
    block_from: datetime = Field(sa_type=UTCDateTime, index=True)
    block_until: datetime = Field(sa_type=UTCDateTime)
    state: str = "held"
    released_why: str | None = None
    # Guests who stay beyond ``ends_at`` are counted on until here; claims/overstay.py moves it on.
    overstay_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)


class BookingRule(SQLModel, table=True):
    """What a store, or one of its rooms, says about booking beyond the defaults (booking_rules.py).

    ``id`` is the room's id, or the store's for the rule of the whole store; ``rules`` holds only what
    was set, so that a room follows its store in everything else.
    """

    __tablename__ = "booking_rule"
    id: str = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    room_id: str | None = Field(default=None, foreign_key="room.id")
    rules: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    updated_at: datetime = Field(sa_type=UTCDateTime)
