"""The merchant: whose stores, money and staff they are."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import UTCDateTime
from cloud_api.kit.ids import new_id


class Merchant(SQLModel, table=True):
    """A business that owns stores. Merchants never see each other.

    ``second_factor``: who needs one at the console: ``off`` (whoever has set one up), ``owner``,
    ``all``. A suspended merchant's console is closed; what was booked still runs.
    """

    __table_args__ = (CheckConstraint("second_factor IN ('off','owner','all')"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    name: str = Field(max_length=80)
    created_at: datetime = Field(sa_type=UTCDateTime)
    second_factor: str = Field(default="off", sa_column_kwargs={"server_default": "off"})
    suspended_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    suspended_why: str = Field(default="", sa_column_kwargs={"server_default": ""})
