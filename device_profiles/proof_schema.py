"""What proves a Modbus profile: from which its virtual board is made, and the maker's own frames."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from device_profiles.sections import Address, HexBytes, Section, SimValue


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


class SimPulseRegister(Section):
    """The board's own pulse by register: coil ``n`` (from 0) is worked by the registers from
    ``address + n * stride`` on.

    With ``one_word`` the high byte of a word tells what to do and the low byte for how long (the FC06
    boards); otherwise the first register has to hold ``order`` and the second the time.
    """

    address: Address
    stride: int = Field(default=1, ge=1)
    order: int = Field(ge=0, le=0xFF)
    unit_ms: int = Field(ge=1)
    one_word: bool = False
    fixed_ms: int | None = None  # the board's pulse has one length, whatever the time says


class SimSwitchRegister(Section):
    """Registers that switch coils: from ``address`` on, ``on`` and ``off`` are the words.

    ``reads``: what a read of the register gives for on and off, if not the words themselves.
    """

    address: Address
    on: int
    off: int
    reads: list[int] | None = Field(default=None, min_length=2, max_length=2)


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
    pulse_register: SimPulseRegister | None = None
    switch_register: SimSwitchRegister | None = None
    inputs: SimInputs | None = None
    holding: list[SimRegister] = Field(default=[])
    input: list[SimRegister] = Field(default=[])


class Call(Section):
    """What the bridge is asked to do in a golden test."""

    read: str | None = None
    write: str | None = None
    value: bool | int | float | None = None
    action: str | None = None
    params: dict[str, int] = Field(default={})
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
    given: dict[str, bool | int] = Field(default={})
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
