"""Base45 of RFC 9285, canonical only: passes travel in the alphanumeric mode of QR codes.

Written here because lenient decoders (lower case, trailing newlines, overflowing groups) would let
two different texts be the same pass.
"""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUE = {char: value for value, char in enumerate(ALPHABET)}


class Base45Error(ValueError):
    """Text that no encoder would have written."""


def encode(data: bytes) -> str:
    """Three characters for two bytes, least significant first; two for a last odd byte."""
    out: list[str] = []
    for at in range(0, len(data) - 1, 2):
        high, low = divmod(data[at] * 256 + data[at + 1], 45 * 45)
        mid, low = divmod(low, 45)
        out += (ALPHABET[low], ALPHABET[mid], ALPHABET[high])
    if len(data) % 2:
        mid, low = divmod(data[-1], 45)
        out += (ALPHABET[low], ALPHABET[mid])
    return "".join(out)


def decode(text: str) -> bytes:
    """The bytes of ``text``. Raises Base45Error unless ``encode`` gives back exactly ``text``."""
    try:
        values = [_VALUE[char] for char in text]
    except KeyError:
        raise Base45Error("a character is not in the alphabet") from None
    if len(values) % 3 == 1:
        raise Base45Error("no encoder writes this length")
    data = bytearray()
    for at in range(0, len(values) - 2, 3):
        number = values[at] + 45 * values[at + 1] + 2025 * values[at + 2]
        if number > 0xFFFF:
            raise Base45Error("a group of three is beyond two bytes")
        data += number.to_bytes(2, "big")
    if len(values) % 3 == 2:
        number = values[-2] + 45 * values[-1]
        if number > 0xFF:
            raise Base45Error("the last pair is beyond one byte")
        data.append(number)
    if encode(bytes(data)) != text:
        raise Base45Error("not the canonical form")
    return bytes(data)
