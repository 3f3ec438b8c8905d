"""Providers that tests start take RSA keys in turn from a dozen, made once per process.

Each of them has keys of its own, as in life: WeChat Pay three, Alipay two, UnionPay's authority a handful.
To make and check those took longer than the test that asked them for one payment. Twelve are more than
all providers of one test have together, so within a test no two of them share a key.
"""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from simulators.alipay import house as alipay
from simulators.unionpay import authority as unionpay
from simulators.wechatpay import house as wechatpay

DOZEN: Final = 12
_turns = count()


@cache
def _key(number: int) -> rsa.RSAPrivateKey:
    del number
    return rsa.generate_private_key(65537, 2048)


@cache
def _pem(number: int) -> str:
    return (
        _key(number)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def _next_key(_public_exponent: int, _key_size: int) -> rsa.RSAPrivateKey:
    return _key(next(_turns) % DOZEN)


def _next_pem() -> str:
    return _pem(next(_turns) % DOZEN)


@cache
def take_keys_in_turn() -> None:
    """From now on, in this process."""
    for house in (alipay, wechatpay):
        names = vars(house)
        names["_new_key"], names["_load"] = _next_pem, cache(names["_load"])
    vars(unionpay)["generate_private_key"] = _next_key
