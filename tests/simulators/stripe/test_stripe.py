"""Stripe as its own client library meets it, and our side of it.

The simulator is proved by Stripe's library: its unmodified client makes, reads and expires sessions,
and its own webhook code accepts what the simulator signs.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_api.payments.providers.base import (
    Ask,
    Back,
    BadNotification,
    BillState,
    Money,
    Notice,
    PaymentRef,
    PaymentView,
    RefundAsk,
    RefundView,
    Surroundings,
)
from cloud_api.payments.providers.stripe import amounts, cards
from store_link.clock import ManualClock
from tests.support.card_simulators import Cards, running_cards

NOW = datetime.now(UTC).replace(microsecond=0)
BACK_URL = "http://shop.test/orders/1/pay"


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture(scope="module")
def town(clock: ManualClock) -> Iterator[Cards]:
    with running_cards(now=lambda: clock.now().timestamp()) as running:
        yield running


@pytest.fixture(autouse=True)
def _as_at_the_start(town: Cards, clock: ManualClock) -> None:
    town.faults()
    clock.step((NOW - clock.now()).total_seconds())


@pytest.fixture(scope="module")
def account(town: Cards) -> dict[str, str]:
    return town.account()


@pytest.fixture
async def provider(account: dict[str, str], clock: ManualClock) -> AsyncIterator[cards.Stripe]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield cards.make(json.dumps(account), Surroundings(http, clock))


def ask(number: str, amount_fen: int = 7600) -> Ask:
    return Ask(
        number=number,
        amount_fen=amount_fen,
        subject="Bamboo room 19:00",
        merchant_name="Sparrow Club",
        expires_at=NOW + timedelta(minutes=10),
        notify_url="http://shop.test/api/v1/payments/stripe/A1/notify",
        return_url=BACK_URL,
        opened_at=NOW,
    )


def ref(number: str, txn: str | None = None) -> PaymentRef:
    return PaymentRef(number, 7600, NOW, txn)


def back(number: str, payment: PaymentView, fen: int = 1000) -> RefundAsk:
    named = ref(payment.number, payment.provider_txn)
    return RefundAsk(number, named, fen, "cancelled", "", NOW)


async def paid(provider: cards.Stripe, town: Cards, number: str) -> PaymentView:
    await provider.create(ask(number))
    town.pay(number)
    view = await provider.query(ref(number))
    assert view.state is Money.SUCCEEDED
    return view


def test_stripes_own_client_works_against_the_simulator(
    town: Cards, account: dict[str, str], clock: ManualClock
) -> None:
    """Unmodified, synchronous, on its own HTTP: nothing of ours is in between."""
    http = stripe.HTTPXClient(allow_sync_methods=True, timeout=10)
    client = stripe.StripeClient(
        account["secret_key"],
        base_addresses={"api": account["base_url"]},
        http_client=http,
        max_network_retries=0,
    )
    made = client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "client_reference_id": "sdk-1",
            "line_items": [
                {
                    "quantity": 2,
                    "price_data": {
                        "currency": "hkd",
                        "unit_amount": 500,
                        "product_data": {"name": "Tea"},
                    },
                }
            ],
            "success_url": BACK_URL,
        }
    )
    assert isinstance(made, stripe.checkout.Session)
    assert (made.status, made.amount_total, made.livemode) == ("open", 1000, False)
    assert client.v1.checkout.sessions.retrieve(made.id).client_reference_id == "sdk-1"
    listed = client.v1.checkout.sessions.list({"limit": 1})
    assert [one.id for one in listed.data] == [made.id]
    town.pay("sdk-1")
    done = client.v1.checkout.sessions.retrieve(made.id)
    assert (done.status, done.payment_status) == ("complete", "paid")
    with pytest.raises(stripe.InvalidRequestError, match="only open"):
        client.v1.checkout.sessions.expire(made.id)
    refund = client.v1.refunds.create({"payment_intent": str(done.payment_intent), "amount": 400})
    assert (refund.status, refund.amount) == ("succeeded", 400)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": str(done.payment_intent), "amount": 601})
    assert refused.value.code == "charge_already_refunded"
    moved = client.v1.balance_transactions.list({"expand": ["data.source"]})
    assert [one.type for one in moved.data][:2] == ["refund", "charge"]
    wrong = stripe.StripeClient(
        "sk_test_nobody0000", base_addresses={"api": account["base_url"]}, http_client=http
    )
    with pytest.raises(stripe.AuthenticationError):
        wrong.v1.checkout.sessions.list()
    http.close()


async def test_a_payment_from_the_page_to_the_refund(provider: cards.Stripe, town: Cards) -> None:
    number = "2611261900000001-1"
    opened = await provider.create(ask(number))
    assert opened.state is Money.PENDING
    assert opened.step is not None
    again = await provider.create(ask(number))
    assert again.step == opened.step
    assert (await provider.create(ask(number, 1))).state is not Money.PENDING
    page = town.http.get(opened.step.url)
    assert "HKD 76.00" in page.text
    assert "unsafe" not in page.headers["content-security-policy"]
    assert (await provider.query(ref(number))).state is Money.PENDING
    led = town.http.post(opened.step.url, data={"do": "pay"})
    assert (led.status_code, led.headers["location"]) == (303, BACK_URL)
    view = await provider.query(ref(number))
    assert (view.state, view.amount_fen) == (Money.SUCCEEDED, 7600)
    assert str(view.provider_txn).startswith("pi_")
    assert (await provider.query(ref(number, view.provider_txn))).state is Money.SUCCEEDED
    assert (await provider.close(ref(number))).state is Money.SUCCEEDED
    assert (await provider.query(ref("2611261900000009-1"))).state is Money.ABSENT

    first = back(f"{number}-Ra", view, 5000)
    assert (await provider.query_refund(first)).state is Back.ABSENT
    assert (await provider.refund(first)).state is Back.SUCCEEDED
    assert (await provider.refund(first)).state is Back.SUCCEEDED  # the same one
    assert (await provider.refund(back(f"{number}-Rb", view, 2601))).state is Back.FAILED
    town.faults(refund_status="pending")
    slow = back(f"{number}-Rc", view, 600)
    assert (await provider.refund(slow)).state is Back.SUBMITTED
    town.finish(slow.number, "failed")
    told = await provider.query_refund(slow)
    assert (told.state, told.detail) == (Back.FAILED, "expired_or_canceled_card")
    town.faults(refund_status="requires_action")
    assert (await provider.refund(back(f"{number}-Rd", view, 600))).state is Back.ABNORMAL


async def test_closing_expires_and_a_payment_in_between_wins(
    provider: cards.Stripe, town: Cards
) -> None:
    await provider.create(ask("2611261900000010-1"))
    assert (await provider.close(ref("2611261900000010-1"))).state is Money.CLOSED
    assert (await provider.query(ref("2611261900000010-1"))).state is Money.CLOSED
    number = "2611261900000011-1"
    await provider.create(ask(number))
    town.faults(number, paid_during_close=1)
    assert (await provider.close(ref(number))).state is Money.SUCCEEDED
    assert (await provider.close(ref("2611261900000019-1"))).state is Money.ABSENT


@pytest.mark.parametrize("fault", ["fail", "lose", "hang"])
async def test_no_answer_is_unknown_and_a_repeat_finds_out(
    provider: cards.Stripe, town: Cards, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe repeats its first answer under a key, a 500 too: so a query finds out, not a repeat."""
    monkeypatch.setattr(cards, "TIMEOUT_S", 0.5)
    async with httpx.AsyncClient(trust_env=False) as http:
        provider = cards.Stripe(provider._account, Surroundings(http, provider._clock))
        number = f"26112619000000{sum(map(ord, fault)) % 100:02d}-2"
        knobs: dict[str, Any] = {fault: {"create": 1, "refund": 1}, "hang_s": 1.5}
        town.faults(number, **knobs)
        assert (await provider.create(ask(number))).state is Money.UNKNOWN
        found = await provider.query(ref(number))
        assert found.state is (Money.ABSENT if fault == "fail" else Money.PENDING)
        if fault == "fail":
            assert (await provider.create(ask(number))).state is Money.UNKNOWN  # the kept 500
            return
        assert (await provider.create(ask(number))).state is Money.PENDING
        town.pay(number)
        view = await provider.query(ref(number))
        refund = back(f"{number}-Ra", view)
        assert (await provider.refund(refund)).state is Back.UNKNOWN
        assert (await provider.query_refund(refund)).state is Back.SUCCEEDED


async def _caught(
    town: Cards, provider: cards.Stripe, account: dict[str, str], number: str
) -> tuple[dict[str, str], bytes]:
    """An event, caught on a socket of our own."""
    caught: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def catch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        length = int({k.lower(): v for k, v in headers.items()}["content-length"])
        await caught.put((headers, await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(catch, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    town.endpoint(account["secret_key"], f"http://127.0.0.1:{port}/n")
    await provider.create(ask(number))
    town.pay(number)
    while True:
        headers, raw = await asyncio.wait_for(caught.get(), 30)
        if number in raw.decode():
            break
    server.close()
    town.endpoint(account["secret_key"], "")
    return headers, raw


async def test_an_event_verifies_and_every_changed_byte_does_not(
    provider: cards.Stripe, town: Cards, account: dict[str, str], clock: ManualClock
) -> None:
    number = "2611261900000030-1"
    raw_headers, raw = await _caught(town, provider, account, number)
    headers = httpx.Headers(raw_headers)
    event = stripe.Webhook.construct_event(
        raw, headers["stripe-signature"], account["webhook_secret"], tolerance=10**9
    )
    assert event.type == "checkout.session.completed"
    notice = provider.parse_notification(headers, raw, "/n")
    assert isinstance(notice.about, PaymentView)
    assert (notice.about.state, notice.about.amount_fen) == (Money.SUCCEEDED, 7600)
    assert notice.event_id == event.id

    @settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(at=st.integers(0, len(raw) - 1), bit=st.integers(0, 7))
    def bent(at: int, bit: int) -> None:
        changed = raw[:at] + bytes([raw[at] ^ (1 << bit)]) + raw[at + 1 :]
        with pytest.raises(BadNotification):
            provider.parse_notification(headers, changed, "/n")

    bent()
    for wrong in ("", "t=1", "v1=00", re.sub("v1=.", "v1=x", headers["stripe-signature"])):
        with pytest.raises(BadNotification):
            provider.parse_notification({"stripe-signature": wrong}, raw, "/n")
    clock.step(301)
    with pytest.raises(BadNotification, match="stale"):
        provider.parse_notification(headers, raw, "/n")
    # a second time in front of the signed one does not make it fresh
    fresh = f"t={int(clock.now().timestamp())},{headers['stripe-signature']}"
    with pytest.raises(BadNotification):
        provider.parse_notification({"stripe-signature": fresh}, raw, "/n")


def _signed(provider: cards.Stripe, account: dict[str, str], **event: Any) -> Notice:
    body = {"id": "evt_1", "livemode": False, **event}
    raw = json.dumps(body)
    header = stripe.WebhookSignature.generate_signature_header(
        raw, account["webhook_secret"], int(NOW.timestamp())
    )
    return provider.parse_notification({"stripe-signature": header}, raw.encode(), "/n")


async def test_events_say_one_thing_each(provider: cards.Stripe, account: dict[str, str]) -> None:
    session = {
        "client_reference_id": "n-1",
        "status": "complete",
        "payment_status": "paid",
        "amount_total": 7600,
        "currency": "hkd",
        "payment_intent": "pi_1",
    }

    def about(kind: str, thing: dict[str, Any]) -> Any:
        return _signed(provider, account, type=kind, data={"object": thing}).about

    assert about("checkout.session.completed", session).state is Money.SUCCEEDED
    unpaid = session | {"payment_status": "unpaid"}  # a slow method: complete is not paid
    assert about("checkout.session.completed", unpaid).state is Money.UNKNOWN
    foreign = session | {"currency": "jpy"}
    assert about("checkout.session.completed", foreign).state is Money.UNKNOWN
    assert about("checkout.session.expired", session | {"status": "expired"}).state is Money.CLOSED
    refund = {
        "id": "re_1",
        "metadata": {"number": "n-1-Ra"},
        "amount": 100,
        "currency": "hkd",
        "status": "failed",
    }
    told = about("refund.failed", refund)
    assert isinstance(told, RefundView)
    assert (told.state, told.number, told.amount_fen) == (Back.FAILED, "n-1-Ra", 100)
    assert about("customer.created", {"id": "cus_1"}) is None
    assert about("refund.updated", {"id": "re_2", "status": "succeeded"}) is None
    with pytest.raises(BadNotification, match="other mode"):
        _signed(provider, account, type="x", data={"object": {}}, livemode=True)


async def test_currencies_without_a_smaller_unit(
    town: Cards, clock: ManualClock, provider: cards.Stripe
) -> None:
    """5000 hundredths are 50 yen. Sent as they stand they would be 5000 yen."""
    yen = town.account(currency="jpy")
    async with httpx.AsyncClient(trust_env=False) as http:
        mine = cards.make(json.dumps(yen), Surroundings(http, clock))
        number = "2611261900000040-1"
        await mine.create(ask(number, 500_000))
        assert town.session(number)["amount_total"] == 5000
        town.pay(number)
        view = await mine.query(ref(number))
        assert view.amount_fen == 500_000
        await mine.refund(back(f"{number}-Ra", view, 100_000))
        told = await mine.query_refund(back(f"{number}-Ra", view, 100_000))
        assert told.amount_fen == 100_000
        odd = await mine.create(ask("2611261900000041-1", 5050))
        assert (odd.state, odd.detail) == (Money.FAILED, "JPY has no fractions: 50.50")
        assert (await mine.refund(back(f"{number}-Rb", view, 50))).state is Back.FAILED


@given(st.integers(1, 10**9), st.sampled_from(["hkd", "usd", "jpy", "krw", "kwd", "isk", "ugx"]))
def test_amounts_go_there_and_back(hundredths: int, currency: str) -> None:
    try:
        told = amounts.to_stripe(hundredths, currency)
    except amounts.NotRepresentable:
        assert hundredths % 100
        assert currency in {"jpy", "krw", "isk", "ugx"}
        return
    assert amounts.from_stripe(told, currency) == hundredths
    if currency == "kwd":
        assert told % 10 == 0
        with pytest.raises(amounts.NotRepresentable):
            amounts.from_stripe(told + 1, currency)


async def test_the_bill_is_the_balance(town: Cards, clock: ManualClock) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        mine = cards.make(json.dumps(town.account()), Surroundings(http, clock))
        view = await paid(mine, town, "2611261900000050-1")
        await paid(mine, town, "2611261900000051-1")
        await paid(mine, town, "2611261900000052-1")
        await mine.refund(back("2611261900000050-1-Ra", view, 1600))
        town.faults(bill_extra=1)
        town.faults("2611261900000051", bill_missing=True)
        town.faults("2611261900000052", bill_amount_off=-1)
        told = await mine.fetch_bill(NOW.date())
        assert told.state is BillState.READY
        lines = {line.number: line for line in told.lines}
        line = lines["2611261900000050-1"]
        assert (line.kind, line.amount_fen, line.fee_fen, line.at) == (
            "payment",
            7600,
            7600 * 34 // 1000 + 30,
            NOW,
        )
        refund = lines["2611261900000050-1-Ra"]
        assert (refund.kind, refund.amount_fen) == ("refund", 1600)
        assert refund.payment_number == "2611261900000050-1"
        assert "2611261900000051-1" not in lines
        assert lines["2611261900000052-1"].amount_fen == 7599
        assert "nobody-0" in lines
        town.faults()
        assert (await mine.fetch_bill(NOW.date() + timedelta(days=3))).lines == ()


async def test_lists_are_read_to_their_end(town: Cards, clock: ManualClock) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        mine = cards.make(json.dumps(town.account()), Surroundings(http, clock))
        await mine.create(ask("2611261900000060-1"))
        for n in range(101):
            await mine.create(replace(ask(f"26112619000002{n:03d}-1"), subject="x"))
        assert (await mine.query(ref("2611261900000060-1"))).state is Money.PENDING


async def test_trying_an_account_says_what_is_wrong(
    provider: cards.Stripe, account: dict[str, str], clock: ManualClock
) -> None:
    assert await provider.check() == ""
    async with httpx.AsyncClient(trust_env=False) as http:
        around = Surroundings(http, clock)
        other = account | {"secret_key": "sk_test_nobody0000"}
        assert "不认这个密钥" in await cards.make(json.dumps(other), around).check()
        away = account | {"base_url": "http://127.0.0.1:9"}
        assert "连不上" in await cards.make(json.dumps(away), around).check()
    facts = provider._account.facts()
    shown = json.dumps([fact.text for fact in facts])
    assert account["secret_key"] not in shown
    assert account["webhook_secret"] not in shown
