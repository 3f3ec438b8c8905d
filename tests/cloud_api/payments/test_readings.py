"""What WeChat Pay and Alipay say, word by word, and what of it is money: read without a provider.

The facts are the providers' documents': pay.weixin.qq.com/doc/v3/merchant/4012154180 (two kinds of keys),
4016241880 (probes), 4013080623 (refunds), opendocs.alipay.com (alipay.trade.query, notifications).
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlmodel import col, select

import cloud_api.payments.jobs  # noqa: F401  registers its handlers
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import DueJob
from cloud_api.payments import inbox, service
from cloud_api.payments.models import Notification, ProviderAccount
from cloud_api.payments.providers.alipay import reading as alipay
from cloud_api.payments.providers.alipay.account import AlipayAccount
from cloud_api.payments.providers.base import (
    Back,
    BadNotification,
    Money,
    PaymentRef,
    PaymentView,
    ProbeNotification,
    RefundAsk,
    RefundView,
    UnknownKey,
)
from cloud_api.payments.providers.wechatpay import reading as wechat
from cloud_api.payments.providers.wechatpay import signing
from cloud_api.payments.providers.wechatpay.account import WechatPayAccount
from simulators.alipay.voice import LADDER_S as ALIPAYS
from simulators.wechatpay.voice import LADDER_S as WECHATS
from tests.cloud_api.factories import Shop

KEY = generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
WECHAT = WechatPayAccount(
    mchid="1900000001", appid="wx0001", serial="5157F09EFDC096DE", private_key=PEM,
    api_v3_key="k" * 32,
)  # fmt: skip
ALIPAY = AlipayAccount.model_construct(
    app_id="2021000001", seller_id="2088000001", private_key=PEM, alipay_public_key=""
)
PAID: dict[str, str] = {
    "app_id": "2021000001", "seller_id": "2088000001", "out_trade_no": "26112312001_1",
    "total_amount": "76.00", "trade_no": "20001", "gmt_payment": "2026-11-23 12:00:00",
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({"trade_status": "TRADE_SUCCESS"}, Money.SUCCEEDED),
        ({"trade_status": "TRADE_FINISHED"}, Money.SUCCEEDED),  # paid; no refund any more
        ({"trade_status": "TRADE_CLOSED"}, Money.SUCCEEDED),  # given back in full, so it was paid
        ({"trade_status": "TRADE_CLOSED", "gmt_payment": ""}, Money.CLOSED),
        ({"trade_status": "WAIT_BUYER_PAY", "gmt_payment": ""}, Money.PENDING),
        ({"trade_status": "TRADE_PENDING"}, Money.UNKNOWN),
    ],
)
def test_alipay_tells_of_a_payment(told: dict[str, str], state: Money) -> None:
    seen = alipay.notified(ALIPAY, PAID | told)
    assert isinstance(seen, PaymentView)
    assert (seen.state, seen.number, seen.amount_fen) == (state, "26112312001-1", 7600)


@pytest.mark.parametrize(
    "of_a_refund", [{"gmt_refund": "2026-11-23 13:00:00"}, {"refund_fee": "26.00"}]
)
@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_CLOSED"])
def test_what_alipay_tells_of_a_refund_is_no_payment(
    of_a_refund: dict[str, str], status: str
) -> None:
    """It comes to the payment's address with the payment's status: whoever looks at that alone marks a
    refunded order paid again.
    """
    seen = alipay.notified(
        ALIPAY, PAID | of_a_refund | {"trade_status": status, "out_biz_no": "26112312001_1_R1"}
    )
    assert isinstance(seen, RefundView)
    assert (seen.state, seen.number, seen.amount_fen) == (
        Back.SUBMITTED, "26112312001-1-R1", None,
    )  # fmt: skip


@pytest.mark.parametrize("other", [{"app_id": "2021000002"}, {"seller_id": "2088000002"}])
def test_of_another_app_or_seller_is_no_word_of_ours(other: dict[str, str]) -> None:
    with pytest.raises(BadNotification):
        alipay.notified(ALIPAY, PAID | other | {"trade_status": "TRADE_SUCCESS"})


@pytest.mark.parametrize("amount", ["76", "76.001", "NaN", "1e3x", "", None, 76.0])
def test_an_amount_in_yuan_is_whole_fen_or_nothing(amount: Any) -> None:
    assert alipay.fen(amount) == (7600 if amount == "76" else None)


_ASK = RefundAsk("N-R1", PaymentRef("N", 7600, None), 100, "", "", None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "first", "refund"),
    [
        # The provider may not, or not now: the money may have moved.
        ("FREQUENCY_LIMITED", Money.UNKNOWN, Back.UNKNOWN),
        ("FREQUENCY_LIMIT_EXCEED", Money.UNKNOWN, Back.UNKNOWN),
        ("SYSTEM_ERROR", Money.UNKNOWN, Back.UNKNOWN),
        ("SIGN_ERROR", Money.UNKNOWN, Back.UNKNOWN),
        ("NOT_ENOUGH", Money.FAILED, Back.ABNORMAL),  # the same number again once there is money
        ("PARAM_ERROR", Money.FAILED, Back.FAILED),
        ("INVALID_REQUEST", Money.FAILED, Back.FAILED),  # too many parts, or after a year
        ("ORDER_CLOSED", Money.CLOSED, Back.FAILED),
    ],
)
def test_a_refusal_of_wechat_pay_is_certain_or_unknown(
    code: str, first: Money, refund: Back
) -> None:
    assert wechat.refused("N", code).state is first
    assert wechat.refund("N-R1", (429, {"code": code}), asked=True).state is refund
    assert wechat.refund("N-R1", (429, {"code": code}), asked=False).state is Back.UNKNOWN


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PROCESSING", Back.SUBMITTED), ("SUCCESS", Back.SUCCEEDED), ("CLOSED", Back.FAILED),
        ("ABNORMAL", Back.ABNORMAL), ("SOMETHING_NEW", Back.UNKNOWN),
    ],
)  # fmt: skip
def test_a_refund_at_wechat_pay_in_each_of_its_states(status: str, state: Back) -> None:
    body = {"out_refund_no": "N-R1", "out_trade_no": "N", "amount": {"refund": 100}}
    assert wechat.refund_body("N-R1", body, status).state is state
    assert wechat.refund_body("N-R2", body, status).state is Back.UNKNOWN  # of another number


@pytest.mark.parametrize(
    "other",
    [
        {"mchid": "1900000002"}, {"appid": "wx0002"}, {"out_trade_no": "M"},
        {"amount": {"total": 7600, "currency": "USD"}}, {"trade_state": "SOMETHING_NEW"},
    ],
)  # fmt: skip
def test_a_payment_of_somebody_else_is_unknown_to_us(other: dict[str, Any]) -> None:
    body = {
        "mchid": "1900000001", "appid": "wx0001", "out_trade_no": "N", "trade_state": "SUCCESS",
        "amount": {"total": 7600, "currency": "CNY"},
    }  # fmt: skip
    assert wechat.transaction(WECHAT, "N", body).state is Money.SUCCEEDED
    assert (
        wechat.transaction(WECHAT, "N", body | {"trade_state": "REFUND"}).state is Money.SUCCEEDED
    )
    assert wechat.transaction(WECHAT, "N", body | other).state is Money.UNKNOWN


def _headers(clocks: Clocks, **other: str) -> dict[str, str]:
    told = {
        "Timestamp": str(int(clocks.real.timestamp())), "Nonce": "n", "Signature": "AAAA",
        "Serial": "7777", "Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }  # fmt: skip
    return {f"Wechatpay-{name}": text for name, text in (told | other).items() if text != "-"}


@pytest.mark.parametrize(
    ("bent", "raised"),
    [
        ({"Timestamp": "-"}, BadNotification),
        ({"Nonce": "-"}, BadNotification),
        ({"Signature": "-"}, BadNotification),
        ({"Serial": "-"}, BadNotification),
        ({"Timestamp": "soon"}, BadNotification),
        ({"Timestamp": "9" * 400}, BadNotification),  # more than a float holds
        ({"Timestamp": "9" * 5000}, BadNotification),  # more digits than Python reads
        ({"Timestamp": "1761000000"}, BadNotification),  # signed rightly, a month ago
        ({"Signature": "WECHATPAY/SIGNTEST/AAAA"}, ProbeNotification),
        ({"Serial": "PUB_KEY_ID_0114"}, BadNotification),  # to an account with certificates alone
        ({"Serial": "not hexadecimal"}, UnknownKey),
        ({"Signature-Type": "-"}, UnknownKey),  # what is missing is not looked at
    ],
)
def test_headers_that_are_not_right_are_refused_and_never_raise_anything_else(
    clocks: Clocks, bent: dict[str, str], raised: type[BadNotification]
) -> None:
    with pytest.raises(BadNotification) as caught:
        signing.verify(WECHAT, {}, _headers(clocks, **bent), b"{}", clocks.real)
    assert type(caught.value) is raised


async def test_serials_that_nobody_knows_call_nobody_and_make_one_job(
    cloud: Cloud, clocks: Clocks, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can send a serial. An SDK fetches the certificates from inside the notification then."""
    calls: list[object] = []

    async def called(*what: object, **_more: object) -> httpx.Response:
        calls.append(what)
        raise httpx.ConnectError("nobody is to be called")

    monkeypatch.setattr(cloud.http, "request", called)
    async with cloud.db.write() as session:
        account = ProviderAccount(
            id=new_id(), merchant_id=shop.merchant.id, provider="wechat", name="微信",
            credentials=json.dumps(WECHAT.model_dump(mode="json")), created_at=clocks.now,
        )  # fmt: skip
        session.add(account)
    for n in range(40):
        reply = await inbox.receive(
            cloud, "wechat", account.id, _headers(clocks, Serial=f"{n:X}"), b"{}"
        )
        assert reply.status == 401
    async with cloud.db.read() as session:
        jobs = await session.exec(select(DueJob).where(col(DueJob.kind) == service.KEYS))
        assert len(jobs.all()) == 1
        assert (await session.exec(select(Notification))).all() == []
    assert calls == []


def test_the_simulators_tell_again_as_the_providers_do() -> None:
    assert sum(WECHATS) == timedelta(hours=24, minutes=4).total_seconds()
    assert len(WECHATS) == 15
    assert ALIPAYS == (240, 600, 600, 3600, 7200, 21600, 54000)
