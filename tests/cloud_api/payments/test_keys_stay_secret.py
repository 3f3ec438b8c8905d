"""After a run of each provider no key and no card stands in a log, in the database or in an address (I10)."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

import cloud_api.ledger.jobs  # noqa: F401  registers its handlers
from cloud_api.kit.clocks import Clocks
from cloud_api.orders import cancel, pay
from cloud_api.payments import service as payments
from cloud_api.payments.providers import PROVIDERS
from cloud_api.payments.providers.unionpay.bill import order_id
from cloud_api.payments.setups import setup_of
from simulators.unionpay.pages import GOOD
from tests.cloud_api.house import House
from tests.cloud_api.market import Market, both_counters, open_market
from tests.cloud_api.test_plain_text import raw
from tests.support.card_simulators import Cards, Gateway, running_cards, running_gateway
from tests.support.providers import Counter

CARDS = (GOOD, "621626******0018", "4242424242424242", "4242 4242 4242 4242")


@pytest.fixture
def counters(clocks: Clocks) -> Iterator[dict[str, Counter]]:
    with both_counters(clocks) as running:
        yield running


@pytest.fixture
def bank(clocks: Clocks) -> Iterator[Gateway]:
    def now() -> float:
        return clocks.real.timestamp()

    with running_gateway(now=now) as running:
        yield running


@pytest.fixture
def cards(clocks: Clocks) -> Iterator[Cards]:
    def now() -> float:
        return clocks.real.timestamp()

    with running_cards(now=now) as running:
        yield running


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[io.StringIO]:
    """All that is handed to the log, before anything blanks it."""
    said = io.StringIO()
    structlog.configure(
        processors=[
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=said),
        cache_logger_on_first_use=False,
    )
    caplog.set_level(logging.DEBUG, logger="cloud_api")
    yield said
    structlog.reset_defaults()


def _secrets(provider: str, credentials: dict[str, Any]) -> list[str]:
    """What of an account must be seen nowhere; of long keys one line.

    UnionPay's test password is six noughts, which are everywhere: too short to look for.
    """
    found = []
    for name in setup_of(provider).secret:
        value = str(credentials.get(name, ""))
        lines = [line for line in value.splitlines() if len(line) >= 40] or [value]
        if len(value) >= 12:
            found.append(lines[len(lines) // 2][:60])
    return found


async def test_no_key_and_no_card_is_anywhere(
    house: House,
    counters: dict[str, Counter],
    bank: Gateway,
    cards: Cards,
    log: io.StringIO,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    market: Market = await open_market(house, counters)
    cloud, asked = house.cloud, list[str]()

    async def note(request: httpx.Request) -> None:
        asked.append(str(request.url))

    cloud.http.event_hooks["request"].append(note)
    async with cloud.db.read() as session:
        [till] = await payments.accounts_of(session, house.shop.store, "cashier")
    accounts: dict[str, dict[str, Any]] = {
        "cashier": json.loads(till.credentials),
        "unionpay": bank.account(),
        "stripe": cards.account(currency="cny"),
        **{name: counter.account for name, counter in counters.items()},
    }
    assert set(accounts) == set(PROVIDERS)
    async with cloud.db.write() as session:
        for provider in ("unionpay", "stripe"):
            made = await payments.add_account(
                session,
                merchant_id=house.shop.merchant.id,
                provider=provider,
                name=provider,
                credentials=json.dumps(accounts[provider]),
                clocks=cloud.clocks,
            )
            if provider == "stripe":
                url = cloud.settings.public_url + payments.notify_path("stripe", made.id)
                cards.endpoint(accounts["stripe"]["secret_key"], url)
    for turn, provider in enumerate(accounts):
        order = await house.order(in_h=3 + 3 * turn)
        if provider in counters:
            market.counters[provider].faults(
                f"{order.number}-1", lose={"create": 1}, notify_bad_signature=1
            )
            payment = await market.pay(order, provider)
            await house.quiet()
            house.passes(3)
            await house.quiet()
            counters[provider].pay(payment.number)
        else:
            payment = await pay.pay(cloud, house.who, order.id, provider=provider)
            if provider == "unionpay":
                assert payment.step is not None
                page = bank.submit(payment.step["url"], payment.step["fields"])
                bank.press(str(page.url), card=GOOD)
                assert bank.trades()[order_id(payment.number)]
            else:
                (house.till if provider == "cashier" else cards).pay(payment.number)

        async def ready(order_id: str = order.id) -> bool:
            house.passes(2)
            return (await house.again(order)).status == "ready"  # noqa: B023

        await house.run(ready)
        async with cloud.db.write() as session:
            await cancel.cancel(session, house.who, order.id, cloud.clocks)
    await house.finish_all()
    await cloud.db.close()
    kept = raw(cloud.db.url, tmp_path)
    said = log.getvalue() + "\n".join(one.getMessage() for one in caplog.records)
    urls = "\n".join(asked)
    secrets = {name: _secrets(name, found) for name, found in accounts.items()}
    assert all(secrets.values()), secrets.keys()
    for provider, hidden in secrets.items():
        for secret in (*hidden, *CARDS):
            assert secret.encode() not in kept, f"{provider}: in the database"
            assert secret not in said, f"{provider}: in the log"
            assert secret not in urls, f"{provider}: in an address"
    # What is meant to be there is found: each provider was really asked, and wrote its log.
    assert said.count("payment.applied") == len(accounts)
    for provider in accounts:
        assert f'"{provider}"'.encode() in kept or provider.encode() in kept
    assert {url.split("/")[2] for url in asked} >= {
        str(found["base_url"]).split("/")[2] for found in accounts.values()
    }
