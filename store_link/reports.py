"""What a store says of itself: reported, presence, telemetry. None of it is billed by."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from store_link.messages import ClockQuality, RoomMode, StayState, Versioned
from store_link.shapes import Id, Message, Millis


class Quality(StrEnum):
    """Whether a value may be believed; kept apart from the value, which stays the last good one."""

    OK = "ok"
    STALE = "stale"
    FAULT = "fault"
    NEVER = "never"  # not read since start


class Value(Message):
    """A value as last read from a board."""

    value: bool | int | float | str | None
    quality: Quality
    at: Millis | None  # wire time of the last good read


class BoardReport(Message):
    """State of one board."""

    id: Id
    state: Literal["online", "offline", "refused", "starting"]
    detail: str = ""  # for engineers, in English
    why: str = (
        ""  # no_port, silent, garbled, wrong_board, two_boards, unfit; for people, in their words
    )


class StayReport(Message):
    """Where the store has a stay."""

    id: Id
    room: Id
    state: StayState


class Override(Message):
    """A staff override in force."""

    binding: Id
    on: bool
    until: Millis  # business time
    command: Id


class ModeReport(Message):
    """A mode in force in a room; rooms that are not named are in their normal one."""

    room: Id
    mode: RoomMode
    until: Millis | None  # business time


class AirReport(Message):
    """An air conditioner as its device says, and what it can be told; ``quality`` as for values.

    ``mode`` and ``fan`` are None where they are not known, or none of our words. Its temperature stands in
    ``values``. ``until``: somebody holds it so until then (business time).
    """

    binding: Id
    mode: str | None = None
    fan: str | None = None
    quality: Quality
    modes: tuple[str, ...] = ()
    fans: tuple[str, ...] = ()
    until: Millis | None = None


class ClimateReport(Message):
    """A temperature that staff hold."""

    binding: Id
    setpoint: int
    until: Millis  # business time
    command: Id


class OutboxReport(Message):
    """Events not yet acknowledged by the cloud."""

    depth: int
    oldest_at: Millis | None
    full: bool = False
    in_memory: bool = False  # the disk takes no writes: what is not sent lives until the power goes


class Reported(Versioned):
    """What is true in the store now; retained. Published on change, and at least every 30 s."""

    boot: Id
    nonce: Id
    sent_at: Millis
    epoch: int  # applied desired; 0 = none yet
    rev: int
    journal: Id
    version: str
    clock: ClockQuality
    boards: tuple[BoardReport, ...] = ()
    values: dict[str, Value] = Field(default={})  # by binding id
    stays: tuple[StayReport, ...] = ()
    overrides: tuple[Override, ...] = ()
    modes: tuple[ModeReport, ...] = ()
    climates: tuple[ClimateReport, ...] = ()
    airs: tuple[AirReport, ...] = ()  # none from a store that knows temperatures alone
    outbox: OutboxReport


class Presence(Versioned):
    """Retained, and the will. A ``lost`` whose nonce is not the present one is a late will: ignored."""

    state: Literal["online", "lost"]
    boot: Id
    nonce: Id  # new for every connection
    sent_at: Millis


class Telemetry(Versioned):
    """Sampled values, lossy; billing never depends on it."""

    sent_at: Millis
    values: dict[str, float]
