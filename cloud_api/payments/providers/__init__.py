"""Payment providers behind the one port: by name, what they are and how one is made for an account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Final

from pydantic import BaseModel

from cloud_api.payments.providers import cashier
from cloud_api.payments.providers.alipay import provider as alipay
from cloud_api.payments.providers.alipay.account import AlipayAccount
from cloud_api.payments.providers.base import BillHours, Channel, PaymentProvider, Surroundings
from cloud_api.payments.providers.stripe import cards as stripe
from cloud_api.payments.providers.unionpay import gateway as unionpay
from cloud_api.payments.providers.wechatpay import provider as wechatpay
from cloud_api.payments.providers.wechatpay.account import WechatPayAccount


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """A kind of provider. ``credentials`` says what an account needs; it is stored as its JSON."""

    label: str  # as payers read it
    make: Callable[[str, Surroundings], PaymentProvider]
    credentials: type[BaseModel]
    channels: tuple[Channel, ...]  # the first is taken where nobody chose
    bills: BillHours | None = None
    least_life_s: int = 0  # a payment stays open there at least so long: we close it before
    keys: bool = False  # whether there are public keys to fetch, again and again
    window: timedelta | None = None  # the longest time to pay in, of those that cannot close


PROVIDERS: Final[dict[str, ProviderKind]] = {
    "cashier": ProviderKind("收银台", cashier.make, cashier.CashierAccount, (Channel.PAGE,)),
    "wechat": ProviderKind(
        "微信支付",
        wechatpay.make,
        WechatPayAccount,
        wechatpay.CHANNELS,
        BillHours(time(10, 30)),
        least_life_s=70,
        keys=True,
    ),
    "alipay": ProviderKind(
        "支付宝",
        alipay.make,
        AlipayAccount,
        alipay.CHANNELS,
        BillHours(time(10, 0)),
        least_life_s=70,
    ),
    "unionpay": ProviderKind(
        "银联卡",
        unionpay.make,
        unionpay.UnionPayAccount,
        (Channel.PAGE, Channel.WAP),
        bills=BillHours(time(9)),
        window=unionpay.WINDOW,
    ),
    "stripe": ProviderKind(
        "信用卡",
        stripe.make,
        stripe.StripeAccount,
        (Channel.PAGE,),
        bills=BillHours(time(1), "UTC"),
    ),
}
"""A provider is added here and nowhere else."""
