"""A board's profile as programs use it: every point and action by name, every address a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from device_profiles.patterns import BytePattern, FrameTemplate
from device_profiles.schema import Expect, Format, Golden, ModbusRtu, Safety, Simulator, Table
from device_profiles.stream_schema import (
    AliveDoc,
    EventDoc,
    IdentifyByte,
    SerialStream,
    StreamGolden,
    StreamSimulator,
)

ALONE = 0  # the unit number of a device that shares its line with nobody


class ProfileError(ValueError):
    """A profile, or the parameters given to one, cannot be used; the text says what and where."""


@dataclass(frozen=True, slots=True)
class ReadSpec:
    """Where and how a value is read. ``scale`` multiplies the raw number."""

    table: Table
    address: int
    format: Format
    word_order: Literal["high_first", "low_first"]
    bit: int | None
    scale: float | int

    @property
    def width(self) -> int:
        """Registers (or bits) that the value takes."""
        return 2 if self.format in ("u32", "s32", "f32") else 1


@dataclass(frozen=True, slots=True)
class WriteSpec:
    """Where a value is written; ``on`` and ``off`` are the words of a coil."""

    table: Literal["coil", "holding"]
    address: int
    on: int
    off: int


@dataclass(frozen=True, slots=True)
class Point:
    """Something the board knows. ``stale_after_ms``: older than this it is not to be believed."""

    name: str
    type: Literal["bool", "int", "float"]
    access: Literal["r", "w", "rw"]
    unit: str | None
    read: ReadSpec | None
    write: WriteSpec | None
    poll_group: str | None
    poll_period_ms: int | None
    stale_after_ms: int


@dataclass(frozen=True, slots=True)
class ParamLimits:
    """Limits of a number that an action takes."""

    min: int
    max: int
    step: int
    default: int

    def accepts(self, value: int) -> bool:
        """Whether ``value`` lies in the limits and on a step."""
        return self.min <= value <= self.max and (value - self.min) % self.step == 0


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """The one frame an action sends. ``value`` may still be an expression of the action's params."""

    kind: Literal["raw_fc05", "write_coil", "write_coils"]
    address: int
    value: int | str
    count: int = 1


@dataclass(frozen=True, slots=True)
class ConfirmSpec:
    """The read that shows the effect of an action."""

    point: str
    equals: bool
    within_ms: int


@dataclass(frozen=True, slots=True)
class Action:
    """Something the board does. A ``pulse`` is sent at most once."""

    name: str
    params: Mapping[str, ParamLimits]
    do: FrameSpec
    confirm: ConfirmSpec | None
    effect: Literal["pulse", "level"]


@dataclass(frozen=True, slots=True)
class IdentifyStep:
    """A read that must come out right before the board is trusted."""

    table: Literal["holding", "input"]
    address: int
    count: int
    expect: Expect
    what: str
    otherwise: str


@dataclass(frozen=True, slots=True)
class Service:
    """What serves a capability on one channel. ``invert``: the value is the other way round.

    Of a line device ``action`` names the command, or the event, that serves it. ``low`` and ``high``
    are the limits of a number that is set.
    """

    point: str | None
    action: str | None
    invert: bool
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class StreamCommand:
    """A frame to a line device; ``rx`` is the answer that it gives, if it gives one."""

    name: str
    tx: FrameTemplate
    rx: BytePattern | None
    params: Mapping[str, ParamLimits]
    once: bool


@dataclass(frozen=True, slots=True)
class Stream:
    """What a device alone on its line says and takes. ``clips``: params of the play command."""

    transport: SerialStream
    commands: Mapping[str, StreamCommand]
    alive: AliveDoc | None
    identify: tuple[IdentifyByte, ...]
    events: Mapping[str, EventDoc]
    clips: Mapping[str, Mapping[str, int]]
    simulator: StreamSimulator
    tests: tuple[StreamGolden, ...] = field(repr=False)

    @property
    def answers(self) -> tuple[BytePattern, ...]:
        """All frames that are no code: answers to commands, and what is to be skipped."""
        known = [command.rx for command in self.commands.values() if command.rx is not None]
        return tuple(dict.fromkeys([*known, *self.transport.skip]))


@dataclass(frozen=True, slots=True)
class Profile:
    """One model of board, ready for use. ``services`` maps (capability, channel) to what serves it.

    ``stream`` is given for a device alone on its line; such a one has no points and no actions.
    """

    id: str
    revision: int
    kind: str
    vendor: str
    model: str
    verified: str
    caveats: tuple[str, ...]
    sources: tuple[str, ...]
    transport: ModbusRtu | SerialStream
    identify: tuple[IdentifyStep, ...]
    points: Mapping[str, Point]
    actions: Mapping[str, Action]
    services: Mapping[tuple[str, int | None], Service]
    safety: Safety
    simulator: Simulator
    tests: tuple[Golden, ...] = field(repr=False)
    stream: Stream | None = None

    @property
    def modbus(self) -> ModbusRtu:
        """The pace of a Modbus board. Raises ProfileError for a device that is none."""
        if isinstance(self.transport, ModbusRtu):
            return self.transport
        raise ProfileError(f"{self.id} speaks {self.transport.type}, not modbus_rtu")

    def channels(self, capability: str) -> tuple[int | None, ...]:
        """The channels on which the board has ``capability``; (None,) where it has no channels."""
        return tuple(channel for name, channel in self.services if name == capability)

    def settings(self, params: Mapping[str, int | float | str | bool]) -> Settings:
        """The install-time parameters, checked, with the profile's defaults where none is given.

        Raises ProfileError naming the parameter and what it may be.
        """
        alone = self.stream is not None
        there_are = ("baud",) if alone else ("unit_id", "baud")
        unknown = sorted(set(params) - set(there_are))
        if unknown:
            verb = "is" if alone else "are"
            raise ProfileError(
                f"{self.id}: parameter {unknown[0]!r} is unknown; there {verb}"
                f" {' and '.join(there_are)}"
            )
        unit_id = ALONE if alone else params.get("unit_id", self.modbus.unit_id)
        good = isinstance(unit_id, int) and not isinstance(unit_id, bool)
        if not good or not (alone or 1 <= int(unit_id) <= 247):
            raise ProfileError(
                f"{self.id}: unit_id must be a whole number from 1 to 247, not {unit_id!r}"
            )
        serial = self.transport.serial
        choices = sorted({serial.baud, *serial.baud_choices})
        baud = params.get("baud", serial.baud)
        if isinstance(baud, bool) or not isinstance(baud, int) or baud not in choices:
            allowed = ", ".join(map(str, choices))
            raise ProfileError(f"{self.id}: baud must be one of {allowed}, not {baud!r}")
        return Settings(int(unit_id), baud, serial.parity, serial.stop_bits)


@dataclass(frozen=True, slots=True)
class Settings:
    """How one installed board is reached on its line."""

    unit_id: int
    baud: int
    parity: Literal["N", "E", "O"]
    stop_bits: Literal[1, 2]

    @property
    def line(self) -> tuple[int, str, int]:
        """What all boards of one line must agree on."""
        return (self.baud, self.parity, self.stop_bits)
