"""Frames of devices that are not Modbus: templates of what is sent, patterns of what comes back.

``AA 07 02 {track:04x} {sum8}`` is a template: bytes in hex, expressions with their width, and the sum
of all bytes before it (modulo 256). ``02 00 00 01 ?? ?? ??`` is a pattern: ``??`` is any byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import PlainValidator

from device_profiles import expressions

_FIELD = re.compile(r"\{([^{}:]+):(02|04)x\}")
_BYTE = re.compile(r"[0-9A-Fa-f]{2}")
_TOKEN = re.compile(r"\{[^{}]*\}|\S+")
_SUM = "{sum8}"


@dataclass(frozen=True, slots=True)
class BytePattern:
    """Bytes to be recognised; None stands for any byte."""

    parts: tuple[int | None, ...]

    def __str__(self) -> str:
        return " ".join("??" if part is None else f"{part:02X}" for part in self.parts)

    def matches(self, data: bytes) -> bool:
        """Whether ``data`` is exactly of this form."""
        return len(data) == len(self.parts) and self.begins(data)

    def begins(self, data: bytes) -> bool:
        """Whether ``data``, which is no longer than the pattern, could be its beginning."""
        return len(data) <= len(self.parts) and all(
            part is None or part == byte for part, byte in zip(self.parts, data, strict=False)
        )


@dataclass(frozen=True, slots=True)
class FrameTemplate:
    """Bytes to be sent, some of which depend on parameters."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def names(self) -> frozenset[str]:
        """The parameters it needs."""
        return frozenset().union(
            *(expressions.names("{" + found[1] + "}") for found in _FIELD.finditer(self.text))
        )

    def render(self, params: Mapping[str, int]) -> bytes:
        """The frame. Raises ExpressionError for a name without a value, ValueError for a number
        that does not fit its width.
        """
        frame = b""
        for token in _TOKEN.findall(self.text):
            field = _FIELD.fullmatch(token)
            if token == _SUM:
                frame += bytes([sum(frame) & 0xFF])
            elif field is not None:
                width = int(field[2]) // 2
                number = expressions.evaluate("{" + field[1] + "}", params)
                if not 0 <= number < 1 << 8 * width:
                    raise ValueError(f"{number} does not fit {width} bytes")
                frame += number.to_bytes(width, "big")
            else:
                frame += bytes.fromhex(token)
        return frame


def _pattern(value: Any) -> BytePattern:
    tokens = value.split() if isinstance(value, str) else []
    if not tokens or any(part != "??" and _BYTE.fullmatch(part) is None for part in tokens):
        raise ValueError(f"must be hex bytes in quotes, ?? for any, not {value!r}")
    return BytePattern(tuple(None if part == "??" else int(part, 16) for part in tokens))


def _template(value: Any) -> FrameTemplate:
    tokens = _TOKEN.findall(value) if isinstance(value, str) else []
    for part in tokens:
        if part != _SUM and _BYTE.fullmatch(part) is None and _FIELD.fullmatch(part) is None:
            raise ValueError(f"{part!r} is neither a hex byte nor {{name:02x}} nor {_SUM}")
    if not tokens:
        raise ValueError(f"must be hex bytes in quotes such as '7E 00', not {value!r}")
    template = FrameTemplate(value)
    _ = template.names  # an expression that is none is refused here
    return template


Pattern = Annotated[BytePattern, PlainValidator(_pattern)]
Template = Annotated[FrameTemplate, PlainValidator(_template)]
