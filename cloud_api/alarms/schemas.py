"""What goes in and out of the routes for alarms."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field, field_validator

from cloud_api.alarms.models import Alarm, AlarmEvent
from cloud_api.alarms.rules import RULES, SEVERITY_NAMES, STATE_NAMES, Rule, Severity, Step


class AlarmOut(BaseModel):
    """An alarm; instants are real time."""

    id: str
    store_id: str | None
    kind: str
    name: str
    subject: str
    severity: str
    severity_name: str
    state: str
    state_name: str
    detail: str  # as the store's program says it
    why: str  # no_port, silent, … (reasons.WHY), or empty
    room_id: str | None
    raised_at: datetime
    since: datetime
    times: int
    level: int
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    settles_itself: bool

    @classmethod
    def of(cls, alarm: Alarm) -> AlarmOut:
        """From the table."""
        rule = RULES[alarm.kind]
        return cls(
            id=alarm.id,
            store_id=alarm.store_id,
            kind=alarm.kind,
            name=rule.name,
            subject=alarm.subject,
            severity=alarm.severity,
            severity_name=SEVERITY_NAMES[alarm.severity],
            state=alarm.state,
            state_name=STATE_NAMES[alarm.state],
            detail=str(alarm.data.get("detail") or ""),
            why=str(alarm.data.get("why") or ""),
            room_id=alarm.data.get("room_id"),
            raised_at=alarm.raised_at,
            since=alarm.since,
            times=alarm.times,
            level=alarm.level,
            acknowledged_at=alarm.acknowledged_at,
            resolved_at=alarm.resolved_at,
            settles_itself=rule.settles_itself,
        )


class AlarmsOut(BaseModel):
    """A page of alarms."""

    items: list[AlarmOut]
    next_cursor: str | None = None


class AlarmEventOut(BaseModel):
    """One thing that happened to an alarm."""

    kind: str
    by: str
    why: str
    at: datetime


class AlarmDetailOut(AlarmOut):
    """An alarm with its history."""

    history: list[AlarmEventOut]

    @classmethod
    def with_history(cls, alarm: Alarm, events: Sequence[AlarmEvent]) -> AlarmDetailOut:
        """From the tables."""
        told = [AlarmEventOut(kind=e.kind, by=e.by, why=e.why, at=e.at) for e in events]
        return cls(**AlarmOut.of(alarm).model_dump(), history=told)


class WhyIn(BaseModel):
    """A word on what was done."""

    why: str = Field("", max_length=500)


class RuleIn(BaseModel):
    """A merchant's own rule for a kind. A form gives ``steps`` as rows by number; one without ``to`` is none."""

    enabled: bool = True
    severity: Severity
    raise_after_s: int = Field(ge=0, le=86400)
    threshold: float | None = Field(None, ge=0, le=1_000_000)
    steps: list[Step] = Field(max_length=10)

    @field_validator("steps", mode="before")
    @classmethod
    def _rows(cls, given: Any) -> Any:
        """Rows of a form in their order; no channel chosen means those of the event's own rule."""
        if not isinstance(given, dict):
            return given
        rows = [given[key] for key in sorted(given, key=str)]
        return [
            {**row, "channels": row.get("channels") or None}
            for row in rows
            if isinstance(row, dict) and row.get("to")
        ]


class RulesOut(BaseModel):
    """Every kind's rule."""

    items: list[Rule]
