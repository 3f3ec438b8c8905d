"""Phone numbers in one form (E.164), so that one person is one account."""

from __future__ import annotations

import re

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _

_SEPARATORS = re.compile(r"[ \-()]")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_CHINA_MOBILE = re.compile(r"1[3-9][0-9]{9}", re.ASCII)


def normal(phone: str) -> str:
    """``+8613800000001`` for ``138 0000 0001``; other countries' numbers come with their ``+``.

    Raises KaimenError ``auth.bad_phone`` (422).
    """
    text = _SEPARATORS.sub("", phone.strip())
    if text.startswith("00"):
        text = f"+{text[2:]}"
    if _CHINA_MOBILE.fullmatch(text):
        text = f"+86{text}"
    if text.startswith("+86") and not _CHINA_MOBILE.fullmatch(text[3:]):
        raise _bad()
    if not _E164.fullmatch(text):
        raise _bad()
    return text


def masked(tail: str) -> str:
    """How a number is shown: ``尾号 4821``."""
    return _("尾号 {tail}").format(tail=tail)


def _bad() -> KaimenError:
    return KaimenError("auth.bad_phone", "手机号不对，请检查", status=422, field="phone")
