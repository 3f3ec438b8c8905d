"""Which ways to pay fit the browser, and the steps that need a page of ours: a form, a code."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from cloud_api.orders.schemas import PayWayOut
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.providers.base import StepKind
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.web.view_models import PayMethod


class Place(StrEnum):
    """Where the payer's browser is."""

    WECHAT = "wechat"
    MINI = "mini"  # the web-view of a mini-program inside WeChat
    ALIPAY = "alipay"
    PHONE = "phone"
    DESKTOP = "desktop"


_FIT: Final[dict[Place, tuple[str, ...]]] = {
    Place.WECHAT: ("jsapi", "page", "wap"),
    Place.MINI: ("mini",),
    Place.ALIPAY: ("wap", "page"),
    Place.PHONE: ("h5", "wap", "page"),
    Place.DESKTOP: ("native", "qr", "page", "wap"),
}
"""The channels that work there, the best first: WeChat opens no H5 in itself, a web-view no address but
its owner's, a phone scans no code off its own screen."""
_NAMED: Final = frozenset({"jsapi", "mini"})
_SHUT: Final = {Place.WECHAT: "alipay", Place.ALIPAY: "wechat"}
"""Each of the two apps refuses the other's pages."""
_HOME: Final = {Place.WECHAT: "wechat", Place.MINI: "wechat", Place.ALIPAY: "alipay"}


def place_of(user_agent: str) -> Place:
    """Where a browser is, by its own words."""
    agent = user_agent.lower()
    if "micromessenger" in agent:
        return Place.MINI if "miniprogram" in agent else Place.WECHAT
    if "alipayclient" in agent:
        return Place.ALIPAY
    phone = any(word in agent for word in ("iphone", "android", "mobile", "harmonyos"))
    return Place.PHONE if phone else Place.DESKTOP


def methods(
    ways: Sequence[PayWayOut], place: Place, *, openid: bool = False
) -> tuple[PayMethod, ...]:
    """One method per provider that works in this place: the place's own first, then the owner's order.

    WeChat's own sheet wants the payer's ``openid``; where nobody knows it, it is not offered.
    """
    chosen: dict[tuple[str, bool], PayWayOut] = {}
    own = [way for way in ways if way.channel == "house"]  # a balance fits everywhere
    order = tuple(one for one in _FIT[place] if openid or one not in _NAMED)
    for way in ways:
        if way.channel not in order or way.provider == _SHUT.get(place):
            continue
        key = (way.provider, way.balance_fen > 0)
        known = chosen.get(key)
        if known is None or order.index(way.channel) < order.index(known.channel):
            chosen[key] = way
    home = _HOME.get(place, "")
    sorted_ways = sorted(
        chosen.values(), key=lambda way: (way.balance_fen > 0, way.provider != home)
    )
    return tuple(
        PayMethod(way.provider, way.channel, way.name, way.note, way.icon, way.balance_fen)
        for way in [*own, *sorted_ways]
    )


def running(attempts: Sequence[PaymentAttempt]) -> PaymentAttempt | None:
    """The payment that is open, if one is."""
    return next((one for one in attempts if one.state in OPEN_PAYMENT), None)


def step_of(attempt: PaymentAttempt | None, kind: StepKind) -> dict[str, Any] | None:
    """The step of an open payment, if it is of this kind."""
    if attempt is None or attempt.state != "pending" or not attempt.step:
        return None
    return attempt.step if attempt.step.get("kind") == kind.value else None


def form_policy(policy: str, action: str) -> str:
    """The page's policy, with the one foreign place that its form may be posted to."""
    url = urlsplit(action)
    return policy.replace("form-action 'self'", f"form-action 'self' {url.scheme}://{url.netloc}")
