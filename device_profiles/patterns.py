"""Frames of devices that are not Modbus: templates of what is sent, patterns of what comes back.

Both are written as bytes in hex, with fields in braces:

    {name:02x} {name:04x} {name:08x}   a number of 1, 2 or 4 bytes, high byte first
    {name:04l} {name:08l}              the same, low byte first
    {name:5b} {name:10a}               patterns only: 5 bytes (read as hex), 10 ASCII characters
    ??                                 patterns only: any byte
    {sum8} {xor8} {crc16} …            the check of the bytes before it; ``{xor8:1}`` begins at byte 1

In a template a field may be an expression (``{ch - 1:02x}``); in a pattern it is a name, under which
the number is found afterwards. A pattern whose check is wrong does not match. ``CHECKS`` has them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, WithJsonSchema

from device_profiles import expressions

_BYTE = re.compile(r"[0-9A-Fa-f]{2}")
_TOKEN = re.compile(r"\{[^{}]*\}|\S+")
_FIELD = re.compile(r"\{([^{}:]+):(?:0([248])([xl])|([1-9][0-9]?)([ab]))\}")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def _crc16(data: bytes, start: int, polynomial: int) -> int:
    crc = start
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ polynomial if crc & 1 else crc >> 1
    return crc


def _xmodem(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def _xor(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
    return value


def _xor_of_digits(data: bytes) -> bytes:
    """Two hex digits: XOR of the bytes that the hex digits before it spell, as RFID readers have it."""
    try:
        return f"{_xor(bytes.fromhex(data.decode('ascii'))):02X}".encode()
    except ValueError:
        return b"??"  # no digits, so no such check can be right


CHECKS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "sum8": (1, lambda data: bytes([sum(data) & 0xFF])),
    "neg_sum8": (1, lambda data: bytes([-sum(data) & 0xFF])),
    "xor8": (1, lambda data: bytes([_xor(data)])),
    "sum16": (2, lambda data: (sum(data) & 0xFFFF).to_bytes(2, "big")),
    "neg_sum16": (2, lambda data: (-sum(data) & 0xFFFF).to_bytes(2, "big")),
    "crc16": (2, lambda data: _crc16(data, 0xFFFF, 0xA001).to_bytes(2, "little")),
    "crc16_xmodem": (2, lambda data: _xmodem(data).to_bytes(2, "big")),
    "xor_digits": (2, _xor_of_digits),
}
"""Checks by name: how many bytes they take, and how they are computed from those before."""

_CHECK = re.compile(r"\{(" + "|".join(CHECKS) + r")(?::([0-9]{1,2}))?\}")


@dataclass(frozen=True, slots=True)
class PatternField:
    """Bytes of a pattern that mean something: a number, bytes as hex, or ASCII text."""

    name: str
    at: int
    width: int
    form: Literal["x", "l", "a", "b"]

    def read(self, data: bytes) -> int | str:
        """Its value in a whole frame."""
        part = data[self.at : self.at + self.width]
        match self.form:
            case "x":
                return int.from_bytes(part, "big")
            case "l":
                return int.from_bytes(part, "little")
            case "a":
                return part.decode("ascii")
            case "b":
                return part.hex().upper()


@dataclass(frozen=True, slots=True)
class PatternCheck:
    """A check in a pattern, over the bytes from ``start`` to where it stands."""

    kind: str
    start: int
    at: int

    def holds(self, data: bytes) -> bool:
        """Whether a whole frame passes it."""
        width, compute = CHECKS[self.kind]
        return compute(data[self.start : self.at]) == data[self.at : self.at + width]


@dataclass(frozen=True, slots=True)
class BytePattern:
    """Bytes to be recognised; None stands for any byte."""

    parts: tuple[int | None, ...]
    fields: tuple[PatternField, ...] = ()
    checks: tuple[PatternCheck, ...] = ()
    text: str = ""

    def __str__(self) -> str:
        return self.text or " ".join("??" if p is None else f"{p:02X}" for p in self.parts)

    def matches(self, data: bytes) -> bool:
        """Whether ``data`` is exactly of this form, and its checks hold."""
        return (
            len(data) == len(self.parts)
            and self._agrees(data)
            and all(check.holds(data) for check in self.checks)
            and all(
                field.form != "a"
                or all(0x20 <= b < 0x7F for b in data[field.at : field.at + field.width])
                for field in self.fields
            )
        )

    def begins(self, data: bytes) -> bool:
        """Whether ``data`` could be the beginning of such a frame, or is one."""
        return self.matches(data) if len(data) == len(self.parts) else self._agrees(data)

    def _agrees(self, data: bytes) -> bool:
        return len(data) <= len(self.parts) and all(
            part is None or part == byte for part, byte in zip(self.parts, data, strict=False)
        )

    def bound(self, known: Mapping[str, int]) -> BytePattern:
        """This pattern with the numbers that are ``known`` in their fields: the answer to a question
        about lock 3 of board 1 must name lock 3 of board 1, or it is somebody else's.
        """
        parts = list(self.parts)
        for field in self.fields:
            if field.name in known and field.form in ("x", "l"):
                order: Literal["big", "little"] = "big" if field.form == "x" else "little"
                number = known[field.name].to_bytes(field.width, order)
                parts[field.at : field.at + field.width] = number
        return BytePattern(tuple(parts), self.fields, self.checks, self.text)

    def read(self, data: bytes) -> dict[str, int | str]:
        """The fields of ``data``, which must match."""
        return {field.name: field.read(data) for field in self.fields}


@dataclass(frozen=True, slots=True)
class FrameTemplate:
    """Bytes to be sent, some of which depend on parameters."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def names(self) -> frozenset[str]:
        """The parameters it needs."""
        found = (_FIELD.fullmatch(token) for token in _TOKEN.findall(self.text))
        return frozenset().union(*(expressions.names("{" + f[1] + "}") for f in found if f))

    def render(self, params: Mapping[str, int]) -> bytes:
        """The frame. Raises ExpressionError for a name without a value, ValueError for a number
        that does not fit its width.
        """
        frame = b""
        for token in _TOKEN.findall(self.text):
            check, field = _CHECK.fullmatch(token), _FIELD.fullmatch(token)
            if check is not None:
                frame += CHECKS[check[1]][1](frame[int(check[2] or 0) :])
            elif field is not None:
                width = int(field[2]) // 2
                number = expressions.evaluate("{" + field[1] + "}", params)
                if not 0 <= number < 1 << 8 * width:
                    raise ValueError(f"{number} does not fit {width} bytes")
                frame += number.to_bytes(width, "big" if field[3] == "x" else "little")
            else:
                frame += bytes.fromhex(token)
        return frame


def _pattern(value: Any) -> BytePattern:
    tokens = _TOKEN.findall(value) if isinstance(value, str) else []
    parts: list[int | None] = []
    fields: list[PatternField] = []
    checks: list[PatternCheck] = []
    for part in tokens:
        check, field = _CHECK.fullmatch(part), _FIELD.fullmatch(part)
        if check is not None:
            start = int(check[2] or 0)
            if start >= len(parts):
                raise ValueError(f"{part} begins where it stands or behind")
            checks.append(PatternCheck(check[1], start, len(parts)))
            parts += [None] * CHECKS[check[1]][0]
        elif field is not None and _NAME.fullmatch(field[1]):
            width = int(field[2]) // 2 if field[2] else int(field[4])
            form: Any = field[3] or field[5]
            fields.append(PatternField(field[1], len(parts), width, form))
            parts += [None] * width
        elif part == "??":
            parts.append(None)
        elif _BYTE.fullmatch(part):
            parts.append(int(part, 16))
        else:
            raise ValueError(f"must be hex bytes in quotes, ?? for any, not {value!r}")
    if not parts:
        raise ValueError(f"must be hex bytes in quotes, ?? for any, not {value!r}")
    if len({field.name for field in fields}) < len(fields):
        raise ValueError("two fields have the same name")
    return BytePattern(tuple(parts), tuple(fields), tuple(checks), value)


def _template(value: Any) -> FrameTemplate:
    tokens = _TOKEN.findall(value) if isinstance(value, str) else []
    for part in tokens:
        field = _FIELD.fullmatch(part)
        good = _CHECK.fullmatch(part) or _BYTE.fullmatch(part) or (field and field[2])
        if not good:
            raise ValueError(f"{part!r} is neither a hex byte nor {{name:02x}} nor {{sum8}}")
    if not tokens:
        raise ValueError(f"must be hex bytes in quotes such as '7E 00', not {value!r}")
    template = FrameTemplate(value)
    _ = template.names  # an expression that is none is refused here
    return template


_TEXT = WithJsonSchema({"type": "string"})
Pattern = Annotated[BytePattern, PlainValidator(_pattern), _TEXT]
Template = Annotated[FrameTemplate, PlainValidator(_template), _TEXT]
