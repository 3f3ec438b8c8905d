"""A person's copy of their own data, until it was fetched or its week is over."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, UTCDateTime
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
