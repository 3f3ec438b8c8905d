"""RSA2: SHA256withRSA over the parameters in order of their names (opendocs.alipay.com/common/02kf5q)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from cloud_api.kit import rsa2
from cloud_api.payments.providers.alipay.account import AlipayAccount
from cloud_api.payments.providers.base import BadNotification

_NOT_SIGNED: Final = frozenset({"sign", "sign_type"})


def sign(account: AlipayAccount, params: Mapping[str, str]) -> str:
    """The ``sign`` of a request."""
    return rsa2.sign(account.key, params)


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
        return rsa2.read_answer(account.theirs, raw, method)
    except ValueError as error:
        raise BadNotification(str(error)) from error


def _verify(account: AlipayAccount, signed: bytes, given: str) -> None:
    try:
        rsa2.verify(account.theirs, signed, given)
    except ValueError as error:
        raise BadNotification(str(error)) from error
