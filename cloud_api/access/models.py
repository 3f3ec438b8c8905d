"""The right to enter: a grant per paid order, with its PIN; passes are made from it."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime
from cloud_api.kit.ids import new_id


class Grant(SQLModel, table=True):
    """Entry for the guests of one order. Business time."""

    __tablename__ = "access_grant"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    order_id: str = Field(foreign_key="orders.id", unique=True)
    claim_id: str = Field(foreign_key="room_claim.id", index=True)
    rooms: list[Any] = Field(sa_type=Json)  # room ids
    not_before: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)
    pin: str = Field(sa_type=Encrypted("access_grant.pin"))
    created_at: datetime = Field(sa_type=UTCDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
