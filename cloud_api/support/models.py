"""What guests say: reviews of a stay, and tickets with their messages. Instants are business time."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id


class Review(SQLModel, table=True):
    """What a guest thought of a stay; one per order. Hidden ones stay, with who hid them and why."""

    __table_args__ = (
        CheckConstraint("stars BETWEEN 1 AND 5"),
        CheckConstraint("hidden_at IS NULL OR hidden_why IS NOT NULL"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    room_id: str = Field(foreign_key="room.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    order_id: str = Field(foreign_key="orders.id", unique=True)
    stars: int
    text: str = ""
    photos: list[Any] = Field(default_factory=list, sa_type=Json)  # media ids
    reply: str = ""
    replied_by: str | None = None
    replied_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    hidden_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    hidden_by: str | None = None
    hidden_why: str | None = None
    created_at: datetime = Field(sa_type=UTCDateTime)


class Ticket(SQLModel, table=True):
    """An inquiry, a complaint, a broken thing, or a bill that a guest disputes (support/tickets.py)."""

    __table_args__ = (
        CheckConstraint("kind IN ('inquiry','complaint','repair','dispute')"),
        CheckConstraint("state IN ('open','answered','closed')"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    order_id: str | None = Field(default=None, foreign_key="orders.id", index=True)
    kind: str
    subject: str = Field(max_length=80)
    state: str = "open"
    assigned_to: str | None = None  # staff id
    last_at: datetime = Field(sa_type=UTCDateTime)  # of the last message
    closed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)


class TicketMessage(SQLModel, table=True):
    """A message of a ticket. ``inside``: a note of the staff's that the guest does not see."""

    __tablename__ = "ticket_message"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    ticket_id: str = Field(foreign_key="ticket.id", index=True)
    by: str
    text: str
    photos: list[Any] = Field(default_factory=list, sa_type=Json)
    inside: bool = False
    at: datetime = Field(sa_type=UTCDateTime)
