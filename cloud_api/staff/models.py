"""Who works for a merchant, in which stores, with which role."""

from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id


class StaffMember(SQLModel, table=True):
    """An account's role at a merchant. ``store_ids`` None: every store."""

    __tablename__ = "staff"
    __table_args__ = (UniqueConstraint("merchant_id", "account_id"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    name: str = Field(max_length=40)
    role: str  # a key of staff.permissions.ROLES
    store_ids: list[Any] | None = Field(default=None, sa_type=Json)
    active: bool = True
    created_at: datetime = Field(sa_type=UTCDateTime)
