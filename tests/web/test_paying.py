"""Which ways to pay fit which browser: each app shuts the other's pages out, a phone scans no own screen."""

from __future__ import annotations

import pytest

from cloud_api.orders.schemas import PayWayOut
from cloud_api.web.customer.paying import Place, form_policy, methods, place_of

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
WAYS = [
    PayWayOut(provider=provider, channel=channel, name=provider)
    for provider, channels in {
        "unionpay": ("page", "wap"),
        "wechat": ("native", "h5", "jsapi", "mini"),
        "alipay": ("wap", "page", "qr"),
        "cashier": ("page",),
    }.items()
    for channel in channels
]


@pytest.mark.parametrize(
    ("agent", "place", "shown"),
    [
        (DESKTOP, Place.DESKTOP, "unionpay:page wechat:native alipay:qr cashier:page"),
        (PHONE, Place.PHONE, "unionpay:wap wechat:h5 alipay:wap cashier:page"),
        (f"{PHONE} MicroMessenger/8.0.40", Place.WECHAT, "unionpay:page cashier:page"),
        (f"{PHONE} AlipayClient/10.5", Place.ALIPAY, "alipay:wap unionpay:wap cashier:page"),
        ("", Place.DESKTOP, "unionpay:page wechat:native alipay:qr cashier:page"),
    ],
)
def test_what_is_shown_where(agent: str, place: Place, shown: str) -> None:
    assert place_of(agent) is place
    found = methods(WAYS, place)
    assert " ".join(f"{one.provider}:{one.channel}" for one in found) == shown


def test_wechats_sheet_comes_first_where_the_payer_is_known() -> None:
    found = methods(WAYS, Place.WECHAT, openid=True)
    assert (found[0].provider, found[0].channel) == ("wechat", "jsapi")


def test_a_form_may_leave_to_one_place_alone() -> None:
    policy = form_policy(
        "form-action 'self'; base-uri 'none'", "https://gateway.95516.com/a.do?x=1"
    )
    assert policy == "form-action 'self' https://gateway.95516.com; base-uri 'none'"
