"""Voucher codes: twelve digits, the last of them a check digit, so that a slip of a finger is told as one.

The QR on the phone is no picture of the code: it names the voucher for two minutes and is signed with
the installation's secret, so that a photograph of a screen is worth nothing soon after.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_digits

LENGTH: Final = 12
WINDOW_S: Final = 60  # a QR is good for this minute and the next
_QR: Final = "KV1"
_ODD: Final = re.compile(r"[\s\-·]")
_QR_FORM: Final = re.compile(r"KV1\.([0-9A-Z]{26})\.([0-9]{1,12})\.([0-9a-f]{32})")


def new_code() -> str:
    """A new code from the system's CSPRNG: one in 10^11."""
    body = new_digits(LENGTH - 1)
    return body + _check_digit(body)


def normal(text: str) -> str:
    """The twelve digits of what somebody typed: 1234-5678-9012.

    Raises KaimenError ``voucher.bad_code`` (422) for another length or a wrong check digit.
    """
    code = _ODD.sub("", text)
    if len(code) != LENGTH or not (code.isascii() and code.isdigit()):
        raise _bad(_("券码是 {length} 位数字，请再看一眼").format(length=LENGTH))
    if _check_digit(code[:-1]) != code[-1]:
        raise _bad(_("券码有一位不对，请再看一眼"))
    return code


def grouped(code: str) -> str:
    """``1234 5678 9012``."""
    return " ".join(code[i : i + 4] for i in range(0, LENGTH, 4))


def index_of(code: str) -> str:
    """What a code is found by."""
    return vault().index(f"voucher:{code}")


def qr_text(voucher_id: str, real_s: float) -> str:
    """What the voucher's QR says at ``real_s`` (wire time, seconds since the epoch)."""
    window = int(real_s // WINDOW_S)
    return f"{_QR}.{voucher_id}.{window}.{_mac(voucher_id, window)}"


def looks_like_qr(text: str) -> bool:
    """Whether somebody scanned a voucher rather than typed a code."""
    return text.strip().startswith(f"{_QR}.")


def voucher_of_qr(text: str, real_s: float) -> str:
    """The voucher's id in a scanned QR.

    Raises KaimenError ``voucher.bad_qr``, ``voucher.old_qr`` (422): a photograph, or a phone asleep.
    """
    found = _QR_FORM.fullmatch(text.strip())
    if found is None or not hmac.compare_digest(_mac(found[1], int(found[2])), found[3]):
        raise KaimenError("voucher.bad_qr", "这不是我们的券码", status=422, field="code")
    age = int(real_s // WINDOW_S) - int(found[2])
    if age not in (0, 1):
        raise KaimenError(
            "voucher.old_qr", "二维码过期了，请顾客打开手机刷新一下", status=422, field="code"
        )
    return found[1]


def _mac(voucher_id: str, window: int) -> str:
    return vault().hash_token(f"voucher-qr:{voucher_id}:{window}")[:32]


def _check_digit(body: str) -> str:
    """Luhn: finds every single wrong digit and nearly every swap of neighbours."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def _bad(message: str) -> KaimenError:
    return KaimenError("voucher.bad_code", message, status=422, field="code")
