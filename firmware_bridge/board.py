"""An installed board: a profile with its parameters, turned into requests and values. No I/O."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from device_profiles import expressions
from device_profiles.profile import (
    Action,
    IdentifyStep,
    Point,
    Profile,
    ReadSpec,
    Service,
    Settings,
)
from firmware_bridge import numbers
from firmware_bridge.contract import BoardConfig
from firmware_bridge.protocols import modbus_rtu
from firmware_bridge.protocols.modbus_rtu import Request

Value = bool | int | float


class BadRequest(ValueError):
    """What was asked for is not what this board does; the text says what it does."""


@dataclass(frozen=True, slots=True)
class Group:
    """Points that one request reads."""

    name: str
    points: tuple[Point, ...]
    period_ms: int | None
    request: Request
    start: int

    def values(self, data: bytes) -> dict[str, Value]:
        """The value of each point in the reply's ``data``; those the board does not know are left out."""
        taken = {
            point.name: _value(data, point.read, self.start, point)
            for point in self.points
            if point.read is not None
        }
        return {name: value for name, value in taken.items() if value is not None}


def _value(data: bytes, read: ReadSpec, start: int, point: Point) -> Value | None:
    offset = read.address - start
    if read.table in ("coil", "discrete"):
        return modbus_rtu.unpack_bits(data, offset + 1)[offset]
    words = modbus_rtu.unpack_words(data)[offset : offset + read.width]
    kind = "u16" if read.format == "bool" else read.format
    raw = numbers.decode(words, kind, read.word_order)
    if raw == read.error_value or not math.isfinite(raw):
        return None
    if read.equals is not None:
        return raw in read.equals
    if read.bit is not None:
        return bool(words[0] >> read.bit & 1)
    number = raw * read.scale
    return round(number) if point.type == "int" else float(number)


class Board:
    """One device on a line. ``config`` is what the store's configuration says of it."""

    def __init__(self, config: BoardConfig, profile: Profile) -> None:
        """Raises ProfileError if the parameters do not fit the profile."""
        self.config = config
        self.profile = profile
        self.settings: Settings = profile.settings(config.params)
        self.groups: tuple[Group, ...] = self._groups()
        self._group_of = {point.name: group for group in self.groups for point in group.points}

    @property
    def unit(self) -> int:
        """The board's number on its line."""
        return self.settings.unit_id

    def service(self, capability: str, channel: int | None) -> Service:
        """What serves ``capability`` on ``channel``. Raises BadRequest naming the channels there are."""
        service = self.profile.services.get((capability, channel))
        if service is None:
            channels = ", ".join(map(str, self.profile.channels(capability)))
            has = f"it has channels {channels}" if channels else "it has none"
            raise BadRequest(f"{self.config.id} has no {capability} on channel {channel}; {has}")
        return service

    def group(self, point: str) -> Group:
        """The group whose request reads ``point``."""
        return self._group_of[point]

    def level(self, point_name: str, value: Value) -> Request:
        """The request that sets a point. Raises BadRequest if it cannot be set so."""
        point = self.profile.points[point_name]
        if point.write is None:
            raise BadRequest(f"{point_name} of {self.profile.id} can only be read")
        if point.write.table == "coil":
            word = point.write.on if value else point.write.off
            return modbus_rtu.write_coil_raw(self.unit, point.write.address, word)
        if point.type == "bool":
            word = point.write.on if value else point.write.off
            return self._registers(point.write.address, [word], multiple=point.write.multiple)
        read = point.read
        kind, order, scale = ("u16", "high_first", 1) if read is None else _layout(read)
        raw = value / scale
        try:
            words = numbers.encode(raw if kind == "f32" else round(raw), kind, order)
        except (struct.error, OverflowError):
            raise BadRequest(f"{point_name} of {self.profile.id} cannot hold {value}") from None
        return self._registers(point.write.address, words, multiple=point.write.multiple)

    def _registers(self, address: int, words: list[int], *, multiple: bool) -> Request:
        if len(words) == 1 and not multiple:
            return modbus_rtu.write_register(self.unit, address, words[0])
        return modbus_rtu.write_registers(self.unit, address, words)

    def act(self, action_name: str, params: Mapping[str, int]) -> Request:
        """The one frame of an action. Raises BadRequest if a parameter breaks its limits."""
        action = self.profile.actions[action_name]
        given = self._params(action, params)
        do = action.frame
        if do.kind == "write_coils":
            return modbus_rtu.write_coils(self.unit, do.address, [bool(do.value)] * do.count)
        if do.kind == "write_registers":
            words = [expressions.evaluate(value, given) for value in do.values]
            return modbus_rtu.write_registers(self.unit, do.address, words)
        word = expressions.evaluate(do.value, given)
        if do.kind == "write_register":
            return modbus_rtu.write_register(self.unit, do.address, word)
        return modbus_rtu.write_coil_raw(self.unit, do.address, word)

    def _params(self, action: Action, params: Mapping[str, int]) -> dict[str, int]:
        unknown = sorted(set(params) - set(action.params))
        if unknown:
            raise BadRequest(f"{action.name} of {self.profile.id} takes no {unknown[0]}")
        given = {name: params.get(name, limits.default) for name, limits in action.params.items()}
        for name, limits in action.params.items():
            if not limits.accepts(given[name]):
                raise BadRequest(
                    f"{action.name} of {self.profile.id}: {name} must be {limits.min} to {limits.max}"
                    f" in steps of {limits.step}, not {given[name]}"
                )
        return given

    def identify(self) -> list[tuple[IdentifyStep, Request]]:
        """The reads that must come out right before the board is trusted."""
        return [
            (step, modbus_rtu.read(self.unit, step.table, step.address, step.count))
            for step in self.profile.identify
        ]

    def mismatch(self, step: IdentifyStep, data: bytes) -> str | None:
        """What is wrong about the answer to an identifying read, as a sentence; None if it fits."""
        expect = step.expect
        bits = step.table in ("coil", "discrete")
        for word in (
            modbus_rtu.unpack_bits(data, step.count) if bits else modbus_rtu.unpack_words(data)
        ):
            if expect.eq is not None:
                wanted = expressions.evaluate(expect.eq, {"unit_id": self.unit})
                fits, rule = word == wanted, f"{wanted}"
            else:
                low, high = expect.min or 0, 0xFFFF if expect.max is None else expect.max
                fits = low <= word <= high
                rule = f"at least {low}" if expect.max is None else f"{low} to {high}"
            if not fits:
                return f"the {step.what} (0x{step.address:04X}) holds {word}, not {rule}: {step.otherwise}"
        return None

    def _groups(self) -> tuple[Group, ...]:
        members: dict[str, list[Point]] = {}
        for point in self.profile.points.values():
            if point.read is not None:
                members.setdefault(point.poll_group or point.name, []).append(point)
        return tuple(self._group_from(name, points) for name, points in members.items())

    def _group_from(self, name: str, points: list[Point]) -> Group:
        reads = [point.read for point in points if point.read is not None]
        start = min(read.address for read in reads)
        count = max(read.address + read.width for read in reads) - start
        request = modbus_rtu.read(self.unit, reads[0].table, start, count)
        return Group(name, tuple(points), points[0].poll_period_ms, request, start)


def _layout(read: ReadSpec) -> tuple[numbers.NumberFormat, numbers.WordOrder, float | int]:
    return read.format, read.word_order, read.scale
