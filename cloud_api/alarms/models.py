"""Alarms, what happened to each, and a merchant's own rules for them."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import Sequence


class Alarm(SQLModel, table=True):
    """Something wrong: open → acknowledged → resolved (alarms/transitions.py). Instants are wire time.

    The database holds one that is not resolved per (merchant, kind, subject); a subject has one store.
    """

    __tablename__ = "alarm"
    __table_args__ = (
        CheckConstraint("state IN ('open','acknowledged','resolved')"),
        CheckConstraint("severity IN ('info','warning','critical')"),
        Index(
            "one_open_alarm",
            "merchant_id",
            "kind",
            "subject",
            unique=True,
            postgresql_where=text("state <> 'resolved'"),
            sqlite_where=text("state <> 'resolved'"),
        ),
        Index("alarm_list", "merchant_id", "state", "raised_at"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str | None = Field(default=None, foreign_key="store.id", index=True)
    kind: str  # kit.alarm_signals.KINDS
    subject: str  # "kind:id"
    severity: str
    state: str = "open"
    data: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    since: datetime = Field(sa_type=UTCDateTime)  # when the signal began
    raised_at: datetime = Field(sa_type=UTCDateTime)  # when it had lasted long enough
    level: int = 0  # how often it was passed on to the next
    times: int = 1  # how often it came back within the flapping time
    acknowledged_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    acknowledged_by: str | None = None
    resolved_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    resolved_by: str | None = None  # "signal" or an actor's ref
    version: int = 0


class AlarmEvent(SQLModel, table=True):
    """One thing that happened to an alarm; never changed, never deleted."""

    __tablename__ = "alarm_event"
    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str | None = Field(default=None, foreign_key="store.id")
    alarm_id: str = Field(foreign_key="alarm.id", index=True)
    kind: str  # raised | returned | acknowledged | escalated | resolved
    by: str
    why: str = ""
    at: datetime = Field(sa_type=UTCDateTime)


class AlarmRule(SQLModel, table=True):
    """A merchant's own rule for a kind, instead of the one in alarms/rules.py."""

    __tablename__ = "alarm_rule"
    __table_args__ = (
        UniqueConstraint("merchant_id", "kind"),
        CheckConstraint("raise_after_s BETWEEN 0 AND 86400"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    kind: str
    enabled: bool = True
    severity: str
    raise_after_s: int
    threshold: float | None = None  # what the kind measures: watts, days, percent
    steps: list[Any] = Field(default_factory=list, sa_type=Json)  # alarms.rules.Step as JSON
    updated_at: datetime = Field(sa_type=UTCDateTime)
