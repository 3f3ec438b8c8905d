"""Alipay, both ends: our provider and an independent SDK at the simulator, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest
from alipay import AliPay
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_api.payments.providers.alipay import client
from cloud_api.payments.providers.alipay.provider import Alipay, make
from cloud_api.payments.providers.base import (
    Ask,
    Back,
    BadNotification,
    BillState,
    Channel,
    Money,
    PaymentRef,
    PaymentView,
    RefundAsk,
    RefundView,
    StepKind,
    Surroundings,
)
from simulators.alipay.voice import voice
from store_link.clock import ManualClock
from tests.support.catcher import catching
from tests.support.providers import Counter, running_alipay


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture(scope="module")
def counter(clock: ManualClock) -> Iterator[Counter]:
    with running_alipay(business=clock, wire=clock) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults(counter: Counter) -> None:
    counter.faults()


@pytest.fixture
async def provider(counter: Counter, clock: ManualClock) -> AsyncIterator[Alipay]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield make(json.dumps(counter.account), Surroundings(http, clock))


def ask_of(clock: ManualClock, number: str, channel: Channel = Channel.WAP, fen: int = 7600) -> Ask:
    return Ask(
        number=number,
        amount_fen=fen,
        subject="竹间 & <19:00>",
        merchant_name="雀友会·静安店",
        expires_at=clock.now() + timedelta(minutes=10),
        notify_url="http://127.0.0.1:9/notify",
        return_url="http://shop.test/orders/1",
        opened_at=clock.now(),
        channel=channel,
    )


def ref_of(clock: ManualClock, number: str) -> PaymentRef:
    return PaymentRef(number, 7600, clock.now())


def back_of(clock: ManualClock, payment: str, tag: str, fen: int) -> RefundAsk:
    asked = ref_of(clock, payment)
    return RefundAsk(f"{payment}-R{tag}", asked, fen, "取消", "", clock.now())


@pytest.mark.parametrize("channel", [Channel.WAP, Channel.PAGE, Channel.QR])
async def test_a_payment_from_opening_to_refund(
    provider: Alipay, counter: Counter, clock: ManualClock, channel: Channel
) -> None:
    number = f"2611231200-{channel.value}1"
    opened = await provider.create(ask_of(clock, number, channel))
    assert opened.state is Money.PENDING
    assert opened.step is not None
    # Nobody has opened the page or scanned the code: Alipay has never heard of it.
    assert (await provider.query(ref_of(clock, number))).state is Money.ABSENT
    if channel is Channel.QR:
        assert opened.step.kind is StepKind.QR
        page = counter.page(opened.step.text)
    else:
        assert opened.step.kind is StepKind.REDIRECT
        page = counter.page(opened.step.url)
    assert "竹间 &amp; &lt;19:00&gt;" in page.text
    assert (await provider.query(ref_of(clock, number))).state is Money.PENDING
    assert counter.pay(number)
    seen = await provider.query(ref_of(clock, number))
    assert (seen.state, seen.amount_fen, seen.at) == (Money.SUCCEEDED, 7600, clock.now())
    assert (await provider.close(ref_of(clock, number))).state is Money.SUCCEEDED

    first = back_of(clock, number, "1", 5000)
    done = await provider.refund(first)
    assert (done.state, done.amount_fen) == (Back.SUCCEEDED, 5000)
    again = await provider.refund(first)  # fund_change N: done before, found by asking
    assert (again.state, again.amount_fen) == (Back.SUCCEEDED, 5000)
    assert (await provider.refund(back_of(clock, number, "2", 2601))).state is Back.FAILED
    second = await provider.refund(back_of(clock, number, "3", 2600))
    assert (second.state, second.amount_fen) == (Back.SUCCEEDED, 2600)  # and not the sum of all
    assert (await provider.query_refund(back_of(clock, number, "9", 1))).state is Back.ABSENT
    # Given back in full: TRADE_CLOSED, as if it had never been paid. It was.
    assert (await provider.query(ref_of(clock, number))).state is Money.SUCCEEDED


async def test_a_closed_payment_cannot_be_paid(
    provider: Alipay, counter: Counter, clock: ManualClock
) -> None:
    number = "2611231300-1"
    opened = await provider.create(ask_of(clock, number))
    assert opened.step is not None
    assert (await provider.close(ref_of(clock, number))).state is Money.ABSENT
    counter.page(opened.step.url)
    assert (await provider.close(ref_of(clock, number))).state is Money.CLOSED
    assert "这笔订单已关闭" in counter.page(opened.step.url).text
    assert (await provider.query(ref_of(clock, number))).state is Money.CLOSED
    counter.faults("2611231301-1", paid_during_close=1)
    opened = await provider.create(ask_of(clock, "2611231301-1"))
    assert opened.step is not None
    counter.page(opened.step.url)
    assert (await provider.close(ref_of(clock, "2611231301-1"))).state is Money.SUCCEEDED


@pytest.mark.parametrize("fault", ["fail", "lose", "answer_bad_signature", "hang"])
async def test_no_verified_answer_is_unknown(
    provider: Alipay,
    counter: Counter,
    clock: ManualClock,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.7)
    number = f"2611231400-{fault.replace('_', '')}"
    counter.faults(number, **{fault: {"create": 1, "refund": 1}}, hang_s=1.5)
    assert (await provider.create(ask_of(clock, number, Channel.QR))).state is Money.UNKNOWN
    assert (await provider.create(ask_of(clock, number, Channel.QR))).state is Money.PENDING
    counter.pay(number)
    asked = back_of(clock, number, "1", 7600)
    assert (await provider.refund(asked)).state is Back.UNKNOWN
    assert (await provider.refund(asked)).state is Back.SUCCEEDED
    assert len([n for n in counter.refunds() if n.startswith(number)]) == 1


@pytest.mark.parametrize(("ends", "state"), [("abnormal", Back.ABNORMAL), ("closed", Back.FAILED)])
async def test_refunds_that_do_not_go_through(
    provider: Alipay, counter: Counter, clock: ManualClock, ends: str, state: Back
) -> None:
    number = f"2611231450-{ends}"
    await provider.create(ask_of(clock, number, Channel.QR))
    counter.pay(number)
    counter.faults(number, refund_end=ends)
    assert (await provider.refund(back_of(clock, number, "1", 100))).state is state
    counter.faults(number)  # the account has money again: the same number
    assert (await provider.refund(back_of(clock, number, "1", 100))).state is Back.SUCCEEDED


async def test_a_refunds_notification_is_no_payment(
    provider: Alipay, counter: Counter, clock: ManualClock
) -> None:
    """It comes to the payment's address with TRADE_SUCCESS; a handler that looks at that alone pays the
    refunded order again.
    """
    number = "2611231500-1"
    async with catching() as catcher:
        asked = replace(ask_of(clock, number, Channel.QR), notify_url=catcher.url)
        await provider.create(asked)
        counter.pay(number)
        notice = provider.parse_notification(*await catcher.next(), "/n")
        assert isinstance(notice.about, PaymentView)
        assert (notice.about.number, notice.about.state) == (number, Money.SUCCEEDED)
        assert notice.about.amount_fen == 7600
        assert "2088102119685838" not in json.dumps(notice.body)
        for tag, fen in (("1", 2600), ("2", 5000)):
            await provider.refund(back_of(clock, number, tag, fen))
            notice = provider.parse_notification(*await catcher.next(), "/n")
            assert isinstance(notice.about, RefundView)
            assert notice.about.number == f"{number}-R{tag}"
            assert (notice.about.payment_number, notice.about.amount_fen) == (number, None)
            assert notice.about.state is Back.SUBMITTED  # how much is asked for, not believed
    assert provider.notification_reply(True).body == b"success"
    assert provider.notification_reply(False).body != b"success"


@pytest.mark.parametrize("knob", ["notify_bad_signature", "notify_other_merchant"])
async def test_what_is_not_ours_is_refused_and_told_again(
    provider: Alipay, counter: Counter, clock: ManualClock, knob: str
) -> None:
    number = f"2611231510-{knob[7:10]}"
    counter.faults(number, **{knob: 1})
    async with catching() as catcher:
        catcher.answers = [(200, b"fail"), (200, b"success")]
        await provider.create(replace(ask_of(clock, number, Channel.QR), notify_url=catcher.url))
        counter.pay(number)
        headers, raw = await catcher.next()
        with pytest.raises(BadNotification):
            provider.parse_notification(headers, raw, "/n")
        while counter.messages()[0]["tries"] == 0:
            await asyncio.sleep(0.01)
        clock.pass_time(240)  # Alipay's ladder begins with four minutes
        notice = provider.parse_notification(*await catcher.next(), "/n")
        assert isinstance(notice.about, PaymentView)


def test_changing_any_byte_of_a_notification_never_moves_money(
    counter: Counter, clock: ManualClock
) -> None:
    """Whatever single byte is another: it is refused, or says the very same (``%2f`` is ``%2F``)."""
    now = clock.now().timestamp()
    row = {
        "number": "2611231600_1",
        "payment_number": "",
        "amount_fen": 7600,
        "subject": "竹间",
        "state": "paid",
        "txn": "20001",
        "created_at": now,
        "paid_at": now,
    }
    letter = voice(counter.desk).write({"number": row["number"], "kind": "payment"}, "N1", row)
    provider = make(json.dumps(counter.account), Surroundings(httpx.AsyncClient(), clock))
    right = provider.parse_notification({}, letter.raw, "/n")
    assert isinstance(right.about, PaymentView)
    assert right.about.state is Money.SUCCEEDED

    @settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(i=st.integers(0, len(letter.raw) - 1), to=st.integers(0, 255))
    def bend(i: int, to: int) -> None:
        raw = letter.raw[:i] + bytes([to]) + letter.raw[i + 1 :]
        try:
            told = provider.parse_notification({}, raw, "/n")
        except BadNotification:
            return
        assert told == right

    bend()
    with pytest.raises(BadNotification, match="twice"):
        provider.parse_notification({}, letter.raw + b"&total_amount=1.00", "/n")
    plain = dict(parse_qsl(letter.raw.decode()))
    with pytest.raises(BadNotification, match="RSA2"):
        provider.parse_notification({}, urlencode(plain | {"sign_type": "RSA"}).encode(), "/n")


async def test_the_bill_of_a_day(provider: Alipay, counter: Counter, clock: ManualClock) -> None:
    number = "2611231700-1"
    await provider.create(ask_of(clock, number, Channel.QR))
    counter.pay(number)
    refund = back_of(clock, number, "1", 2600)
    await provider.refund(refund)
    day = (clock.now() + timedelta(hours=8)).date()
    clock.pass_time(36 * 3600)
    bill = await provider.fetch_bill(day)
    assert bill.state is BillState.READY, bill.detail
    mine = {line.number: line for line in bill.lines if line.payment_number == number}
    assert (mine[number].kind, mine[number].amount_fen, mine[number].fee_fen) == (
        "payment",
        7600,
        46,
    )
    assert (mine[refund.number].kind, mine[refund.number].amount_fen) == ("refund", 2600)
    nothing = await provider.fetch_bill(day - timedelta(days=9))
    assert (nothing.state, nothing.lines) == (BillState.READY, ())


# -------------------------------------------------------------------- the simulator, proved by others


def _sdk(counter: Counter) -> AliPay:
    account = counter.account
    sdk = AliPay(
        appid=account["app_id"],
        app_notify_url="http://127.0.0.1:9/n",
        app_private_key_string=account["private_key"],
        alipay_public_key_string=account["alipay_public_key"],
        sign_type="RSA2",
    )
    sdk._gateway = account["base_url"]
    return sdk


def test_an_independent_sdk_pays_refunds_and_reads_our_simulator(counter: Counter) -> None:
    """python-alipay-sdk signs its own requests and verifies each answer."""
    sdk = _sdk(counter)
    opened = sdk.api_alipay_trade_precreate(
        subject="店 竹间", out_trade_no="SDK00001", total_amount="1.00"
    )
    assert opened["code"] == "10000"
    unseen = sdk.api_alipay_trade_query(out_trade_no="SDK00001")
    assert unseen["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert counter.pay("SDK00001")
    assert sdk.api_alipay_trade_query(out_trade_no="SDK00001")["trade_status"] == "TRADE_SUCCESS"
    back = sdk.api_alipay_trade_refund(
        refund_amount="0.40", out_trade_no="SDK00001", out_request_no="SDK00001R1"
    )
    assert back["fund_change"] == "Y"
    found = sdk.api_alipay_trade_fastpay_refund_query("SDK00001R1", out_trade_no="SDK00001")
    assert (found["refund_status"], found["refund_amount"]) == ("REFUND_SUCCESS", "0.40")
    page = sdk.api_alipay_trade_wap_pay(
        subject="店 竹间", out_trade_no="SDK00002", total_amount="1.00",
        return_url="http://shop.test/", notify_url="http://127.0.0.1:9/n",
    )  # fmt: skip
    assert "¥" in counter.page(f"{counter.account['base_url']}?{page}").text


async def test_an_independent_sdk_verifies_what_we_and_the_simulator_sign(
    provider: Alipay, counter: Counter, clock: ManualClock
) -> None:
    sdk = _sdk(counter)
    async with catching() as catcher:
        asked = replace(ask_of(clock, "2611231800-1", Channel.QR), notify_url=catcher.url)
        await provider.create(asked)
        counter.pay("2611231800-1")
        _, raw = await catcher.next()
    told = dict(parse_qsl(raw.decode()))
    signature = told.pop("sign")
    assert sdk.verify(dict(told), signature)
    assert not sdk.verify(told | {"total_amount": "1.00"}, signature)
    opened = await provider.create(ask_of(clock, "2611231801-1"))
    assert opened.step is not None
    ours = {name: one[0] for name, one in parse_qs(urlsplit(opened.step.url).query).items()}
    given = ours.pop("sign")
    assert sdk._sign("&".join(f"{k}={ours[k]}" for k in sorted(ours))) == given
