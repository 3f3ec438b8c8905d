"""The shape of a profile of a device that stands alone on its own serial line.

A code scanner sends lines whenever somebody holds a code before it; a voice module, a card reader or a
lock board speaks in frames. None of them shares its line, and none is Modbus.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from device_profiles.patterns import Pattern, Template
from device_profiles.sections import (
    ActionParam,
    Head,
    HexBytes,
    IntExpr,
    Name,
    Pace,
    Section,
    Serial,
)
from device_profiles.spoken_schema import (
    SpokenAction,
    SpokenCapability,
    SpokenPoint,
    SpokenPulse,
    SpokenSafety,
)


class LineFrame(Section):
    """How codes are told apart: a line of printable ASCII up to ``terminator``.

    Longer than ``max_bytes`` is dropped as a whole; a part that is not continued within
    ``idle_flush_ms`` is dropped as well, so that it is not glued to the next code.
    """

    terminator: HexBytes
    max_bytes: int = Field(default=512, ge=1, le=4096)
    idle_flush_ms: int = Field(default=120, ge=20, le=2000)


class SerialStream(Pace):
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
    """A frame to the device. ``once``: sent at most once, as whatever acts must be.

    ``rx`` is the answer. ``refusal`` is the answer by which it says that it did not do it.
    """

    tx: Template
    rx: Pattern | None = None
    refusal: Pattern | None = None
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


class Keys(Section):
    """How single keys make a code: ``keys`` translates the value of the frame's field, ``enter`` ends
    the code, ``clear`` throws it away, and so does ``idle_ms`` without a key.
    """

    keys: dict[str, str]
    enter: str
    clear: str
    idle_ms: int = Field(default=5000, ge=500, le=60_000)
    max_keys: int = Field(default=12, ge=1, le=64)


class EventDoc(Section):
    """Something the device says unasked. ``dedup_ms``: the same again so soon is the same one.

    In a profile of lines it is the line itself; ``prefix`` is taken off, and lines without it are
    none. In one of frames it is the ``field`` of a ``frame``. The value opens doors and is never logged.
    """

    type: Literal["string"]
    dedup_ms: int = Field(ge=0, le=60_000)
    prefix: str = ""
    frame: Pattern | None = None
    field: Name | None = None
    keypad: Keys | None = None

    @model_validator(mode="after")
    def _field_of_frame(self) -> EventDoc:
        if (self.frame is None) != (self.field is None):
            raise ValueError("frame and field belong together")
        if self.frame is not None and self.field not in {f.name for f in self.frame.fields}:
            raise ValueError(f"the frame has no field {self.field!r}")
        return self


class SimAnswer(Section):
    """What the virtual device answers to a frame; nothing where ``with`` is not given.

    In ``with`` there are the fields of ``to``, the install params, ``inputs`` and ``outputs`` as bit
    masks (input 1 is the lowest bit), and ``input`` for that of ``channel``. ``pulse`` works an output.
    """

    to: Pattern
    with_: Template | None = Field(default=None, alias="with")
    channel: IntExpr | None = None
    pulse: SpokenPulse | None = None
    plays: Name | None = None  # the field of ``to`` that is the number of the clip it plays


class SimSays(Section):
    """How the virtual device says what is held before it: ``prefix``, the code, a check of the code,
    ``suffix``. ``hex``: the code is given as hex and sent as bytes; ``keys``: a frame for each key.
    """

    prefix: HexBytes = b""
    form: Literal["ascii", "hex", "keys"] = "ascii"
    check: Literal["xor_digits", "xor8", "sum8"] | None = None
    suffix: HexBytes = b""


class StreamSimulator(Section):
    """From which the virtual device is made. ``opens``: while an output is on, the input of its number
    is off, as the door of a lock that is let go.
    """

    kind: Literal["line_source", "clip_player", "frame_source", "board"]
    answers: list[SimAnswer] = Field(default=[])
    says: SimSays | None = None
    outputs: int = Field(default=0, ge=0, le=256)
    opens: bool = False
    inputs: int = Field(default=0, ge=0, le=256)


class StreamGolden(Section):
    """Bytes from the manual: what goes out, what comes in (hex, or text of a code), what it means.

    ``values`` are points as the answer tells them, ``given`` the virtual device's inputs (by number
    from 1) that make it answer so.
    """

    name: str
    command: Name | None = None
    params: dict[str, int] = Field(default={})
    tx: HexBytes | None = None
    rx_chunks: list[HexBytes] = Field(default=[])
    rx_text: list[str] = Field(default=[])
    answered: bool | None = None
    events: list[dict[Name, str]] = Field(default=[])
    values: dict[str, bool | int | float | str] = Field(default={})
    given: list[int] = Field(default=[])

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


class StreamDoc(Head):
    """One file of the catalog: one model of scanner, card reader, keypad, lock board, voice module."""

    transport: SerialStream
    commands: dict[Name, CommandDoc] = Field(default={})
    alive: AliveDoc | None = None
    identify: list[IdentifyByte] = Field(default=[])
    events: dict[Name, EventDoc] = Field(default={})
    points: dict[Name, SpokenPoint] = Field(default={})
    actions: dict[Name, SpokenAction] = Field(default={})
    capabilities: dict[str, SpokenCapability]
    safety: SpokenSafety
    simulator: StreamSimulator
    tests: list[StreamGolden] = Field(min_length=1)
