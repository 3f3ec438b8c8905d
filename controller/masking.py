"""Strikes secrets out of what leaves the store for other eyes: by their names, and by their looks."""

from __future__ import annotations

import re
from typing import Any

MASK = "•••"
_NAMES = re.compile(
    r"(^|_)(key|secret|password|token|pin|code|mac|hmac|csr|grant|private|signature|username)(_|$)"
)
_LOOKS = (
    re.compile(r"K1:[0-9A-Z $%*+\-./:]{7,}[0-9A-Z$%*+\-./:]"),  # a pass
    re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{32,}(?![0-9A-Za-z])"),  # keys, hashes
    re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL),
    re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)"),  # a phone number
    re.compile(r"(?<=://)[^/@\s]+@"),  # user and password in an address
)


def masked(value: Any, name: str = "") -> Any:
    """The same with secrets struck out; ``name`` is the key it stands under."""
    if isinstance(value, dict):
        return {str(key): masked(one, str(key)) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked(one, name) for one in value]
    if name and _NAMES.search(name.lower()) and value not in (None, "", 0, False, True):
        return MASK
    if isinstance(value, str):
        for looks in _LOOKS:
            value = looks.sub(MASK, value)
    return value
