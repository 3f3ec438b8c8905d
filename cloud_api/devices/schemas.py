"""What goes in and out of the routes for devices."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

Why = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class SetIn(BaseModel):
    """Switch and hold for ``for_s`` seconds (elapsed time), at most a day."""

    on: bool
    for_s: Annotated[int, Field(ge=1, le=86400)] = 1800
    why: Why
    force: bool = False


class ClearIn(BaseModel):
    """End an override."""

    why: Why = ""


class CommandOut(BaseModel):
    """A command and what became of it so far. ``…_ms`` count from the request."""

    command_id: str
    action: str
    target: str
    state: str
    final: bool
    reason: str | None
    message: str
    sent_ms: int | None
    accepted_ms: int | None
    took_ms: int | None
    evidence: dict[str, Any]
    expires_at: datetime


class BoardOut(BaseModel):
    """A board; ``state`` as the store reported it: online, offline, refused, starting, unknown."""

    id: str
    name: str
    profile: str
    port: str
    state: str


class BindingOut(BaseModel):
    """A use of a board with its last value; ``quality``: ok, stale, fault, never."""

    id: str
    board_id: str
    name: str
    capability: str
    channel: int | None
    role: str
    rooms: list[str]
    value: bool | int | float | str | None
    quality: str
    at: datetime | None
    override_until: datetime | None


class DevicesOut(BaseModel):
    """Everything in a store as it was last reported; ``stale`` = do not trust it for now."""

    online: bool
    stale: bool
    reported_at: datetime | None
    clock: str
    version: str
    desired_epoch: int
    desired_rev: int
    outbox_depth: int
    boards: list[BoardOut]
    bindings: list[BindingOut]


class EnrolmentOut(BaseModel):
    """A code for ``kaimen-edge enroll``; shown once."""

    code: str
    expires_in_s: int
