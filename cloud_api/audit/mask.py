"""The last net under personal data and secrets on their way into an entry that can never be deleted.

Callers mask; what they overlook is caught here by its name or by its form.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

_SECRET = re.compile(
    r"token|secret|password|authorization|cookie|csrf|pin$|^code$|otp|totp|mac_key|credential"
    r"|private|passphrase|recovery",
    re.IGNORECASE,
)
_PERSONAL = re.compile(r"^phone$|_phone$|^mobile$|^openid$|^email$|^id_card$", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\dA-Za-z])(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?(\d{4})(?![\dA-Za-z])")
_EMAIL = re.compile(r"([\w.+-])[\w.+-]*@([\w-]+\.[\w.-]+)")
HIDDEN = "•••"


def masked(value: Any) -> Any:
    """``value`` with secrets hidden and phone numbers down to their last four digits."""
    if isinstance(value, str):
        return _EMAIL.sub(r"\1•••@\2", _PHONE.sub(r"•••\1", value))
    if isinstance(value, dict):
        return {key: _named(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(inner) for inner in value]
    return value


def _named(name: str, value: Any) -> Any:
    if isinstance(value, bool | None):
        return value
    if _SECRET.search(name):
        return HIDDEN
    if _PERSONAL.search(name) and isinstance(value, str):
        return value if value.startswith(HIDDEN) else f"{HIDDEN}{value[-4:]}"
    return masked(value)


def network(ip: str) -> str:
    """The network of an address (/24, /48): enough to see a pattern, too little to find a home."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ""
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))
