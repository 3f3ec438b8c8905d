"""Who works for a merchant, in which stores, with which role."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime
from cloud_api.kit.ids import new_id


class StaffMember(SQLModel, table=True):
    """An account's role at a merchant. ``store_ids`` None: every store."""

    __tablename__ = "staff"
    __table_args__ = (UniqueConstraint("merchant_id", "account_id"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    name: str = Field(max_length=40)
    role: str  # a key of staff.permissions.ROLES, or the key of an own role
    store_ids: list[Any] | None = Field(default=None, sa_type=Json)
    active: bool = True
    created_at: datetime = Field(sa_type=UTCDateTime)


class Role(SQLModel, table=True):
    """A merchant's own role, or its changes to a preset one.

    ``key`` is a key of staff.permissions.ROLES (then ``permissions`` is None: the preset's) or, for
    an own role, its id. Limits in fen; None is no limit. ``second_factor``: who has this role needs
    one at the console.
    """

    __tablename__ = "staff_role"
    __table_args__ = (
        UniqueConstraint("merchant_id", "key"),
        CheckConstraint("refund_fen >= 0 AND waiver_fen >= 0"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    key: str
    name: str = Field(max_length=20)
    permissions: list[Any] | None = Field(default=None, sa_type=Json)
    refund_fen: int | None = None
    waiver_fen: int | None = None
    second_factor: bool = False
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)


class Invitation(SQLModel, table=True):
    """Somebody asked by SMS to work here; the link is good once, for seven days, for that phone."""

    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    token_hash: str = Field(unique=True)
    phone: str = Field(sa_type=Encrypted("invitation.phone"))
    phone_index: str = Field(index=True)
    phone_tail: str = Field(max_length=4)
    name: str = Field(max_length=40)
    role: str
    store_ids: list[Any] | None = Field(default=None, sa_type=Json)
    invited_by: str  # actor.ref
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)  # wire time
    accepted_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class PlatformAdmin(SQLModel, table=True):
    """Who runs the installation; belongs to no merchant."""

    __tablename__ = "platform_admin"
    id: str = Field(default_factory=new_id, primary_key=True)
    account_id: str = Field(foreign_key="account.id", unique=True)
    name: str = Field(max_length=40)
    created_at: datetime = Field(sa_type=UTCDateTime)
    removed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Impersonation(SQLModel, table=True):
    """An administrator of the installation at a merchant's console, for a reason, an hour at most.

    Its login stands in the owner's list of logins and ends with it.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    staff_id: str = Field(foreign_key="staff.id")
    admin_id: str = Field(foreign_key="platform_admin.id", index=True)
    login_id: str = Field(unique=True)
    read_only: bool
    why: str
    started_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)  # wire time


class ApiKey(SQLModel, table=True):
    """A key with which other software uses the console's API; hashed, shown once. Instants are wire time.

    ``store_ids`` None: every store. It may do what stands in ``permissions`` and nothing that asks for a
    second factor; it gives no money away (limits of nought).
    """

    __tablename__ = "api_key"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    name: str = Field(max_length=40)
    start: str = Field(max_length=16)  # of the key, so that people tell them apart
    token_hash: str = Field(unique=True)
    permissions: list[Any] = Field(sa_type=Json)
    store_ids: list[Any] | None = Field(default=None, sa_type=Json)
    created_by: str
    created_at: datetime = Field(sa_type=UTCDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # to ten minutes
    revoked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
