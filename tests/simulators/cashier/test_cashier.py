"""The cashier as its merchants and payers meet it: a real server, signatures both ways, a page."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_api.payments.providers import cashier
from cloud_api.payments.providers.base import (
    Ask,
    Back,
    BadNotification,
    Money,
    PaymentRef,
    PaymentView,
    RefundAsk,
    Surroundings,
)
from store_link.clock import WireClock
from tests.support.cashier import Till, running_till

RETURN = "http://shop.test/orders/1"


@pytest.fixture(scope="module")
def till() -> Iterator[Till]:
    with running_till() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults(till: Till) -> None:
    till.faults()


@pytest.fixture(scope="module")
def account(till: Till) -> dict[str, str]:
    return till.account()


@pytest.fixture
async def provider(account: dict[str, str]) -> AsyncIterator[cashier.Cashier]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield cashier.make(json.dumps(account), Surroundings(http, WireClock()))


def _ask(number: str, amount_fen: int = 7600) -> Ask:
    return Ask(
        number=number,
        amount_fen=amount_fen,
        subject="竹间 <b>19:00</b>",
        merchant_name="雀友会·静安店",
        expires_at=WireClock().now() + timedelta(minutes=10),
        notify_url="http://127.0.0.1:9/notify",
        return_url=RETURN,
        opened_at=WireClock().now(),
    )


def _ref(number: str) -> PaymentRef:
    return PaymentRef(number, 7600, WireClock().now())


def _back(number: str, fen: int) -> RefundAsk:
    there = "http://127.0.0.1:9/notify"
    return RefundAsk(number, _ref("P-000001"), fen, "", there, WireClock().now())


def _url(opened: PaymentView) -> str:
    assert opened.step is not None
    return opened.step.url


async def test_a_payment_from_opening_to_refund(provider: cashier.Cashier, till: Till) -> None:
    opened = await provider.create(_ask("P-000001"))
    assert (opened.state, opened.amount_fen) == (Money.PENDING, 7600)
    assert _url(await provider.create(_ask("P-000001"))) == _url(opened)
    assert (await provider.create(_ask("P-000001", 1))).state is Money.FAILED
    till.page(_url(opened), "pay")
    paid = await provider.query(_ref("P-000001"))
    assert (paid.state, paid.amount_fen) == (Money.SUCCEEDED, 7600)
    assert (await provider.close(_ref("P-000001"))).state is Money.SUCCEEDED

    async def give(number: str, fen: int) -> Back:
        return (await provider.refund(_back(number, fen))).state

    till.faults(refund_delay_s=3600)
    assert await give("P-000001-R1", 5000) is Back.SUBMITTED
    assert await give("P-000001-R1", 5000) is Back.SUBMITTED
    assert await give("P-000001-R2", 2601) is Back.FAILED
    assert (await provider.query_refund(_back("P-000001-R1", 1))).state is Back.SUBMITTED
    till.faults(refund_delay_s=0)
    assert await give("P-000001-R3", 2600) is Back.SUBMITTED
    assert (await provider.query_refund(_back("P-000001-R3", 1))).state is Back.SUCCEEDED
    assert await give("P-000001-R3", 2600) is Back.SUCCEEDED
    assert (await provider.query_refund(_back("P-nothing", 1))).state is Back.ABSENT
    assert (await provider.query(_ref("P-nothing"))).state is Money.ABSENT


async def test_a_closed_payment_cannot_be_paid(provider: cashier.Cashier, till: Till) -> None:
    opened = await provider.create(_ask("P-000002"))
    assert (await provider.close(_ref("P-000002"))).state is Money.CLOSED
    page = till.page(_url(opened))
    assert "这笔订单已关闭" in page.text
    assert till.page(_url(opened), "pay").status_code == 409
    assert (await provider.query(_ref("P-000002"))).state is Money.CLOSED


async def test_cancelling_leads_back_and_leaves_the_payment_open(
    provider: cashier.Cashier, till: Till
) -> None:
    opened = await provider.create(_ask("P-000003"))
    back = till.page(_url(opened), "cancel")
    assert (back.status_code, back.headers["location"]) == (303, RETURN)
    assert (await provider.query(_ref("P-000003"))).state is Money.PENDING


async def test_the_page_is_a_page_without_scripts_and_under_a_policy(
    provider: cashier.Cashier, till: Till
) -> None:
    opened = await provider.create(_ask("P-000004"))
    page = till.page(_url(opened))
    assert "雀友会·静安店" in page.text
    assert "竹间 &lt;b&gt;19:00" in page.text
    assert re.search(r"76<small>\.00</small>", page.text)
    assert '<form method="post"' in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://shop.test" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|style=|onclick=", page.text)
    for asset in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
        assert till.http.get(asset).status_code == 200, asset
    assert till.page(f"{till.url}/pay/nothing").status_code == 404


@pytest.mark.parametrize("fault", ["fail", "lose", "answer_bad_signature", "hang"])
async def test_no_verified_answer_is_unknown(
    provider: cashier.Cashier, till: Till, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cashier, "TIMEOUT_S", 0.5)
    number = f"P-{fault}"
    knobs: dict[str, Any] = {fault: {"create": 1}, "hang_s": 1.5}
    till.faults(None, **knobs)
    assert (await provider.create(_ask(number))).state is Money.UNKNOWN
    assert (number in till.payments()) is (fault != "fail")
    assert (await provider.create(_ask(number))).state is Money.PENDING


async def test_requests_of_strangers_and_replays_are_refused(
    till: Till, account: dict[str, str]
) -> None:
    body = b"{}"
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(account["private_key"]))

    def send(stamp: int, nonce: str, signer: Ed25519PrivateKey = key) -> str:
        signed = f"KAIMEN-CASHIER\nPOST /v1/payments/P-none/close\n{stamp}\n{nonce}\n".encode()
        answer = till.http.post(
            "/v1/payments/P-none/close",
            content=body,
            headers={
                "Cashier-Merchant": account["merchant"],
                "Cashier-Timestamp": str(stamp),
                "Cashier-Nonce": nonce,
                "Cashier-Signature": base64.b64encode(signer.sign(signed + body)).decode(),
            },
        )
        return str(answer.json().get("code", "fine"))

    now = int(time.time())
    assert send(now, "n1") == "no_such_payment"
    assert send(now, "n1") == "nonce_used"
    assert send(now - 301, "n2") == "bad_signature"
    assert send(now, "n3", Ed25519PrivateKey.generate()) == "bad_signature"
    assert till.http.post("/v1/payments", content=b"{}").json()["code"] == "unknown_merchant"


def test_admin_needs_its_token(till: Till) -> None:
    assert httpx.get(f"{till.url}/admin/payments", trust_env=False).status_code == 401


async def test_a_notification_verifies_and_every_change_of_it_does_not(
    provider: cashier.Cashier, till: Till
) -> None:
    """Caught on a socket of our own, then bent in every byte's neighbourhood."""
    caught: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def catch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        length = int({k.lower(): v for k, v in headers.items()}["content-length"])
        await caught.put((headers, await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\n")
        writer.write(b'{"code":"SUCCESS"}')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(catch, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await provider.create(replace(_ask("P-000009"), notify_url=f"http://127.0.0.1:{port}/n/1"))
    till.pay("P-000009")
    raw_headers, raw = await asyncio.wait_for(caught.get(), 10)
    server.close()
    headers = httpx.Headers(raw_headers)
    notice = provider.parse_notification(headers, raw, "/n/1")
    assert notice.about is not None
    assert (notice.kind, notice.about.state, notice.about.amount_fen) == (
        "payment",
        Money.SUCCEEDED,
        7600,
    )
    with pytest.raises(BadNotification):
        provider.parse_notification(headers, raw, "/n/2")
    for i in range(0, len(raw), 7):
        bent = raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :]
        with pytest.raises(BadNotification):
            provider.parse_notification(headers, bent, "/n/1")
    for name in ("Cashier-Timestamp", "Cashier-Nonce", "Cashier-Signature"):
        with pytest.raises(BadNotification):
            provider.parse_notification({**headers, name: "1"}, raw, "/n/1")


async def test_books_and_keys_survive_a_restart(tmp_path: Path) -> None:
    with running_till(tmp_path) as before:
        account = before.account()
        async with httpx.AsyncClient(trust_env=False) as http:
            mine = cashier.make(json.dumps(account), Surroundings(http, WireClock()))
            opened = await mine.create(_ask("P-000001"))
        before.pay("P-000001")
    with running_till(tmp_path) as after:
        account["base_url"] = after.url
        async with httpx.AsyncClient(trust_env=False) as http:
            mine = cashier.make(json.dumps(account), Surroundings(http, WireClock()))
            assert (await mine.query(_ref("P-000001"))).state is Money.SUCCEEDED
            path = _url(opened).split("/pay/")[1]
        assert "已经支付" in after.page(f"{after.url}/pay/{path}").text
