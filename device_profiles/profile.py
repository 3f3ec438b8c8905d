"""A board's profile as programs use it: every point and action by name, every address a number.

There are three sorts, by ``transport``: Modbus boards (``Point.read`` and ``write``, ``Action.do``),
devices alone on a serial line (``Profile.stream``) and devices spoken to by messages
(``Profile.messages``). Points and actions of the latter two name commands (``Point.taken`` and
``told``, ``Action.call``); ``spoken`` turns them into what is sent, and answers into values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from device_profiles.message_schema import (
    HttpLocal,
    MessageAlive,
    MessageCommandDoc,
    MessageEvent,
    MessageGolden,
    MessageIdentify,
    MessageSetup,
    MessageSimulator,
    MqttLocal,
    ReportDoc,
)
from device_profiles.patterns import BytePattern, FrameTemplate
from device_profiles.proof_schema import Golden, Simulator
from device_profiles.schema import Expect, Format, ModbusRtu, ModbusTcp, Setup, Table
from device_profiles.sections import Caveat, InstallParam, Safety
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
    """Where and how a value is read. ``scale`` multiplies the raw number.

    A bool of a register is its ``bit``, or it being one of ``equals``; ``error_value`` is the raw
    number that stands for "not known".
    """

    table: Table
    address: int
    format: Format
    word_order: Literal["high_first", "low_first"]
    bit: int | None
    scale: float | int
    equals: tuple[int, ...] | None = None
    error_value: int | None = None

    @property
    def width(self) -> int:
        """Registers (or bits) that the value takes."""
        return 2 if self.format in ("u32", "s32", "f32") else 1


@dataclass(frozen=True, slots=True)
class WriteSpec:
    """Where a value is written; ``on`` and ``off`` are the words of a bool.

    ``multiple``: one register too is written by function 10.
    """

    table: Literal["coil", "holding"]
    address: int
    on: int
    off: int
    multiple: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """Where a point of a spoken device stands: in the answer to a command, or in a report."""

    source: str
    is_report: bool
    params: Mapping[str, int]
    field: str
    bit: int | None
    values: Mapping[str, bool | int | float] | None
    scale: float | int


@dataclass(frozen=True, slots=True)
class Told:
    """The command that sets a point: ``value`` takes the value, ``keep`` those of other points."""

    command: str
    params: Mapping[str, int]
    value: str
    values: Mapping[str, bool | int | float | str] | None
    keep: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Point:
    """Something the board knows. ``stale_after_ms``: older than this it is not to be believed.

    ``assumed``: the value is what was last set, since the device cannot be asked.
    """

    name: str
    type: Literal["bool", "int", "float", "text"]
    access: Literal["r", "w", "rw"]
    unit: str | None
    read: ReadSpec | None
    write: WriteSpec | None
    poll_group: str | None
    poll_period_ms: int | None
    stale_after_ms: int
    counter: str | None = None
    taken: Taken | None = None
    told: Told | None = None
    assumed: bool = False


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

    kind: Literal["raw_fc05", "write_coil", "write_coils", "write_register", "write_registers"]
    address: int
    value: int | str
    count: int = 1
    values: tuple[int | str, ...] = ()  # of write_registers, in their order


@dataclass(frozen=True, slots=True)
class ConfirmSpec:
    """The read that shows the effect of an action."""

    point: str
    equals: bool
    within_ms: int


@dataclass(frozen=True, slots=True)
class CallSpec:
    """A command of a spoken device; its params may still be expressions of the action's."""

    command: str
    params: Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Action:
    """Something the board does. A ``pulse`` is sent at most once.

    Modbus boards have ``do``, spoken devices ``call``.
    """

    name: str
    params: Mapping[str, ParamLimits]
    do: FrameSpec | None
    confirm: ConfirmSpec | None
    effect: Literal["pulse", "level"]
    call: CallSpec | None = None

    @property
    def frame(self) -> FrameSpec:
        """The frame of a Modbus board. Raises ProfileError for a spoken device."""
        if self.do is None:
            raise ProfileError(f"{self.name} is a command, not a Modbus frame")
        return self.do


@dataclass(frozen=True, slots=True)
class IdentifyStep:
    """A read that must come out right before the board is trusted."""

    table: Table
    address: int
    count: int
    expect: Expect
    what: str
    otherwise: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A point that holds one of our words. ``values``: by word what stands for it, first what is written."""

    point: str
    values: Mapping[str, tuple[int | str, ...]]

    @property
    def words(self) -> tuple[str, ...]:
        """The words that the device knows."""
        return tuple(self.values)

    def word(self, value: object) -> str | None:
        """The word for what the device says; None for what is none of ours."""
        return next((word for word, said in self.values.items() if value in said), None)


@dataclass(frozen=True, slots=True)
class Service:
    """What serves a capability on one channel. ``invert``: the value is the other way round.

    Of a line device ``action`` names the command, or the event, that serves it. ``low`` and ``high``
    are the limits of a number that is set. ``mode`` and ``fan`` are those of an air conditioner, where
    it takes them.
    """

    point: str | None
    action: str | None
    invert: bool
    low: int | None = None
    high: int | None = None
    mode: Choice | None = None
    fan: Choice | None = None


@dataclass(frozen=True, slots=True)
class StreamCommand:
    """A frame to a line device; ``rx`` is the answer that it gives, if it gives one, and ``refusal``
    the one by which it says no.
    """

    name: str
    tx: FrameTemplate
    rx: BytePattern | None
    params: Mapping[str, ParamLimits]
    once: bool
    refusal: BytePattern | None = None


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
        """All frames that can come: events, answers to commands, and what is to be skipped."""
        known = [event.frame for event in self.events.values()]
        for command in self.commands.values():
            known += [command.rx, command.refusal]
        given = [pattern for pattern in known if pattern is not None]
        return tuple(dict.fromkeys([*given, *self.transport.skip]))


@dataclass(frozen=True, slots=True)
class Messages:
    """What a device takes and tells that is spoken to over MQTT or HTTP. ``spoken`` renders it."""

    transport: MqttLocal | HttpLocal
    commands: Mapping[str, MessageCommandDoc]
    reports: Mapping[str, ReportDoc]
    alive: MessageAlive | None
    identify: tuple[MessageIdentify, ...]
    setup: tuple[MessageSetup, ...]
    events: Mapping[str, MessageEvent]
    clips: Mapping[str, Mapping[str, int]]
    simulator: MessageSimulator
    tests: tuple[MessageGolden, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Profile:
    """One model of board, ready for use. ``services`` maps (capability, channel) to what serves it.

    ``stream`` is given for a device alone on its line, ``messages`` for one on MQTT or HTTP; all others
    speak Modbus.
    """

    id: str
    revision: int
    kind: str
    vendor: str
    model: str
    verified: str
    caveats: tuple[Caveat, ...]
    sources: tuple[str, ...]
    transport: ModbusRtu | ModbusTcp | SerialStream | MqttLocal | HttpLocal
    identify: tuple[IdentifyStep, ...]
    points: Mapping[str, Point]
    actions: Mapping[str, Action]
    services: Mapping[tuple[str, int | None], Service]
    safety: Safety
    simulator: Simulator
    tests: tuple[Golden, ...] = field(repr=False)
    stream: Stream | None = None
    messages: Messages | None = None
    params: Mapping[str, InstallParam] = field(default_factory=dict)
    setup: tuple[Setup, ...] = ()

    @property
    def modbus(self) -> ModbusRtu | ModbusTcp:
        """The pace of a Modbus board. Raises ProfileError for a device that is none."""
        if isinstance(self.transport, ModbusRtu | ModbusTcp):
            return self.transport
        raise ProfileError(f"{self.id} speaks {self.transport.type}, not Modbus")

    @property
    def clips(self) -> Mapping[str, Mapping[str, int]]:
        """What a speaker can say: the params of its play command by clip."""
        spoken = self.stream or self.messages
        return spoken.clips if spoken else {}

    def channels(self, capability: str) -> tuple[int | None, ...]:
        """The channels on which the board has ``capability``; (None,) where it has no channels."""
        return tuple(channel for name, channel in self.services if name == capability)

    def settings(self, params: Mapping[str, int | float | str | bool]) -> Settings:
        """The install-time parameters, checked, with the profile's defaults where none is given.

        Raises ProfileError naming the parameter and what it may be.
        """
        there_are = self._parameters()
        unknown = sorted(set(params) - set(there_are))
        if unknown:
            verb = "is" if len(there_are) == 1 else "are"
            names = " and ".join(there_are) or "none"
            raise ProfileError(
                f"{self.id}: parameter {unknown[0]!r} is unknown; there {verb} {names}"
            )
        unit_id, baud = ALONE, 0
        parity: Literal["N", "E", "O"] = "N"
        stop_bits: Literal[1, 2] = 1
        transport = self.transport
        if isinstance(transport, ModbusRtu | ModbusTcp):
            unit_id = self._unit_id(params.get("unit_id", transport.unit_id))
        if isinstance(transport, ModbusRtu | SerialStream):
            serial = transport.serial
            baud = self._baud(params.get("baud", serial.baud))
            parity, stop_bits = serial.parity, serial.stop_bits
        given = {name: self._given(name, params) for name in self.params}
        return Settings(unit_id, baud, parity, stop_bits, given)

    def tried(self) -> dict[str, int | float | str | bool]:
        """Install params with which the profile can be tried: its defaults and examples."""
        return {name: param.tried for name, param in self.params.items()}

    def _parameters(self) -> tuple[str, ...]:
        own = {ModbusRtu: ("unit_id", "baud"), ModbusTcp: ("unit_id",), SerialStream: ("baud",)}
        return (*own.get(type(self.transport), ()), *self.params)

    def _unit_id(self, value: object) -> int:
        low = 1 if isinstance(self.transport, ModbusRtu) else 0
        high = 247 if isinstance(self.transport, ModbusRtu) else 255
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ProfileError(
                f"{self.id}: unit_id must be a whole number from {low} to {high}, not {value!r}"
            )
        return value

    def _baud(self, value: object) -> int:
        assert isinstance(self.transport, ModbusRtu | SerialStream)
        serial = self.transport.serial
        choices = sorted({serial.baud, *serial.baud_choices})
        if isinstance(value, bool) or not isinstance(value, int) or value not in choices:
            allowed = ", ".join(map(str, choices))
            raise ProfileError(f"{self.id}: baud must be one of {allowed}, not {value!r}")
        return value

    def _given(self, name: str, params: Mapping[str, int | float | str | bool]) -> int | str:
        param = self.params[name]
        value = params.get(name, param.default)
        if value is None:
            raise ProfileError(f"{self.id}: parameter {name!r} must be given: {param.what or name}")
        problem = param.problem(value)
        if problem is not None or not isinstance(value, int | str):
            shown = "" if param.secret else f", not {value!r}"
            raise ProfileError(f"{self.id}: {name} {problem}{shown}")
        return value


@dataclass(frozen=True, slots=True)
class Settings:
    """How one installed board is reached on its line. ``params`` are the profile's own."""

    unit_id: int
    baud: int
    parity: Literal["N", "E", "O"]
    stop_bits: Literal[1, 2]
    params: Mapping[str, int | str] = field(default_factory=dict, repr=False)

    @property
    def line(self) -> tuple[int, str, int]:
        """What all boards of one line must agree on."""
        return (self.baud, self.parity, self.stop_bits)
