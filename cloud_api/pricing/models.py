"""What an hour costs when, and the quotes made from it."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id


class Tariff(SQLModel, table=True):
    """An hourly price on some weekdays between two local times of day.

    ``weekdays`` is a bit mask, Monday = 1 … Sunday = 64. Minutes count from local midnight,
    ``until_minute`` ≤ 1440. Of several that match, the highest ``priority`` rules; one tariff with
    priority 0 covers everything, so that no minute is without a price.
    """

    __public__ = True
    __table_args__ = (
        CheckConstraint("hourly_fen >= 0"),
        CheckConstraint("from_minute >= 0 AND from_minute < until_minute AND until_minute <= 1440"),
        CheckConstraint("weekdays BETWEEN 1 AND 127"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    room_id: str | None = Field(default=None, foreign_key="room.id")  # None: every room
    name: str = Field(max_length=40)  # 平日, 周末, 晚间
    weekdays: int = 127
    from_minute: int = 0
    until_minute: int = 1440
    hourly_fen: int
    priority: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)


class Quote(SQLModel, table=True):
    """A price that was told to somebody; stored with its lines and never computed again."""

    __public__ = True  # its id is the secret of who asked; it holds no personal data
    __table_args__ = (CheckConstraint("total_fen >= 0"), CheckConstraint("starts_at < ends_at"))
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    room_id: str = Field(foreign_key="room.id", index=True)
    starts_at: datetime = Field(sa_type=UTCDateTime)
    ends_at: datetime = Field(sa_type=UTCDateTime)
    total_fen: int
    lines: list[Any] = Field(sa_type=Json)  # pricing.schemas.QuoteLine as JSON
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)  # business time
