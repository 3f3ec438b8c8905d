"""Rows of the journal as plain values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from controller.journal.models import CommandEntry, StayEntry
from controller.stay import StayRecord
from controller.timekeeper import Mark
from store_link.messages import ClockQuality, Reason, StayState


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A command as far as it came: ``state`` is ``received``, ``executing``, ``opened`` or an AckState."""

    id: str
    action: str
    target: str
    grant: str | None
    by: str
    state: str
    reason: Reason | None
    reply_to: str
    received_at: int
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DesiredRecord:
    """The applied document: the signed envelope as it was received."""

    epoch: int
    rev: int
    payload: bytes


def mark_from(value: dict[str, Any] | None) -> Mark | None:
    """The clock's mark as kept under ``clock``."""
    return None if value is None else Mark(**value)


def stay_of(row: StayEntry) -> StayRecord:
    values = {field.name: getattr(row, field.name) for field in fields(StayRecord)}
    values["state"] = StayState(row.state)
    values["keep"] = bool(row.keep)
    values["anchor"] = row.anchor and ClockQuality(row.anchor)
    return StayRecord(**values)


def stay_from(kept: dict[str, Any]) -> StayRecord:
    """A stay as ``dataclasses.asdict`` gave it, by way of JSON."""
    anchor = kept["anchor"]
    told = {"state": StayState(kept["state"]), "anchor": anchor and ClockQuality(anchor)}
    return StayRecord(**{**kept, **told})


def command_of(row: CommandEntry) -> CommandRecord:
    values = {field.name: getattr(row, field.name) for field in fields(CommandRecord)}
    values["reason"] = row.reason and Reason(row.reason)
    return CommandRecord(**values)
