"""The shape of the profile of a Modbus board, before anything is expanded.

What a single field cannot know (does the point exist that an action confirms by?) is checked in
``expand``. ``sections`` has what all profiles share, ``proof_schema`` the simulator and the tests.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from device_profiles.proof_schema import Golden, Simulator
from device_profiles.sections import (
    ActionParam,
    Address,
    AirFans,
    AirModes,
    Channels,
    Confirm,
    Head,
    IntExpr,
    Name,
    Pace,
    Repeat,
    Safety,
    Section,
    Serial,
    Word,
)

Table = Literal["coil", "discrete", "holding", "input"]

Format = Literal["bool", "u16", "s16", "u32", "s32", "f32"]


class ModbusRtu(Pace):
    """A Modbus RTU slave on a serial line, and the pace it wants.

    The line may also end in a gateway: the profile stays the same, the port's address says which one
    (``rtu+tcp://host:port`` for a gateway that hands frames on with their CRC, ``tcp://host:502`` for
    one that speaks Modbus TCP).
    """

    type: Literal["modbus_rtu"]
    serial: Serial
    unit_id: int = Field(default=1, ge=1, le=247)


class ModbusTcp(Pace):
    """A board with a network socket of its own. ``framing: rtu`` where it wants RTU frames with CRC
    over TCP, ``tcp`` for Modbus TCP proper; ``tcp_port`` is its port as from the factory.
    """

    type: Literal["modbus_tcp"]
    framing: Literal["tcp", "rtu"] = "tcp"
    tcp_port: int = Field(default=502, ge=1, le=65535)
    unit_id: int = Field(default=1, ge=0, le=255)
    response_timeout_ms: int = Field(default=1000, ge=10, le=10_000)


class Expect(Section):
    """What a register must hold: exactly one of ``eq`` or a range of ``min`` and/or ``max``."""

    eq: IntExpr | None = None
    min: int | None = None
    max: int | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Expect:
        if (self.eq is None) == (self.min is None and self.max is None):
            raise ValueError("give either eq, or min and/or max")
        return self


class Identify(Section):
    """A read that must come out right before the board is trusted with anything.

    A coil or an input that must only be there is read with ``expect: {min: 0}``.
    """

    read: Table
    address: Address
    count: int = Field(default=1, ge=1, le=16)
    expect: Expect
    what: str
    otherwise: str


class Setup(Section):
    """How a register should be set for the profile to hold. Compared at the start; what differs is
    reported as drift, and written only when an installer asks for it.
    """

    table: Literal["holding", "coil"] = "holding"
    address: Address
    value: int = Field(ge=0, le=0xFFFF)
    what: str


class Read(Section):
    """Where a value is read. Numbers need a ``format``, 32-bit ones a ``word_order`` as well.

    A bool in a register is a ``bit`` of it, or the register being ``equals``. ``error_value`` is the
    raw number by which the board says that it does not know: the point then has no value, and the
    quality ``fault``.
    """

    table: Table
    address: IntExpr
    format: Format | None = None
    word_order: Literal["high_first", "low_first"] | None = None
    bit: int | None = Field(default=None, ge=0, le=15)
    equals: list[int] | None = None
    error_value: int | None = None
    scale: float | int = 1


class Write(Section):
    """Where a value is written. ``values`` gives the words of a bool; a number is written as it is.

    One register is written by function 06, several by function 10; ``function: 0x10`` where a board
    takes that one only.
    """

    table: Literal["coil", "holding"]
    address: IntExpr
    function: Literal[0x10] | None = None
    values: dict[Word, Annotated[int, Field(ge=0, le=0xFFFF)]] | None = None


class Poll(Section):
    """How often a point is read, and which points are read in one request."""

    period_ms: int = Field(ge=100, le=3_600_000)
    group: Name


class PointDoc(Section):
    """Something the board knows: a relay's position, an input, a measured value."""

    repeat: Repeat | None = None
    type: Literal["bool", "int", "float"]
    access: Literal["r", "w", "rw"]
    unit: str | None = None
    counter: Literal["total_increasing"] | None = None
    read: Read | None = None
    write: Write | None = None
    poll: Poll | None = None
    stale_after_ms: int | None = Field(default=None, ge=100)


class RawFc05(Section):
    """Function 05 with a value of the maker's own, which standard clients refuse to send."""

    address: IntExpr
    value: IntExpr


class WriteCoil(Section):
    """Function 05 as the standard has it."""

    address: IntExpr
    value: Word


class WriteCoils(Section):
    """Function 0F: ``count`` coils from ``address`` on, all to the same value."""

    address: IntExpr
    count: int = Field(ge=1, le=256)
    value: Word


class WriteRegister(Section):
    """Function 06."""

    address: IntExpr
    value: IntExpr


class WriteRegisters(Section):
    """Function 10: ``values`` from ``address`` on."""

    address: IntExpr
    values: list[IntExpr] = Field(min_length=1, max_length=16)


class Do(Section):
    """What an action sends: exactly one frame, of exactly one kind."""

    raw_fc05: RawFc05 | None = None
    write_coil: WriteCoil | None = None
    write_coils: WriteCoils | None = None
    write_register: WriteRegister | None = None
    write_registers: WriteRegisters | None = None

    @model_validator(mode="after")
    def _one_frame(self) -> Do:
        if len(self.model_fields_set) != 1:
            kinds = ", ".join(type(self).model_fields)
            raise ValueError(f"an action sends exactly one of {kinds}")
        return self


class ActionDoc(Section):
    """Something the board does. A ``pulse`` is sent at most once; a ``level`` may be sent again."""

    repeat: Repeat | None = None
    params: dict[Name, ActionParam] = Field(default={})
    do: Do
    confirm: Confirm | None = None
    effect: Literal["pulse", "level"]


class CapabilityDoc(Section):
    """Which point or action serves a capability, per channel (``{ch}``)."""

    channels: Channels | None = None
    point: str | None = None
    action: str | None = None
    invert: bool = False
    min: int | None = None  # of a number that is set: what the device takes
    max: int | None = None
    mode: AirModes | None = None  # of climate.set alone
    fan: AirFans | None = None

    @model_validator(mode="after")
    def _one_way(self) -> CapabilityDoc:
        if (self.point is None) == (self.action is None):
            raise ValueError("give either a point or an action")
        return self


class ProfileDoc(Head):
    """One file of the catalog: one model of a board that speaks Modbus."""

    transport: ModbusRtu | ModbusTcp = Field(discriminator="type")
    identify: list[Identify] = Field(min_length=1)
    setup: list[Setup] = Field(default=[])
    points: dict[Name, PointDoc] = Field(default={})
    actions: dict[Name, ActionDoc] = Field(default={})
    capabilities: dict[str, CapabilityDoc]
    safety: Safety
    simulator: Simulator
    tests: list[Golden] = Field(min_length=1)
