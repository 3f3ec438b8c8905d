"""RSA2: SHA256withRSA over the parameters in order of their names (opendocs.alipay.com/common/02kf5q)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from cloud_api.payments.providers.alipay.account import AlipayAccount
from cloud_api.payments.providers.base import BadNotification

_NOT_SIGNED: Final = frozenset({"sign", "sign_type"})


def sign(account: AlipayAccount, params: Mapping[str, str]) -> str:
    """The ``sign`` of a request: everything but itself and what is empty."""
    text = "&".join(f"{name}={params[name]}" for name in sorted(params) if params[name])
    return base64.b64encode(account.key.sign(text.encode(), PKCS1v15(), SHA256())).decode()


def read_notification(account: AlipayAccount, raw: bytes) -> dict[str, str]:
    """The parameters of a notification. Raises BadNotification unless Alipay signed them all."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            encoding="utf-8",
            errors="strict",
        )
    except ValueError as error:
        raise BadNotification("not a form") from error
    told = dict(pairs)
    if len(told) != len(pairs):
        raise BadNotification("a parameter comes twice")
    if told.get("sign_type") != "RSA2":
        raise BadNotification("not signed with RSA2")
    names = sorted(name for name in told if name not in _NOT_SIGNED and told[name])
    _verify(
        account, "&".join(f"{name}={told[name]}" for name in names).encode(), told.get("sign", "")
    )
    return told


def read_answer(account: AlipayAccount, raw: bytes, method: str) -> dict[str, Any]:
    """What a call was answered: what is signed are the exact bytes of the node. Raises BadNotification."""
    try:
        text = raw.decode("utf-8")
        node = f'"{method.replace(".", "_")}_response"'
        start = text.index(":", text.index(node) + len(node)) + 1
        while text[start] in " \t\r\n":
            start += 1
        found, end = json.JSONDecoder().raw_decode(text, start)
        sign_given = json.loads(text)["sign"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BadNotification(f"unreadable answer: {type(error).__name__}") from error
    if not isinstance(found, dict) or not isinstance(sign_given, str):
        raise BadNotification("unreadable answer")
    _verify(account, text[start:end].encode(), sign_given)
    return found


def _verify(account: AlipayAccount, signed: bytes, given: str) -> None:
    try:
        account.theirs.verify(base64.b64decode(given, validate=True), signed, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise BadNotification(f"signature: {type(error).__name__}") from error
