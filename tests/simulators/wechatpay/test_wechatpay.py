"""WeChat Pay, both ends: our provider and an independent SDK at the simulator, over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import wechatpayv3
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wechatpayv3.utils import rsa_verify

from cloud_api.payments.providers.base import (
    Ask,
    Back,
    BadNotification,
    BillState,
    Channel,
    Money,
    Payer,
    PaymentRef,
    PaymentView,
    ProbeNotification,
    RefundAsk,
    RefundView,
    StepKind,
    Surroundings,
    UnknownKey,
)
from cloud_api.payments.providers.wechatpay import bills, client, signing
from cloud_api.payments.providers.wechatpay.provider import WechatPay, make
from simulators.wechatpay.voice import voice
from store_link.clock import ManualClock
from tests.support.catcher import Catcher, catching
from tests.support.providers import Counter, running_wechatpay

CHANNELS = (Channel.NATIVE, Channel.H5, Channel.JSAPI, Channel.MINI)


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    # SDKs take their time from the machine.
    return ManualClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture(scope="module")
def counter(clock: ManualClock) -> Iterator[Counter]:
    with running_wechatpay(business=clock, wire=clock) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults(counter: Counter) -> None:
    counter.faults()
    counter.desk.mode = "both"


@pytest.fixture
async def provider(counter: Counter, clock: ManualClock) -> AsyncIterator[WechatPay]:
    async with httpx.AsyncClient(trust_env=False) as http:
        first = make(json.dumps(counter.account), Surroundings(http, clock))
        yield make(json.dumps(counter.account), Surroundings(http, clock, await first.fetch_keys()))


def ask_of(clock: ManualClock, number: str, fen: int = 7600, **more: object) -> Ask:
    values = {
        "number": number,
        "amount_fen": fen,
        "subject": "竹间 19:00–21:00",
        "merchant_name": "雀友会·静安店",
        "expires_at": clock.now() + timedelta(minutes=10),
        "notify_url": "http://127.0.0.1:9/notify",
        "return_url": "http://shop.test/orders/1",
        "opened_at": clock.now(),
        "channel": Channel.NATIVE,
        "payer": Payer("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "203.0.113.9"),
    }
    return Ask(**values | more)  # type: ignore[arg-type]


def ref_of(clock: ManualClock, number: str, fen: int = 7600) -> PaymentRef:
    return PaymentRef(number, fen, clock.now())


def back_of(clock: ManualClock, payment: str, tag: str, fen: int, url: str = "") -> RefundAsk:
    there = url or "http://127.0.0.1:9/notify"
    return RefundAsk(f"{payment}-R{tag}", ref_of(clock, payment), fen, "取消", there, clock.now())


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_payment_from_opening_to_refund(
    provider: WechatPay, counter: Counter, clock: ManualClock, channel: Channel
) -> None:
    number = f"2611231200{CHANNELS.index(channel)}-1"
    ask = ask_of(clock, number, channel=channel)
    opened = await provider.create(ask)
    assert opened.state is Money.PENDING, opened
    again = await provider.create(ask)
    step = opened.step
    assert step is not None
    assert again.step is not None
    if channel is Channel.NATIVE:
        assert (step.kind, step.text) == (StepKind.QR, again.step.text)
        page = counter.page(step.text)
        assert "竹间" in page.text
        assert "雀友会·静安店" in page.text
        paid = counter.page(step.text, "pay")
        assert "已经支付" in paid.text
    elif channel is Channel.H5:
        assert step.kind is StepKind.REDIRECT
        assert "redirect_url=http%3A%2F%2Fshop.test%2Forders%2F1" in step.url
        assert step.until is not None
        assert step.until - clock.now() < timedelta(minutes=5)
        pressed = counter.http.post(
            step.url.partition("?")[0], data={"do": "pay", "back": "http://shop.test/orders/1"}
        )
        assert (pressed.status_code, pressed.headers["location"]) == (
            303,
            "http://shop.test/orders/1",
        )
    else:
        fields = step.fields
        appid = counter.account["mini_appid" if channel is Channel.MINI else "appid"]
        assert fields["appId"] == appid
        signed = (
            f"{appid}\n{fields['timeStamp']}\n{fields['nonceStr']}\n{fields['package']}\n"
        ).encode()
        theirs = counter.desk.merchant_key.public_key()
        theirs.verify(base64.b64decode(fields["paySign"]), signed, PKCS1v15(), SHA256())
        assert counter.pay(number)
    seen = await provider.query(ref_of(clock, number))
    assert (seen.state, seen.amount_fen, seen.at) == (Money.SUCCEEDED, 7600, clock.now())
    assert seen.provider_txn
    assert (await provider.close(ref_of(clock, number))).state is Money.SUCCEEDED
    assert (await provider.create(ask)).state is Money.SUCCEEDED  # ORDERPAID is no failure

    counter.faults(number, refund_delay_s=3600)
    first = back_of(clock, number, "1", 5000)
    assert (await provider.refund(first)).state is Back.SUBMITTED
    assert (await provider.refund(first)).state is Back.SUBMITTED
    assert (await provider.refund(back_of(clock, number, "2", 2601))).state is Back.FAILED
    counter.end_refund(first.number, "success")
    done = await provider.query_refund(first)
    assert (done.state, done.amount_fen, done.payment_number) == (Back.SUCCEEDED, 5000, number)
    assert (await provider.query_refund(back_of(clock, number, "9", 1))).state is Back.ABSENT
    after = await provider.query(ref_of(clock, number))
    assert after.state is Money.SUCCEEDED  # trade_state REFUND: it was paid


async def test_a_closed_payment_cannot_be_paid(
    provider: WechatPay, counter: Counter, clock: ManualClock
) -> None:
    number = "26112313000-1"
    opened = await provider.create(ask_of(clock, number))
    assert (await provider.close(ref_of(clock, number))).state is Money.CLOSED
    assert opened.step is not None
    assert counter.page(opened.step.text, "pay").status_code == 409
    assert (await provider.query(ref_of(clock, number))).state is Money.CLOSED
    assert (await provider.create(ask_of(clock, number))).state is Money.CLOSED
    assert (await provider.query(ref_of(clock, "never-heard"))).state is Money.ABSENT
    assert (await provider.close(ref_of(clock, "never-heard"))).state is Money.ABSENT
    counter.faults("26112313001-1", paid_during_close=1)
    await provider.create(ask_of(clock, "26112313001-1"))
    assert (await provider.close(ref_of(clock, "26112313001-1"))).state is Money.SUCCEEDED


async def test_what_can_never_be_paid_is_refused_at_once(
    provider: WechatPay, clock: ManualClock
) -> None:
    asked = ask_of(clock, "26112313002-1", channel=Channel.JSAPI, payer=Payer())
    assert (await provider.create(asked)).state is Money.FAILED
    other = replace(ask_of(clock, "26112313003-1"), amount_fen=0)
    refused = await provider.create(other)
    assert (refused.state, refused.detail) == (Money.FAILED, "PARAM_ERROR")
    await provider.create(ask_of(clock, "26112313004-1"))
    taken = await provider.create(ask_of(clock, "26112313004-1", fen=1))
    assert taken.state is Money.PENDING  # the number is used: the payment as it stands there


@pytest.mark.parametrize(("ends", "state"), [("abnormal", Back.ABNORMAL), ("closed", Back.FAILED)])
async def test_refunds_that_do_not_go_through(
    provider: WechatPay, counter: Counter, clock: ManualClock, ends: str, state: Back
) -> None:
    number = f"261123131-{ends}"
    await provider.create(ask_of(clock, number))
    counter.pay(number)
    counter.faults(number, refund_end=ends, refund_delay_s=0)
    asked = back_of(clock, number, "1", 7600)
    await provider.refund(asked)
    assert (await provider.query_refund(asked)).state is state
    if state is Back.ABNORMAL:  # not final: the merchant says where to
        counter.end_refund(asked.number, "success")
        assert (await provider.query_refund(asked)).state is Back.SUCCEEDED


@pytest.mark.parametrize("fault", ["fail", "lose", "answer_bad_signature", "hang"])
async def test_no_verified_answer_is_unknown(
    provider: WechatPay,
    counter: Counter,
    clock: ManualClock,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.7)
    number = f"26112314-{fault.replace('_', '')}"
    counter.faults(number, **{fault: {"create": 1, "refund": 1, "close": 1}}, hang_s=1.5)
    assert (await provider.create(ask_of(clock, number))).state is Money.UNKNOWN
    assert (number in counter.payments()) is (fault != "fail")
    assert (await provider.create(ask_of(clock, number))).state is Money.PENDING
    counter.pay(number)
    asked = back_of(clock, number, "1", 7600)
    assert (await provider.refund(asked)).state is Back.UNKNOWN
    assert (await provider.refund(asked)).state is Back.SUBMITTED
    assert len([n for n in counter.refunds() if n.startswith(number)]) == 1


async def test_both_kinds_of_keys_and_a_new_certificate(
    counter: Counter, clock: ManualClock
) -> None:
    """The change-over: answers come signed with either; a new certificate is fetched once."""
    async with httpx.AsyncClient(trust_env=False) as http:
        counter.desk.mode = "certificate"
        old = json.dumps({**counter.account, "public_key": "", "public_key_id": ""})
        only = make(old, Surroundings(http, clock))
        keys = await only.fetch_keys()
        assert len(keys) == len(counter.desk.platform)
        counter.desk.rotate()
        behind = make(old, Surroundings(http, clock, keys))
        assert (await behind.query(ref_of(clock, "nobody-1"))).state is Money.ABSENT
        counter.desk.mode = "public_key"
        assert await make(json.dumps(counter.account), Surroundings(http, clock)).fetch_keys() == {}
        newer = make(json.dumps(counter.account), Surroundings(http, clock))
        assert (await newer.query(ref_of(clock, "nobody-1"))).state is Money.ABSENT
        assert (await only.query(ref_of(clock, "nobody-1"))).state is Money.UNKNOWN
        counter.desk.mode = "both"
        both = make(json.dumps(counter.account), Surroundings(http, clock, keys))
        for _ in range(4):
            assert (await both.query(ref_of(clock, "nobody-1"))).state is Money.ABSENT


async def _told(
    provider: WechatPay, counter: Counter, clock: ManualClock, catcher: Catcher, number: str
) -> tuple[httpx.Headers, bytes]:
    await provider.create(replace(ask_of(clock, number), notify_url=catcher.url))
    counter.pay(number)
    return await catcher.next()


async def test_notifications_tell_payments_and_refunds(
    provider: WechatPay, counter: Counter, clock: ManualClock
) -> None:
    number = "26112315000-1"
    async with catching() as catcher:
        headers, raw = await _told(provider, counter, clock, catcher, number)
        notice = provider.parse_notification(headers, raw, "/n")
        assert isinstance(notice.about, PaymentView)
        assert (notice.about.number, notice.about.state, notice.about.amount_fen) == (
            number,
            Money.SUCCEEDED,
            7600,
        )
        assert "openid" not in json.dumps(notice.body)
        counter.faults(number, refund_delay_s=0)
        await provider.refund(back_of(clock, number, "1", 100, catcher.url))
        notice = provider.parse_notification(*await catcher.next(), "/n")
        assert isinstance(notice.about, RefundView)
        assert (notice.about.state, notice.about.amount_fen, notice.about.payment_number) == (
            Back.SUCCEEDED,
            100,
            number,
        )
    assert provider.notification_reply(True).status == 200
    refused = provider.notification_reply(False)
    assert (refused.status, json.loads(refused.body)["code"]) == (401, "FAIL")


@pytest.mark.parametrize(
    ("knob", "raised"),
    [
        ("notify_bad_signature", BadNotification),
        ("notify_probe", ProbeNotification),
        ("notify_unknown_serial", UnknownKey),
        ("notify_stale", BadNotification),
        ("notify_other_merchant", BadNotification),
    ],
)
async def test_what_is_not_ours_is_refused_and_told_again(
    provider: WechatPay,
    counter: Counter,
    clock: ManualClock,
    knob: str,
    raised: type[BadNotification],
) -> None:
    """Refused with 401, and sent again fifteen seconds later (business time) as it should be."""
    number = f"261123151-{knob[7:15]}"
    counter.faults(number, **{knob: 1})
    async with catching() as catcher:
        catcher.answers = [(401, b'{"code":"FAIL"}'), (200, b"")]
        headers, raw = await _told(provider, counter, clock, catcher, number)
        with pytest.raises(raised) as caught:
            provider.parse_notification(headers, raw, "/n")
        assert type(caught.value) is raised
        while counter.messages()[0]["tries"] == 0:  # until it has taken note of our refusal
            await asyncio.sleep(0.01)
        clock.pass_time(15)
        notice = provider.parse_notification(*await catcher.next(), "/n")
        assert isinstance(notice.about, PaymentView)
        assert notice.about.state is Money.SUCCEEDED


async def test_the_public_key_of_somebody_else_is_no_reason_to_fetch_keys(
    provider: WechatPay, counter: Counter, clock: ManualClock
) -> None:
    """Anybody can send a serial: one that only looks like a public key's makes no call (UnknownKey does)."""
    async with catching() as catcher:
        headers, raw = await _told(provider, counter, clock, catcher, "26112315200-1")
    headers["Wechatpay-Serial"] = "PUB_KEY_ID_0000"
    with pytest.raises(BadNotification) as caught:
        provider.parse_notification(headers, raw, "/n")
    assert not isinstance(caught.value, UnknownKey)


def test_changing_any_byte_of_a_notification_never_moves_money(
    counter: Counter, clock: ManualClock
) -> None:
    """Whatever single byte of body or headers is another: it is refused, or says the very same."""
    row = {
        "number": "26112316000-1",
        "amount_fen": 7600,
        "app": counter.account["appid"],
        "channel": "native",
        "payer": "",
        "state": "paid",
        "txn": "4200001",
        "paid_at": clock.now().timestamp(),
    }
    message = {"number": row["number"], "kind": "payment"}
    letter = voice(counter.desk).write(message, "N1", row)
    keys = {
        f"{one.serial_number:X}": one.public_bytes(Encoding.PEM).decode()
        for _, one in counter.desk.platform
    }
    around = Surroundings(httpx.AsyncClient(), clock, keys)
    provider = make(json.dumps(counter.account), around)
    right = provider.parse_notification(httpx.Headers(letter.headers), letter.raw, "/n").about
    assert isinstance(right, PaymentView)
    assert right.state is Money.SUCCEEDED
    signed = [
        name for name in letter.headers if name.startswith("Wechatpay-") and "Type" not in name
    ]
    places = [("", i) for i in range(len(letter.raw))]
    places += [(name, i) for name in signed for i in range(len(letter.headers[name]))]

    @settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(place=st.sampled_from(places), to=st.integers(33, 126))
    def bend(place: tuple[str, int], to: int) -> None:
        name, i = place
        headers, raw = dict(letter.headers), letter.raw
        if name:
            headers[name] = headers[name][:i] + chr(to) + headers[name][i + 1 :]
        else:
            raw = raw[:i] + bytes([to]) + raw[i + 1 :]
        if (headers, raw) == (letter.headers, letter.raw):
            return
        try:
            told = provider.parse_notification(httpx.Headers(headers), raw, "/n").about
        except BadNotification:
            return
        assert told == right

    bend()


async def test_the_bill_of_a_day(counter: Counter, provider: WechatPay, clock: ManualClock) -> None:
    number = "26112317000-1"
    await provider.create(ask_of(clock, number))
    counter.pay(number)
    counter.faults(number, refund_delay_s=0)
    asked = back_of(clock, number, "1", 2600)
    await provider.refund(asked)
    await provider.query_refund(asked)
    day = (clock.now() + timedelta(hours=8)).date()
    assert (await provider.fetch_bill(day)).state is BillState.NOT_YET
    clock.pass_time(36 * 3600)
    bill = await provider.fetch_bill(day)
    assert bill.state is BillState.READY, bill.detail
    mine = {line.number: line for line in bill.lines if line.payment_number == number}
    assert (mine[number].kind, mine[number].amount_fen, mine[number].fee_fen) == (
        "payment",
        7600,
        46,
    )
    assert (mine[asked.number].kind, mine[asked.number].amount_fen) == ("refund", 2600)
    nothing = await provider.fetch_bill(day - timedelta(days=9))
    assert (nothing.state, nothing.lines) == (BillState.READY, ())
    with pytest.raises(ValueError, match="cut off"):
        bills.read("交易时间,商户订单号\r\n")


# -------------------------------------------------------------------- the simulator, proved by others


def _sdk(counter: Counter, kind: wechatpayv3.WeChatPayType) -> wechatpayv3.WeChatPay:
    # An SDK goes by the machine's clock; it asks for a certificate that it lacks, also to read a notification.
    wire = counter.desk.wire
    wire.pass_time((datetime.now(UTC) - wire.now()).total_seconds())
    account = counter.account
    made = wechatpayv3.WeChatPay(
        wechatpay_type=kind,
        mchid=account["mchid"],
        private_key=account["private_key"],
        cert_serial_no=account["serial"],
        appid=account["appid"],
        apiv3_key=account["api_v3_key"],
        notify_url="http://127.0.0.1:9/n",
        public_key=account["public_key"],
        public_key_id=account["public_key_id"],
        timeout=(5, 5),
        logger=logging.getLogger("sdk"),
    )
    made._core._gate_way = counter.url
    return made


async def test_an_independent_sdk_pays_refunds_and_reads_our_simulator(counter: Counter) -> None:
    """wechatpayv3 signs its own requests and verifies each answer: what it accepts is not only our idea."""
    wire = counter.desk.wire
    sdk = _sdk(counter, wechatpayv3.WeChatPayType.NATIVE)
    until = (wire.now() + timedelta(minutes=10)).astimezone().isoformat(timespec="seconds")
    code, message = sdk.pay(
        description="店 竹间", out_trade_no="SDK-00001", amount={"total": 100}, time_expire=until
    )
    assert code == 200, message
    assert json.loads(message)["code_url"].startswith(counter.url)
    assert counter.pay("SDK-00001")
    code, message = sdk.query(out_trade_no="SDK-00001")
    assert (code, json.loads(message)["trade_state"]) == (200, "SUCCESS")
    code, message = sdk.refund(
        out_refund_no="SDK-00001-R1",
        out_trade_no="SDK-00001",
        amount={"refund": 100, "total": 100, "currency": "CNY"},
        notify_url="http://127.0.0.1:9/n",
    )
    assert (code, json.loads(message)["status"]) == (200, "PROCESSING")
    code, message = sdk.close(out_trade_no="SDK-00001")
    assert (code, json.loads(message)["code"]) == (400, "ORDERPAID")


async def test_an_independent_sdk_opens_what_the_simulator_seals_and_our_requests_verify_in_it(
    counter: Counter, provider: WechatPay, clock: ManualClock
) -> None:
    number = "26112318000-1"
    async with catching() as catcher:
        headers, raw = await _told(provider, counter, clock, catcher, number)
    sdk = _sdk(counter, wechatpayv3.WeChatPayType.JSAPI)
    opened = sdk.callback(dict(headers.items()), raw)
    assert opened["resource"]["out_trade_no"] == number
    assert sdk.callback(dict(headers.items()), raw.replace(b"TRANSACTION", b"TRANSACTIOM")) is None
    # And what we sign is what their implementation verifies.
    header = signing.authorization(
        provider._account, "POST", "/v3/x?y=1", '{"店":1}', clock.now(), "NONCE"
    )
    stamp = str(int(clock.now().timestamp()))
    signature = header.partition('signature="')[2].rstrip('"')
    public = counter.desk.merchant_key.public_key()
    assert rsa_verify("POST\n/v3/x?y=1", stamp, 'NONCE\n{"店":1}', signature, public)
