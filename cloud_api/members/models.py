"""Members of a merchant and their levels; a person's copy of their own data."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime
from cloud_api.kit.ids import new_id


class DataExport(SQLModel, table=True):
    """One copy; it belongs to the account, to no merchant. Instants are wire time."""

    __tablename__ = "data_export"
    __table_args__ = (CheckConstraint("state IN ('asked','ready','expired')"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    state: str = "asked"
    content: str | None = Field(
        default=None, sa_type=Encrypted("data_export.content")
    )  # zip, base64
    size_bytes: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    ready_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class MemberLevel(SQLModel, table=True):
    """A level of a merchant's members, and what per cent of the room's price they pay."""

    __tablename__ = "member_level"
    __public__ = True
    __table_args__ = (
        UniqueConstraint("merchant_id", "name"),
        CheckConstraint("per_cent BETWEEN 10 AND 100"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    name: str = Field(max_length=20)  # 银卡, 金卡
    per_cent: int = 100  # 90: 9 折
    sort: int = 0  # higher is better
    created_at: datetime = Field(sa_type=UTCDateTime)


class Membership(SQLModel, table=True):
    """A customer's level at a merchant."""

    __table_args__ = (UniqueConstraint("merchant_id", "account_id"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    level_id: str = Field(foreign_key="member_level.id", index=True)
    by: str  # who said so: staff:…, system
    created_at: datetime = Field(sa_type=UTCDateTime)


class MemberProfile(SQLModel, table=True):
    """What a merchant knows of a customer: what staff wrote, and figures of their orders.

    The figures are made anew from the orders whenever one of them changes (orders/guests.py), in fen and
    business time. ``merged_into``: the account that everything of this one went to.
    """

    __tablename__ = "member_profile"
    __table_args__ = (
        UniqueConstraint("merchant_id", "account_id"),
        Index("ix_member_profile_last", "merchant_id", "last_at"),
        Index("ix_member_profile_spent", "merchant_id", "spent_fen"),
        Index("ix_member_profile_visits", "merchant_id", "visits"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    name: str | None = Field(default=None, sa_type=Encrypted("member_profile.name"))
    note: str | None = Field(default=None, sa_type=Encrypted("member_profile.note"))
    tags: list[Any] = Field(default_factory=list, sa_type=Json)
    phone_tail: str = Field(default="", max_length=4, index=True)
    orders: int = 0
    visits: int = 0
    spent_fen: int = 0  # paid less what went back, of orders that were not cancelled
    first_at: datetime = Field(sa_type=UTCDateTime)  # when they first ordered here
    last_at: datetime = Field(
        sa_type=UTCDateTime
    )  # the start of the last order that was not cancelled
    merged_into: str | None = None
