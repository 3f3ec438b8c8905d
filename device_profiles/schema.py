"""The shape of a profile file, before anything is expanded. Unknown keys are refused.

Each class is one section of the file, so the fields read as the manual does; docs/profiles.md walks
through an example. What a single field cannot know (does the point exist that an action confirms by?)
is checked in ``expand``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

from device_profiles import expressions

Word = Literal["on", "off"]
Table = Literal["coil", "discrete", "holding", "input"]
Format = Literal["bool", "u16", "s16", "u32", "s32", "f32"]


def _int_expr(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and expressions.is_expression(value):
        expressions.names(value)
        return value
    raise ValueError(f"must be a whole number or an expression such as '{{ch - 1}}', not {value!r}")


def _sim_value(value: Any) -> int | float | str:
    return value if isinstance(value, float) else _int_expr(value)


def _hex(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"must be hex bytes in quotes such as '01 05 00 00', not {value!r}")
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise ValueError(f"must be hex bytes such as '01 05 00 00', not {value!r}") from None


IntExpr = Annotated[int | str, PlainValidator(_int_expr)]
SimValue = Annotated[int | float | str, PlainValidator(_sim_value)]
HexBytes = Annotated[bytes, PlainValidator(_hex)]
Address = Annotated[int, Field(ge=0, le=0xFFFF)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Section(BaseModel):
    """A part of the file: immutable, and every key known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Alias(Section):
    """Another name under which the very same board is sold."""

    vendor: str
    model: str


class Source(Section):
    """Where the facts of the profile come from."""

    title: str
    url: str | None = None
    note: str | None = None


class Caveat(Section):
    """What an installer must know and the profile cannot express."""

    text: str
    url: str | None = None


class Serial(Section):
    """Line settings as the board leaves the factory, and the speeds it can be set to."""

    baud: int
    baud_choices: list[int] = []
    data_bits: Literal[8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


class ModbusRtu(Section):
    """A Modbus RTU slave on a serial line, and the pace it wants."""

    type: Literal["modbus_rtu"]
    serial: Serial
    unit_id: int = Field(default=1, ge=1, le=247)
    response_timeout_ms: int = Field(default=200, ge=10, le=2000)
    min_gap_ms: int = Field(default=5, ge=1, le=500)
    read_retries: int = Field(default=2, ge=0, le=5)
    level_retries: int = Field(default=2, ge=0, le=5)


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
    """A read that must come out right before the board is trusted with anything."""

    read: Literal["holding", "input"]
    address: Address
    count: int = Field(default=1, ge=1, le=16)
    expect: Expect
    what: str
    otherwise: str


class Repeat(Section):
    """Make one point or action per number, ``from`` and ``to`` included."""

    var: Name
    from_: int = Field(alias="from", ge=0)
    to: int = Field(le=256)


class Read(Section):
    """Where a value is read. Numbers need a ``format``, 32-bit ones a ``word_order`` as well."""

    table: Table
    address: IntExpr
    format: Format | None = None
    word_order: Literal["high_first", "low_first"] | None = None
    bit: int | None = Field(default=None, ge=0, le=15)
    scale: float | int = 1


class Write(Section):
    """Where a value is written. ``values`` gives the words of a coil; a register takes the number."""

    table: Literal["coil", "holding"]
    address: IntExpr
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


class ActionParam(Section):
    """A number an action takes, with its limits."""

    min: int
    max: int
    step: int = Field(default=1, ge=1)
    default: int


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


class Do(Section):
    """What an action sends: exactly one frame, of exactly one kind."""

    raw_fc05: RawFc05 | None = None
    write_coil: WriteCoil | None = None
    write_coils: WriteCoils | None = None

    @model_validator(mode="after")
    def _one_frame(self) -> Do:
        if len(self.model_fields_set) != 1:
            raise ValueError("an action sends exactly one of raw_fc05, write_coil, write_coils")
        return self


class Confirm(Section):
    """A read that shows that the action had its effect: evidence, never a reason to send again."""

    point: str
    equals: bool
    within_ms: int = Field(ge=10, le=5000)


class ActionDoc(Section):
    """Something the board does. A ``pulse`` is sent at most once; a ``level`` may be sent again."""

    repeat: Repeat | None = None
    params: dict[Name, ActionParam] = {}
    do: Do
    confirm: Confirm | None = None
    effect: Literal["pulse", "level"]


class Channels(Section):
    """The channel numbers as printed on the board, ``from`` and ``to`` included."""

    from_: int = Field(alias="from", ge=0)
    to: int = Field(le=256)


class CapabilityDoc(Section):
    """Which point or action serves a capability, per channel (``{ch}``)."""

    channels: Channels | None = None
    point: str | None = None
    action: str | None = None
    invert: bool = False
    min: int | None = None  # of a number that is set: what the device takes
    max: int | None = None

    @model_validator(mode="after")
    def _one_way(self) -> CapabilityDoc:
        if (self.point is None) == (self.action is None):
            raise ValueError("give either a point or an action")
        return self


class Safety(Section):
    """What the board does, and is left to do, when things go wrong. Egress is never ours."""

    on_start: Literal["leave"]
    on_bus_lost: Literal["alarm"]
    on_power_up: Literal["off", "last"]
    egress: Literal["hardware"]


class SimCoils(Section):
    """Coils of the virtual board, from address 0 on."""

    count: int = Field(ge=1, le=256)
    initial: bool = False
    write_all: Address | None = None


class SimFlash(Section):
    """The board's own pulse: function 05 to ``base`` + coil, the value in units of ``unit_ms``."""

    base: Address
    unit_ms: int = Field(ge=1)
    max_units: int = Field(default=0x7FFF, ge=1, le=0xFFFF)


class SimInputs(Section):
    """Discrete inputs of the virtual board, from address 0 on."""

    count: int = Field(ge=1, le=256)


class SimRegister(Section):
    """Registers that hold a value the board answers with; ``count`` equal ones, or one number."""

    address: Address
    value: SimValue
    format: Literal["u16", "s16", "u32", "s32", "f32"] = "u16"
    word_order: Literal["high_first", "low_first"] = "high_first"
    count: int = Field(default=1, ge=1, le=64)


class Simulator(Section):
    """From which the virtual board is made."""

    coils: SimCoils | None = None
    flash: SimFlash | None = None
    inputs: SimInputs | None = None
    holding: list[SimRegister] = []
    input: list[SimRegister] = []


class Call(Section):
    """What the bridge is asked to do in a golden test."""

    read: str | None = None
    write: str | None = None
    value: bool | int | float | None = None
    action: str | None = None
    params: dict[str, int] = {}
    identify: int | None = None

    @model_validator(mode="after")
    def _one_call(self) -> Call:
        given = [self.read, self.write, self.action, self.identify]
        if sum(item is not None for item in given) != 1:
            raise ValueError("give exactly one of read, write, action, identify")
        if (self.write is None) != (self.value is None):
            raise ValueError("value belongs to write, and write needs it")
        return self


class Golden(Section):
    """Bytes from the maker's manual: what goes out for a call, what comes back, what it means."""

    name: str
    unit_id: int = Field(default=1, ge=1, le=247)
    given: dict[str, bool] = {}
    call: Call
    tx: HexBytes
    rx: HexBytes | None = None
    rx_chunks: list[HexBytes] | None = None
    value: bool | int | float | None = None
    error: Literal["bad_frame", "no_answer", "device_error"] | None = None

    @model_validator(mode="after")
    def _has_end(self) -> Golden:
        if self.rx is not None and self.rx_chunks is not None:
            raise ValueError("give rx or rx_chunks, not both")
        if self.rx is None and self.rx_chunks is None and self.error != "no_answer":
            raise ValueError("without rx the error must be no_answer")
        if self.call.read is not None and (self.value is None) == (self.error is None):
            raise ValueError("a read ends in a value or in an error")
        return self


class ProfileDoc(Section):
    """One file of the catalog: one model of board."""

    schema_: Literal[1] = Field(alias="schema")
    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*$")
    revision: int = Field(ge=1)
    kind: Literal["relay_board", "io_board", "meter", "climate_gateway"]
    vendor: str
    model: str
    aliases: list[Alias] = []
    sources: list[Source] = Field(min_length=1)
    verified: Literal["doc", "bench", "field"]
    caveats: list[Caveat] = []
    transport: ModbusRtu
    identify: list[Identify] = Field(min_length=1)
    points: dict[Name, PointDoc] = {}
    actions: dict[Name, ActionDoc] = {}
    capabilities: dict[str, CapabilityDoc]
    safety: Safety
    simulator: Simulator
    tests: list[Golden] = Field(min_length=1)
