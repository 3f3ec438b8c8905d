"""A board that exists in memory only: coils, inputs, registers, and the timers of its own pulses.

It takes whole frames and gives whole frames. It knows the manual (through the profile's ``simulator``
block) and nothing of the master. Time is handed in, so that tests need not wait.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from device_profiles import expressions
from device_profiles.profile import Profile
from device_profiles.proof_schema import SimRegister
from firmware_bridge import numbers
from firmware_bridge.protocols import modbus_rtu as rtu

Cause = Literal["write", "flash", "flash_end", "power_cycle"]

_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE = 1, 2, 3
_WRITES_MANY = (rtu.WRITE_COILS, rtu.WRITE_REGISTERS)
_HISTORY = 2000


@dataclass(frozen=True, slots=True)
class CoilEvent:
    """A coil was set or a pulse was ordered. ``at``: Unix seconds; ``coil`` counts from 1.

    A ``flash`` is recorded also when the coil was on already, so that pulses can be counted.
    ``for_ms`` is the ordered length of a flash.
    """

    seq: int
    at: float
    board: str
    coil: int
    on: bool
    cause: Cause
    for_ms: int | None = None


@dataclass(slots=True)
class Fault:
    """What is wrong with the board now. ``slow_ms`` delays each reply by so much."""

    dead: bool = False
    bad_crc: bool = False
    slow_ms: int = 0
    wrong_unit: bool = False


@dataclass(slots=True)
class Counter:
    """Numbers the events of all boards that share it."""

    value: int = 0

    def next(self) -> int:
        """The next number, from 1 on."""
        self.value += 1
        return self.value


@dataclass(slots=True)
class VirtualBoard:
    """One virtual board on one line. Not thread-safe: its line guards it.

    ``pulses`` counts the flash orders per coil, ``frames`` keeps the last requests as they came.
    ``labels`` names coils for people, by number as printed on the board.
    """

    id: str
    profile: Profile
    unit_id: int = 1
    labels: dict[int, str] = field(default_factory=dict)
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    on_event: Callable[[CoilEvent], None] | None = None
    counter: Counter = field(default_factory=Counter)
    fault: Fault = field(default_factory=Fault)
    coils: list[bool] = field(init=False)
    inputs: list[bool] = field(init=False)
    history: deque[CoilEvent] = field(init=False)
    pulses: list[int] = field(init=False)
    frames: deque[bytes] = field(init=False)
    _flashing: dict[int, float] = field(default_factory=dict, init=False)
    _registers: dict[str, dict[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        simulator = self.profile.simulator
        self.coils = [simulator.coils.initial] * simulator.coils.count if simulator.coils else []
        self.inputs = [False] * (simulator.inputs.count if simulator.inputs else 0)
        self.pulses = [0] * len(self.coils)
        self.history = deque(maxlen=_HISTORY)
        self.frames = deque(maxlen=_HISTORY)
        self._registers = {
            "holding": self._words(simulator.holding),
            "input": self._words(simulator.input),
        }

    def _words(self, registers: list[SimRegister]) -> dict[int, int]:
        words: dict[int, int] = {}
        for register in registers:
            value = register.value
            if isinstance(value, str):
                value = expressions.evaluate(value, {"unit_id": self.unit_id})
            encoded = numbers.encode(value, register.format, register.word_order) * register.count
            words.update(enumerate(encoded, register.address))
        return words

    # -- what happens to it besides the line ------------------------------------------------------

    def set_input(self, number: int, on: bool) -> None:
        """Set input ``number`` (from 1). Raises IndexError if there is none such."""
        if not 1 <= number <= len(self.inputs):
            raise IndexError(f"{self.id} has inputs 1 to {len(self.inputs)}, not {number}")
        self.inputs[number - 1] = on

    def set_register(self, table: Literal["holding", "input"], address: int, word: int) -> None:
        """Make a register hold ``word``, as a measurement would."""
        self._registers[table][address] = word

    def register(self, address: int) -> int:
        """The word of a holding register, as the line would read it."""
        return self._registers["holding"].get(address, 0)

    def measure(self, point: str, value: float) -> None:
        """Make ``point`` read as ``value``, in its unit. Raises KeyError or ValueError if it is none."""
        read = self.profile.points[point].read
        if read is None or read.table not in self._registers or read.format == "bool":
            raise ValueError(point)
        words = numbers.encode(value / read.scale, read.format, read.word_order)
        self._registers[read.table].update(enumerate(words, read.address))

    def power_cycle(self) -> None:
        """Take power away and give it back: coils as after power-up, pulses forgotten."""
        self._flashing.clear()
        if self.profile.safety.on_power_up == "last":
            return
        initial = bool(self.profile.simulator.coils and self.profile.simulator.coils.initial)
        for coil, on in enumerate(self.coils):
            if on != initial:
                self._record(coil, initial, "power_cycle")

    def next_timer(self) -> float | None:
        """When (monotonic seconds) ``tick`` must be called next; None if nothing runs."""
        return min(self._flashing.values(), default=None)

    def tick(self) -> None:
        """Drop the coils whose pulse is over."""
        now = self.monotonic()
        for coil in [coil for coil, end in self._flashing.items() if end <= now]:
            del self._flashing[coil]
            self._record(coil, False, "flash_end")

    def flash_left_ms(self, number: int) -> int:
        """Milliseconds for which coil ``number`` (from 1) stays on by a pulse; 0 without one."""
        end = self._flashing.get(number - 1)
        return 0 if end is None else max(0, round((end - self.monotonic()) * 1000))

    def _record(self, coil: int, on: bool, cause: Cause, for_ms: int | None = None) -> None:
        self.coils[coil] = on
        seq = self.counter.next()
        event = CoilEvent(seq, self.wall(), self.id, coil + 1, on, cause, for_ms)
        self.history.append(event)
        if self.on_event is not None:
            self.on_event(event)

    # -- what it does on the line -----------------------------------------------------------------

    def answer(self, frame: bytes) -> bytes | None:
        """The reply to a whole request ``frame``, or None where a real board would stay silent."""
        if not rtu.has_good_crc(frame) or frame[0] not in (self.unit_id, 0) or self.fault.dead:
            return None
        self.tick()
        self.frames.append(frame)
        pdu = frame[1:-2]
        try:
            reply = self._serve(pdu)
        except _Refused as refused:
            reply = bytes([pdu[0] | 0x80, refused.code])
        if frame[0] == 0:
            return None  # everybody is meant, so nobody answers
        unit = self.unit_id % 247 + 1 if self.fault.wrong_unit else self.unit_id
        sent = rtu.with_crc(bytes([unit]) + reply)
        if self.fault.bad_crc:
            sent = sent[:-1] + bytes([sent[-1] ^ 0xFF])
        return sent

    def _serve(self, pdu: bytes) -> bytes:
        function = pdu[0]
        if function not in rtu.READS | rtu.WRITES:
            raise _Refused(_ILLEGAL_FUNCTION)
        if len(pdu) < 5 or (function in _WRITES_MANY and not _whole(function, pdu)):
            raise _Refused(_ILLEGAL_VALUE)
        address, operand = struct.unpack(">HH", pdu[1:5])
        if function in (rtu.READ_COILS, rtu.READ_DISCRETE):
            bits = self.coils if function == rtu.READ_COILS else self.inputs
            if not operand or address + operand > len(bits):
                raise _Refused(_ILLEGAL_ADDRESS)
            packed = rtu.pack_bits(bits[address : address + operand])
            return bytes([function, len(packed)]) + packed
        if function in (rtu.READ_HOLDING, rtu.READ_INPUT):
            words = [self._read(function, address + offset) for offset in range(operand)]
            return bytes([function, 2 * len(words)]) + struct.pack(f">{len(words)}H", *words)
        self._write(function, address, operand, pdu)
        return pdu[:5]

    def _write(self, function: int, address: int, operand: int, pdu: bytes) -> None:
        if function == rtu.WRITE_COIL:
            self._write_coil(address, operand)
        elif function == rtu.WRITE_COILS:
            if not operand or address + operand > len(self.coils):
                raise _Refused(_ILLEGAL_ADDRESS)
            for offset, on in enumerate(rtu.unpack_bits(pdu[6:], operand)):
                self._set(address + offset, on)
        else:
            words = [operand] if function == rtu.WRITE_REGISTER else rtu.unpack_words(pdu[6:])
            if not (self._pulsed(address, words) or self._switched(address, words)):
                table = self._registers["holding"]
                for offset in range(len(words)):
                    self._word(table, address + offset)
                table.update(enumerate(words, address))

    def _read(self, function: int, address: int) -> int:
        switch = self.profile.simulator.switch_register
        if function == rtu.READ_INPUT:
            return self._word(self._registers["input"], address)
        if switch is not None and 0 <= address - switch.address < len(self.coils):
            on, off = switch.reads or (switch.on, switch.off)
            return on if self.coils[address - switch.address] else off
        return self._word(self._registers["holding"], address)

    def _switched(self, address: int, words: list[int]) -> bool:
        """Whether the write switches coils by registers, and did."""
        switch = self.profile.simulator.switch_register
        if switch is None or not 0 <= address - switch.address < len(self.coils):
            return False
        if len(words) + address - switch.address > len(self.coils):
            raise _Refused(_ILLEGAL_ADDRESS)
        if any(word not in (switch.on, switch.off) for word in words):
            raise _Refused(_ILLEGAL_VALUE)
        for offset, word in enumerate(words):
            self._set(address - switch.address + offset, word == switch.on)
        return True

    def _pulsed(self, address: int, words: list[int]) -> bool:
        """Whether the write is an order for a pulse by registers, and was carried out."""
        pulse = self.profile.simulator.pulse_register
        if pulse is None or address < pulse.address or (address - pulse.address) % pulse.stride:
            return False
        coil = (address - pulse.address) // pulse.stride
        if coil >= len(self.coils):
            return False
        if pulse.one_word:
            order, units = words[0] >> 8, words[0] & 0xFF
        else:
            order, units = words[0], words[1] if len(words) > 1 else 0
        if order != pulse.order or len(words) != (1 if pulse.one_word else 2):
            return False
        for_ms = pulse.fixed_ms or units * pulse.unit_ms
        if not for_ms:
            raise _Refused(_ILLEGAL_VALUE)
        self._flash(coil, for_ms)
        return True

    def _write_coil(self, address: int, value: int) -> None:
        simulator = self.profile.simulator
        flash, coils = simulator.flash, simulator.coils
        if flash is not None and flash.base <= address < flash.base + len(self.coils):
            if not 1 <= value <= flash.max_units:
                raise _Refused(_ILLEGAL_VALUE)
            self._flash(address - flash.base, value * flash.unit_ms)
            return
        if value not in (0xFF00, 0x0000):
            raise _Refused(_ILLEGAL_VALUE)
        if coils is not None and address == coils.write_all:
            for coil in range(len(self.coils)):
                self._set(coil, value == 0xFF00)
        elif address < len(self.coils):
            self._set(address, value == 0xFF00)
        else:
            raise _Refused(_ILLEGAL_ADDRESS)

    def _flash(self, coil: int, for_ms: int) -> None:
        self.pulses[coil] += 1
        self._flashing[coil] = self.monotonic() + for_ms / 1000
        self._record(coil, True, "flash", for_ms)

    def _set(self, coil: int, on: bool) -> None:
        self._flashing.pop(coil, None)
        if self.coils[coil] != on:
            self._record(coil, on, "write")

    @staticmethod
    def _word(table: dict[int, int], address: int) -> int:
        if address not in table:
            raise _Refused(_ILLEGAL_ADDRESS)
        return table[address]


def _whole(function: int, pdu: bytes) -> bool:
    """Whether an order for several coils or registers holds as many as it says."""
    count = int.from_bytes(pdu[3:5], "big")
    wanted = (count + 7) // 8 if function == rtu.WRITE_COILS else 2 * count
    return len(pdu) == 6 + wanted and pdu[5] == wanted


class _Refused(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
