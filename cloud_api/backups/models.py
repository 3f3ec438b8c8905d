"""Runs of the backup, good or not. What lies in the storage, the storage itself says."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id


class BackupRun(SQLModel, table=True):
    """One try. It belongs to the installation, not to a merchant. Instants are wire time."""

    __tablename__ = "backup_run"
    __table_args__ = (CheckConstraint("state IN ('asked','running','good','failed')"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    slot: str = Field(index=True)  # what asked for it: a night, or a person's tap
    by: str  # actor.ref
    state: str = "asked"
    stage: str = (
        ""  # dump | media | upload | check | retention; of a good one: verify.asked | verify
    )
    done_bytes: int = Field(default=0, sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UTCDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    heartbeat_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    name: str | None = None  # in the storage
    place: str = ""  # where, without secrets
    size_bytes: int = Field(default=0, sa_type=BigInteger)
    error: str | None = None  # code and sentence
    reported: bool = False  # a failure was told to the due job that asked
    manifest: dict[str, Any] | None = Field(default=None, sa_type=Json)
    verified_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
