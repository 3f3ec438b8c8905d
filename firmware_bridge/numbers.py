"""Numbers in registers: 16 and 32 bit, signed, floating, in either order of words."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal

NumberFormat = Literal["bool", "u16", "s16", "u32", "s32", "f32"]
WordOrder = Literal["high_first", "low_first"]

_CODES = {"u16": ">H", "s16": ">h", "u32": ">I", "s32": ">i", "f32": ">f"}


def decode(words: Sequence[int], kind: NumberFormat, order: WordOrder) -> int | float:
    """The number in ``words`` (one, or two for 32 bit)."""
    ordered = list(words) if order == "high_first" else list(reversed(words))
    number: int | float
    (number,) = struct.unpack(_CODES[kind], struct.pack(f">{len(ordered)}H", *ordered))
    return number


def encode(number: int | float, kind: NumberFormat, order: WordOrder) -> list[int]:
    """The words that hold ``number``. Raises struct.error if it does not fit."""
    raw = struct.pack(_CODES[kind], number if kind == "f32" else int(number))
    words = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
    return words if order == "high_first" else words[::-1]
