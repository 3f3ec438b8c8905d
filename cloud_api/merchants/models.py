"""The merchant: whose stores, money and staff they are."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import UTCDateTime
from cloud_api.kit.ids import new_id


class Merchant(SQLModel, table=True):
    """A business that owns stores. Merchants never see each other."""

    id: str = Field(default_factory=new_id, primary_key=True)
    name: str = Field(max_length=80)
    created_at: datetime = Field(sa_type=UTCDateTime)
