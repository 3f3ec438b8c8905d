r"""Cards and codes of staff, as what a store keeps of them: HMACs under its own key, never the number.

What is authenticated is ``kaimen/1/staff/{kind}/{staff}\n{text}``: a card's number in upper case
without separators, or a code's eight digits. A PIN of a guest has six, so the two are never confused.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Literal

Kind = Literal["card", "code"]

CODE_DIGITS = 8
_DOMAIN = b"kaimen/1/staff/"
_CODE = re.compile(r"[0-9]{8}", re.ASCII)
_CARD = re.compile(r"[0-9A-Z]{4,32}", re.ASCII)
_BETWEEN = str.maketrans("", "", " :-.\t")


def plain_card(text: str) -> str:
    """A card's number as readers and people write it, in one form. Raises ValueError for none."""
    found = text.translate(_BETWEEN).upper()
    if _CARD.fullmatch(found) is None:
        raise ValueError("a card's number is 4 to 32 digits or letters")
    return found


def is_code(text: str) -> bool:
    """Whether this has the form of a staff code."""
    return _CODE.fullmatch(text) is not None


def staff_hmac(mac_key: bytes, kind: Kind, staff: str, text: str) -> str:
    """What ``desired`` carries of a card or a code. Raises ValueError for what is neither."""
    if kind == "card":
        text = plain_card(text)
    elif not is_code(text):
        raise ValueError("a staff code is eight digits")
    message = _DOMAIN + f"{kind}/{staff}\n{text}".encode()
    return hmac.new(mac_key, message, hashlib.sha256).hexdigest()


def staff_key_matches(mac_key: bytes, kind: Kind, staff: str, text: str, verifier: str) -> bool:
    """Whether ``text`` is it; False for what is neither a card nor a code."""
    try:
        return hmac.compare_digest(staff_hmac(mac_key, kind, staff, text), verifier)
    except ValueError:
        return False
