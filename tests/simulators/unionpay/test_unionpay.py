"""UnionPay's gateway and our side of it: both signed, both checked by a third that is neither.

``openssl`` verifies what our code signs and what the simulator signs, so that the two do not merely
agree with each other.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_api.payments.certificates import read_pfx
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
    StepKind,
    Surroundings,
)
from cloud_api.payments.providers.unionpay import bill, gateway, signing
from simulators.unionpay import authority
from simulators.unionpay import signing as theirs
from simulators.unionpay.book import BEIJING
from simulators.unionpay.pages import POOR
from store_link.clock import ManualClock
from tests.support.card_simulators import MERCHANT, Gateway, running_gateway

NOW = datetime.now(BEIJING).replace(microsecond=0)
BACK_URL = "http://shop.test/api/v1/payments/unionpay/A1/notify"


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture(scope="module")
def bank(clock: ManualClock) -> Iterator[Gateway]:
    with running_gateway(now=lambda: clock.now().timestamp()) as running:
        yield running


@pytest.fixture(autouse=True)
def _as_at_the_start(bank: Gateway, clock: ManualClock) -> None:
    bank.faults()
    _now(clock, NOW)


@pytest.fixture(scope="module")
def account(bank: Gateway) -> dict[str, Any]:
    return bank.account()


@pytest.fixture
async def provider(account: dict[str, Any], clock: ManualClock) -> AsyncIterator[gateway.UnionPay]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield gateway.make(json.dumps(account), Surroundings(http, clock))


def _now(clock: ManualClock, at: datetime) -> None:
    clock.step((at - clock.now()).total_seconds())


def ask(number: str, amount_fen: int = 7600) -> Ask:
    return Ask(
        number=number,
        amount_fen=amount_fen,
        subject="竹间 11月26日 19:00–21:00",
        merchant_name="雀友会·静安店",
        expires_at=NOW + timedelta(minutes=5),
        notify_url=BACK_URL,
        return_url="http://shop.test/orders/1/pay",
        opened_at=NOW,
    )


def ref(number: str, txn: str | None = None) -> PaymentRef:
    return PaymentRef(number, 7600, NOW, txn, NOW + timedelta(minutes=5))


def back(number: str, payment: PaymentView, fen: int = 1000) -> RefundAsk:
    named = ref(payment.number, payment.provider_txn)
    return RefundAsk(number, named, fen, "顾客取消", BACK_URL, NOW)


async def opened(provider: gateway.UnionPay, bank: Gateway, number: str) -> str:
    """A payment whose form was posted: the address of its card page."""
    view = await provider.create(ask(number))
    assert view.step is not None
    page = bank.submit(view.step.url, dict(view.step.fields))
    assert page.status_code == 200, page.text
    return str(page.url)


async def paid(provider: gateway.UnionPay, bank: Gateway, number: str) -> PaymentView:
    await opened(provider, bank, number)
    assert bank.pay(bill.order_id(number))
    view = await provider.query(ref(number))
    assert view.state is Money.SUCCEEDED
    return view


def openssl_says(fields: dict[str, str], certificate_pem: str, folder: Path) -> str:
    """What openssl says of a signature, over a digest that is computed here by hand."""
    text = "&".join(f"{k}={v}" for k, v in sorted(fields.items()) if k != "signature")
    (folder / "told").write_text(hashlib.sha256(text.encode()).hexdigest())
    (folder / "signature").write_bytes(base64.b64decode(fields["signature"]))
    (folder / "certificate").write_text(certificate_pem)
    key = subprocess.run(
        ["openssl", "x509", "-in", folder / "certificate", "-pubkey", "-noout"],
        capture_output=True,
        check=True,
    )
    (folder / "key").write_bytes(key.stdout)
    done = subprocess.run(
        [
            "openssl",
            "dgst",
            "-sha256",
            "-verify",
            folder / "key",
            "-signature",
            folder / "signature",
            folder / "told",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


async def test_openssl_verifies_what_either_side_signs(
    provider: gateway.UnionPay, bank: Gateway, account: dict[str, Any], tmp_path: Path
) -> None:
    view = await provider.create(ask("2611261900000001-1"))
    assert view.step is not None
    assert view.step.kind is StepKind.FORM
    ours = dict(view.step.fields)
    pair = read_pfx(account["pfx"], account["pfx_password"])
    pem = pair.certificate.public_bytes(Encoding.PEM).decode()
    assert ours["certId"] == str(pair.certificate.serial_number)
    assert openssl_says(ours, pem, tmp_path) == "Verified OK"
    assert openssl_says(ours | {"txnAmt": "1"}, pem, tmp_path) == "Verification failure"
    asked = signing.signed({"version": "5.1.0", "merId": MERCHANT, "txnType": "00"}, pair)
    answer = bank.http.post("/gateway/api/queryTrans.do", data=asked).text
    told = signing.parse_answer(answer)
    assert told["respCode"] == "13"
    assert openssl_says(told, told["signPubKeyCert"], tmp_path) == "Verified OK"
    (tmp_path / "root").write_text(account["root"])
    (tmp_path / "middle").write_text(account["middle"])
    chain = [
        "openssl",
        "verify",
        "-CAfile",
        str(tmp_path / "root"),
        "-untrusted",
        str(tmp_path / "middle"),
    ]
    done = subprocess.run(
        [*chain, str(tmp_path / "certificate")], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("OK"), done.stderr


async def test_a_payment_from_the_form_to_the_refund(
    provider: gateway.UnionPay, bank: Gateway
) -> None:
    number = "2611261900000002-1"
    view = await provider.create(ask(number))
    assert (view.state, view.amount_fen) == (Money.PENDING, 7600)
    assert view.step is not None
    fields = dict(view.step.fields)
    assert fields["orderId"] == "2611261900000002z1"
    assert "-" not in fields["orderId"]
    assert fields["payTimeout"] == f"{NOW + timedelta(minutes=5):%Y%m%d%H%M%S}"
    assert fields["frontUrl"] == "http://shop.test/pay/back?to=%2Forders%2F1%2Fpay"
    waiting = await provider.query(ref(number))  # UnionPay has not heard of it, and it may come
    assert (waiting.state, waiting.detail) == (Money.PENDING, "no such transaction (34)")
    page = bank.submit(view.step.url, fields)
    assert "¥76.00" in page.text
    assert "竹间" in page.text
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' http://shop.test" in policy
    assert "unsafe" not in policy
    poor = bank.press(str(page.url), card=POOR)
    assert "余额不足" in poor.text
    assert (await provider.query(ref(number))).state is Money.PENDING  # another card may do
    done = bank.press(str(page.url))
    assert "支付成功" in done.text
    assert 'action="http://shop.test/pay/back?to=%2Forders%2F1%2Fpay"' in done.text
    view = await provider.query(ref(number))
    assert (view.state, view.amount_fen) == (Money.SUCCEEDED, 7600)
    assert view.provider_txn is not None
    assert re.fullmatch(r"\d{21}", view.provider_txn)
    assert (await provider.close(ref(number))).state is Money.SUCCEEDED

    bank.faults(refund_delay_s=3600)
    first = back(f"{number}-Ra", view, 5000)
    assert (await provider.query_refund(first)).state is Back.ABSENT
    assert (await provider.refund(first)).state is Back.SUBMITTED
    assert (await provider.refund(first)).state is Back.SUBMITTED  # 12: it was sent; so ask
    assert (await provider.query_refund(first)).state is Back.SUBMITTED
    bank.finish(bill.order_id(first.number))
    through = await provider.query_refund(first)
    assert (through.state, through.amount_fen) == (Back.SUCCEEDED, 5000)
    too_much = back(f"{number}-Rb", view, 2601)
    assert (await provider.refund(too_much)).state is Back.FAILED
    assert (await provider.query_refund(too_much)).state is Back.ABSENT
    unpaid = replace(too_much, payment=ref(number))
    assert (await provider.refund(unpaid)).state is Back.FAILED


async def test_it_cannot_be_closed_before_its_time_is_over(
    provider: gateway.UnionPay, bank: Gateway, clock: ManualClock
) -> None:
    """There is no close at UnionPay: to say "closed" would be a lie that somebody else pays for."""
    never, left_open, late = (f"26112619000001{n}0-1" for n in range(3))
    await provider.create(ask(never))
    await opened(provider, bank, left_open)
    card_page = await opened(provider, bank, late)
    for number in (never, left_open):
        assert (await provider.close(ref(number))).state is Money.UNKNOWN
    _now(clock, NOW + timedelta(minutes=5, seconds=5))
    assert "支付时间已过" in bank.press(card_page).text
    assert (await provider.close(ref(never))).state is Money.UNKNOWN  # clocks may differ
    _now(clock, NOW + timedelta(minutes=6))
    assert (await provider.close(ref(never))).state is Money.CLOSED
    assert (await provider.close(ref(left_open))).state is Money.FAILED
    assert bank.pay(bill.order_id(late), late=True)  # a bank's own page may be slower
    assert (await provider.close(ref(late))).state is Money.SUCCEEDED


async def test_paid_while_we_close(provider: gateway.UnionPay, bank: Gateway) -> None:
    number = "2611261900000190-1"
    await opened(provider, bank, number)
    bank.faults(bill.order_id(number), paid_after_query=1)
    assert (await provider.close(ref(number))).state is Money.UNKNOWN
    assert (await provider.close(ref(number))).state is Money.SUCCEEDED


@pytest.mark.parametrize("fault", ["fail", "lose", "answer_bad_signature", "hang"])
async def test_no_verified_answer_is_unknown(
    provider: gateway.UnionPay, bank: Gateway, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "TIMEOUT_S", 0.5)
    number = f"26112619000002{sum(map(ord, fault)) % 1000:03d}-1"
    view = await paid(provider, bank, number)
    knobs: dict[str, Any] = {fault: {"query": 1, "refund": 1}, "hang_s": 1.5}
    bank.faults(bill.order_id(number), **knobs)
    assert (await provider.query(ref(number))).state is Money.UNKNOWN
    refund = back(f"{number}-Ra", view)
    assert (await provider.refund(refund)).state is Back.UNKNOWN
    known = await provider.query_refund(refund)
    assert (known.state is Back.ABSENT) is (fault == "fail")
    assert (await provider.refund(refund)).state in {Back.SUBMITTED, Back.SUCCEEDED}


@pytest.mark.parametrize("code", ["03", "04", "05", "42"])
async def test_codes_that_do_not_say_are_unknown(
    provider: gateway.UnionPay, bank: Gateway, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """03, 04, 05: ask again; 42: charged too late, UnionPay decides. None of them is a refusal."""
    number = "2611261900000300-1"
    answer = {"respCode": "00", "origRespCode": code, "orderId": bill.order_id(number)}

    async def told(*_: Any) -> dict[str, str]:
        return answer

    monkeypatch.setattr(provider, "_ask_about", told)
    assert (await provider.query(ref(number))).state is Money.UNKNOWN
    asked = RefundAsk(f"{number}-R1", ref(number, "1"), 1, "", BACK_URL, NOW)
    if code != "42":
        assert (await provider.query_refund(asked)).state is Back.SUBMITTED


async def test_a_strange_certificate_is_believed_nothing(
    account: dict[str, Any], clock: ManualClock
) -> None:
    """A chain to another root, another owner, a leaf past its time, a merchant's own certificate."""
    root = authority.make("Simulated Root CA", issues=True)
    middle = authority.make("Simulated CA", issuer=root, issues=True)
    good = authority.make(authority.OWNER, issuer=middle)
    trust = signing.Trust(root.certificate, middle.certificate, frozenset({signing.OWNER}))
    told = {"merId": MERCHANT, "respCode": "00"}
    trust.verify(theirs.sign(told, good), NOW)
    other_root = authority.make("Simulated Root CA", issues=True)
    cases = {
        "another root": authority.make(
            authority.OWNER, issuer=authority.make("Simulated CA", issuer=other_root, issues=True)
        ),
        "itself": authority.make(authority.OWNER),
        "a merchant": authority.make(f"051@雀友会@{MERCHANT}@1", issuer=middle),
        "the test gateway": authority.make("041@Z12@00040000:SIGN@1", issuer=middle),
        "over": authority.make(
            authority.OWNER, issuer=middle, days=1, begins=NOW - timedelta(days=9)
        ),
    }
    for pair in cases.values():
        with pytest.raises(signing.Unsigned):
            trust.verify(theirs.sign(told, pair), NOW)
    with pytest.raises(signing.Unsigned):  # his signature under UnionPay's certificate
        trust.verify(theirs.sign(told, cases["itself"], show=good), NOW)
    known = gateway.UnionPayAccount.model_validate(account)
    assert known.trust().owners == {signing.OWNER}
    at_test = known.model_copy(update={"base_url": "https://gateway.test.95516.com"})
    assert signing.TEST_OWNER in at_test.trust().owners


async def _caught(bank: Gateway, provider: gateway.UnionPay, number: str) -> bytes:
    """A notification, caught on a socket of our own."""
    caught: asyncio.Queue[bytes] = asyncio.Queue()

    async def catch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(re.search(r"content-length: (\d+)", head).group(1))  # type: ignore[union-attr]
        await caught.put(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(catch, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    view = await provider.create(replace(ask(number), notify_url=f"http://127.0.0.1:{port}/n"))
    assert view.step is not None
    bank.submit(view.step.url, dict(view.step.fields))
    bank.pay(bill.order_id(number))
    raw = await asyncio.wait_for(caught.get(), 30)
    server.close()
    return raw


async def test_a_notification_verifies_and_every_changed_byte_does_not(
    provider: gateway.UnionPay, bank: Gateway
) -> None:
    raw = await _caught(bank, provider, "2611261900000400-1")
    notice = provider.parse_notification({}, raw, "/n")
    about = notice.about
    assert isinstance(about, PaymentView)
    assert (about.state, about.amount_fen, about.number) == (
        Money.SUCCEEDED,
        7600,
        "2611261900000400-1",
    )
    assert "accNo" not in notice.body
    assert "621626" not in json.dumps(notice.body)
    assert provider.notification_reply(taken=True).status == 200
    assert provider.notification_reply(taken=False).status != 200
    fields = signing.parse_answer(
        "&".join(f"{k}={v}" for k, v in httpx.QueryParams(raw.decode()).items())
    )

    @settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(at=st.integers(0, len(raw) - 1), to=st.integers(0, 255))
    def bent(at: int, to: int) -> None:
        changed = raw[:at] + bytes([to]) + raw[at + 1 :]
        try:
            told = provider.parse_notification({}, changed, "/n")
        except BadNotification:
            return
        # Percent-encoding has several spellings of one field: then it says exactly the same.
        assert told == notice

    bent()
    for name in ("txnAmt", "orderId", "merId", "respCode", "currencyCode", "queryId"):
        other = urlencode({**httpx.QueryParams(raw.decode()), name: "1"})
        with pytest.raises(BadNotification):
            provider.parse_notification({}, other.encode(), "/n")
    assert fields["orderId"] == "2611261900000400z1"
    with pytest.raises(BadNotification, match="twice"):
        provider.parse_notification({}, raw + b"&txnAmt=1", "/n")
    with pytest.raises(BadNotification):
        provider.parse_notification({}, raw + b"&extra=1", "/n")


async def test_another_merchants_notification_is_refused(
    bank: Gateway, provider: gateway.UnionPay, clock: ManualClock
) -> None:
    other = bank.account("888290058110097")
    async with httpx.AsyncClient(trust_env=False) as http:
        theirs_ = gateway.make(json.dumps(other), Surroundings(http, clock))
        raw = await _caught(bank, theirs_, "2611261900000500-1")
    with pytest.raises(BadNotification, match="another merchant"):
        provider.parse_notification({}, raw, "/n")


async def test_the_bill_is_read_by_columns(
    provider: gateway.UnionPay, bank: Gateway, clock: ManualClock
) -> None:
    view = await paid(provider, bank, "2611261900000600-1")
    missing = await paid(provider, bank, "2611261900000601-1")
    other = await paid(provider, bank, "2611261900000602-1")
    given = back("2611261900000600-1-Ra", view, 1600)
    bank.faults(refund_delay_s=0)
    await provider.refund(given)
    assert (await provider.query_refund(given)).state is Back.SUCCEEDED
    day = (NOW + timedelta(hours=1)).date()  # UnionPay's day ends at 23:00
    bank.faults("2611261900000601", bill_missing=True)
    bank.faults("2611261900000602", bill_amount_off_fen=-1)
    bank.faults(bill_extra=1)
    bank.faults("2611261900000601", bill_missing=True)
    bank.faults("2611261900000602", bill_amount_off_fen=-1)
    assert (await provider.fetch_bill(day)).state is BillState.NOT_YET
    _now(clock, NOW + timedelta(days=1, hours=2))
    told = await provider.fetch_bill(day)
    assert told.state is BillState.READY
    assert told.digest
    lines = {line.number: line for line in told.lines}
    line = lines["2611261900000600-1"]
    assert (line.kind, line.amount_fen, line.fee_fen) == ("payment", 7600, 45)
    assert (line.provider_no, line.at) == (view.provider_txn, NOW)
    refund = lines["2611261900000600-1-Ra"]
    assert (refund.kind, refund.amount_fen, refund.fee_fen) == ("refund", 1600, -9)
    assert refund.payment_number == "2611261900000600-1"
    assert missing.number not in lines
    assert lines[other.number].amount_fen == 7599
    assert any(number.startswith("NOBODYS") for number in lines)
    assert len(bill.WIDTHS) == 42


async def test_trying_an_account_says_what_is_wrong(
    provider: gateway.UnionPay, bank: Gateway, account: dict[str, Any], clock: ManualClock
) -> None:
    assert await provider.check() == ""
    bank.account("999290058110097")
    strange = account | {"merchant": "999290058110097"}  # a certificate of another merchant
    async with httpx.AsyncClient(trust_env=False) as http:
        around = Surroundings(http, clock)
        assert "不认这张签名证书" in await gateway.make(json.dumps(strange), around).check()
        nobody = account | {"merchant": "111111111111111"}
        assert "商户状态不正确" in await gateway.make(json.dumps(nobody), around).check()
        away = account | {"base_url": "http://127.0.0.1:9"}
        assert "ConnectError" in await gateway.make(json.dumps(away), around).check()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("merchant", "7772"),
        ("pfx", "AAAA"),
        ("pfx_password", "wrong"),
        ("root", "not a certificate"),
    ],
)
def test_credentials_that_are_wrong_are_refused(
    account: dict[str, Any], field: str, value: str
) -> None:
    with pytest.raises(ValueError, match=r".+"):
        gateway.UnionPayAccount.model_validate(account | {field: value})
    leaf = authority.make("somebody").pem
    with pytest.raises(ValueError, match="issues others"):
        gateway.UnionPayAccount.model_validate(account | {"middle": leaf})
    facts = gateway.UnionPayAccount.model_validate(account).facts()
    assert [fact.title for fact in facts] == ["签名证书", "银联中级证书", "银联根证书"]
    assert all(fact.until is not None for fact in facts)


async def test_channels_name_the_device(provider: gateway.UnionPay) -> None:
    for channel, told in ((Channel.PAGE, "07"), (Channel.WAP, "08")):
        view = await provider.create(replace(ask("2611261900000700-1"), channel=channel))
        assert view.step is not None
        assert view.step.fields["channelType"] == told


async def test_books_and_keys_survive_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    def now() -> float:
        return clock.now().timestamp()

    with running_gateway(tmp_path, now=now) as before:
        account = before.account()
    with running_gateway(tmp_path, now=now) as after:
        moved = account | {"base_url": after.url, "file_url": after.url}
        async with httpx.AsyncClient(trust_env=False) as http:
            mine = gateway.make(json.dumps(moved), Surroundings(http, clock))
            assert await mine.check() == ""
