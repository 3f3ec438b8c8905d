"""The shape of a profile of a device that talks by itself on its own serial line.

A code scanner sends lines whenever somebody holds a code before it; a voice module takes frames and
plays. Neither shares its line, has registers or is polled for points.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from device_profiles.patterns import Pattern, Template
from device_profiles.schema import (
    ActionParam,
    Alias,
    Caveat,
    HexBytes,
    Name,
    Section,
    Serial,
    Source,
)


class LineFrame(Section):
    """How codes are told apart: a line of printable ASCII up to ``terminator``.

    Longer than ``max_bytes`` is dropped as a whole; a part that is not continued within
    ``idle_flush_ms`` is dropped as well, so that it is not glued to the next code.
    """

    terminator: HexBytes
    max_bytes: int = Field(default=512, ge=1, le=4096)
    idle_flush_ms: int = Field(default=120, ge=20, le=2000)


class SerialStream(Section):
    """One device alone on a serial line. ``skip``: frames that are neither answers nor codes."""

    type: Literal["serial_lines", "serial_frames"]
    serial: Serial
    frame: LineFrame | None = None
    skip: list[Pattern] = Field(default=[])
    response_timeout_ms: int = Field(default=500, ge=10, le=5000)
    min_gap_ms: int = Field(default=20, ge=1, le=500)
    read_retries: int = Field(default=1, ge=0, le=5)

    @model_validator(mode="after")
    def _frame_of_lines(self) -> SerialStream:
        if (self.type == "serial_lines") != (self.frame is not None):
            raise ValueError("serial_lines needs a frame, serial_frames has none")
        return self


class CommandDoc(Section):
    """A frame to the device. ``once``: sent at most once, as whatever acts must be."""

    tx: Template
    rx: Pattern | None = None
    params: dict[Name, ActionParam] = Field(default={})
    once: bool = False


class AliveDoc(Section):
    """The question that shows that the device is there, and how often it is asked."""

    command: Name
    every_ms: int = Field(ge=500, le=600_000)


class IdentifyByte(Section):
    """A byte of an answer that must be right before the device is trusted."""

    command: Name
    at: int = Field(ge=0, le=255)
    mask: int = Field(default=0xFF, ge=1, le=0xFF)
    among: list[int] = Field(min_length=1)
    what: str
    otherwise: str


class EventDoc(Section):
    """Something the device says unasked. ``dedup_ms``: the same again so soon is the same one."""

    type: Literal["string"]
    dedup_ms: int = Field(ge=0, le=60_000)


class StreamCapability(Section):
    """``event`` for what it tells; ``command`` with its ``clips`` for what it says aloud."""

    event: Name | None = None
    command: Name | None = None
    clips: dict[Name, dict[Name, int]] = Field(default={})

    @model_validator(mode="after")
    def _one_way(self) -> StreamCapability:
        if (self.event is None) == (self.command is None):
            raise ValueError("give either an event or a command")
        return self


class StreamSafety(Section):
    """What is done when the device is gone; it can neither open nor cut anything."""

    on_bus_lost: Literal["alarm"]


class SimAnswer(Section):
    """What the virtual device answers to a frame."""

    to: Pattern
    with_: HexBytes = Field(alias="with")


class SimPlay(Section):
    """The frame that plays a clip, and where its number (two bytes) stands in it."""

    to: Pattern
    number_at: int = Field(ge=0)


class StreamSimulator(Section):
    """From which the virtual device is made."""

    kind: Literal["line_source", "clip_player"]
    answers: list[SimAnswer] = Field(default=[])
    plays: SimPlay | None = None


class StreamGolden(Section):
    """Bytes from the manual: what goes out, what comes in (hex, or text of a code), what it means."""

    name: str
    command: Name | None = None
    params: dict[str, int] = Field(default={})
    tx: HexBytes | None = None
    rx_chunks: list[HexBytes] = Field(default=[])
    rx_text: list[str] = Field(default=[])
    answered: bool | None = None
    events: list[dict[Name, str]] = Field(default=[])

    @model_validator(mode="after")
    def _both_or_none(self) -> StreamGolden:
        if (self.command is None) != (self.tx is None):
            raise ValueError("command and tx belong together")
        if self.rx_chunks and self.rx_text:
            raise ValueError("give rx_chunks or rx_text, not both")
        return self

    @property
    def chunks(self) -> list[bytes]:
        """The bytes that come, piece by piece."""
        return self.rx_chunks or [text.encode("ascii") for text in self.rx_text]


class StreamDoc(Section):
    """One file of the catalog: one model of scanner, card reader or voice module."""

    schema_: Literal[1] = Field(alias="schema")
    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*$")
    revision: int = Field(ge=1)
    kind: Literal["code_scanner", "card_reader", "keypad", "speaker"]
    vendor: str
    model: str
    aliases: list[Alias] = Field(default=[])
    sources: list[Source] = Field(min_length=1)
    verified: Literal["doc", "bench", "field"]
    caveats: list[Caveat] = Field(default=[])
    transport: SerialStream
    commands: dict[Name, CommandDoc] = Field(default={})
    alive: AliveDoc | None = None
    identify: list[IdentifyByte] = Field(default=[])
    events: dict[Name, EventDoc] = Field(default={})
    capabilities: dict[str, StreamCapability]
    safety: StreamSafety
    simulator: StreamSimulator
    tests: list[StreamGolden] = Field(min_length=1)
