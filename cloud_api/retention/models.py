"""What a merchant chose to keep for how long, and what each night's clearing took. Instants are wire time."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime


class RetentionRule(SQLModel, table=True):
    """``days`` by kind, where the merchant's choice is not ours; 0 keeps for ever."""

    __tablename__ = "retention_rule"
    merchant_id: str = Field(foreign_key="merchant.id", primary_key=True)
    days: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    changed_at: datetime = Field(sa_type=UTCDateTime)
    changed_by: str


class RetentionRun(SQLModel, table=True):
    """A kind in a night: how many ``rows`` went so far, all from before ``before``; done or to be gone on with."""

    __tablename__ = "retention_run"
    __table_args__ = (CheckConstraint("rows >= 0"),)
    merchant_id: str = Field(foreign_key="merchant.id", primary_key=True)
    night: str = Field(primary_key=True, max_length=10)  # 2026-11-26
    kind: str = Field(primary_key=True, max_length=20)
    before: datetime = Field(sa_type=UTCDateTime)
    rows: int = 0
    done_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
