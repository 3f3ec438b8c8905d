"""Payment accounts as settings: secrets go in and never out, and what does not work is not shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlmodel import col, select

from cloud_api.alarms import watch
from cloud_api.audit.models import AuditEntry
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import AlarmSignal
from cloud_api.payments import house
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt, ProviderAccount
from cloud_api.payments.providers.unionpay import gateway
from cloud_api.payments.ways import ways_of
from simulators.unionpay import authority
from tests.cloud_api.conftest import NOON
from tests.cloud_api.factories import Shop, bearer, make_customer, make_login, make_staff
from tests.support.card_simulators import Cards, Gateway, running_cards, running_gateway

HERE = "/api/v1/console/payment-accounts"


@pytest.fixture(scope="module")
def bank() -> Iterator[Gateway]:
    with running_gateway(now=NOON.timestamp) as running:
        yield running


@pytest.fixture(scope="module")
def cards() -> Iterator[Cards]:
    with running_cards(now=NOON.timestamp) as running:
        yield running


@pytest.fixture(scope="module")
def card(bank: Gateway) -> dict[str, Any]:
    return bank.account()


@pytest.fixture
async def owner(db: Database, shop: Shop, now: datetime) -> dict[str, str]:
    async with db.write() as session:
        member = await make_staff(session, shop, now)
        return bearer(await make_login(session, member.account_id, now))


@pytest.fixture(autouse=True)
def _simulators_are_let_in(cloud: Cloud) -> None:
    cloud.settings.payment_private_hosts = True


async def add(
    client: httpx.AsyncClient, owner: dict[str, str], fields: dict[str, Any], **body: Any
) -> httpx.Response:
    given = {"provider": "unionpay", "name": "银联卡", "fields": fields} | body
    return await client.post(HERE, json=given, headers=owner | {"Idempotency-Key": new_id()})


async def test_secrets_go_in_and_never_come_out(
    client: httpx.AsyncClient,
    owner: dict[str, str],
    db: Database,
    card: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = await add(client, owner, card, min_fen=100, max_fen=50_000)
    assert made.status_code == 200, made.text
    shown = made.json()
    assert shown["fields"]["merchant"] == card["merchant"]
    assert next(fact["title"] for fact in shown["facts"]) == "签名证书"
    assert shown["facts"][0]["days_left"] in {728, 729}
    tried = await client.post(f"{HERE}/{shown['id']}/check", json={}, headers=owner)
    assert tried.json()["ok"] is True
    listed = await client.get(HERE, headers=owner)
    assert [item["checked"] for item in listed.json()["items"]] == ["ok"]
    changed = await client.patch(
        f"{HERE}/{shown['id']}",
        json={"name": "刷卡", "fields": {"pfx": "", "pfx_password": ""}},
        headers=owner,
    )
    assert changed.status_code == 200, changed.text
    async with db.read() as session:
        row = (await session.exec(select(ProviderAccount))).one()
        raw = (await session.execute(text("SELECT credentials FROM provider_account"))).scalar_one()
        acts = [
            (e.action, e.before, e.after) for e in (await session.exec(select(AuditEntry))).all()
        ]
    assert json.loads(row.credentials)["pfx"] == card["pfx"]  # an empty secret keeps what was there
    assert [action for action, *_ in acts] == [
        "payment_account.add",
        "payment_account.check",
        "payment_account.change",
    ]
    out = capsys.readouterr()
    spoken = [made.text, tried.text, listed.text, changed.text, str(raw), json.dumps(acts)]
    for place in (*spoken, out.out, out.err):
        assert card["pfx"][:40] not in place
        assert f'"{card["pfx_password"]}"' not in place


async def test_what_is_wrong_is_named_and_not_repeated(
    client: httpx.AsyncClient, owner: dict[str, str], card: dict[str, Any]
) -> None:
    for field, value, says in (
        ("merchant", "123", "格式不对"),
        ("merchant", None, "没填"),
        ("pfx_password", "wrong", "密码不对"),
        ("pfx", "!!", "没有读出来"),
        ("root", "x", "没有读出来"),
        ("middle", authority.make("nobody").pem, "不是中级或根证书"),
    ):
        given = {k: v for k, v in (card | {field: value}).items() if v is not None}
        refused = await add(client, owner, given)
        told = refused.json()
        assert (refused.status_code, told["code"]) == (422, "account.fields")
        assert told["field"] == f"fields.{field}"
        assert says in told["detail"]
        assert card["pfx"][:40] not in refused.text


async def test_secrets_go_to_the_providers_own_servers_alone(
    client: httpx.AsyncClient, owner: dict[str, str], cloud: Cloud, card: dict[str, Any]
) -> None:
    """An owner's form must not make the server speak to what only this machine can reach."""
    cloud.settings.payment_private_hosts = False
    for url in ("http://gateway.95516.com", "https://127.0.0.1", "https://gateway.95516.com.evil"):
        refused = await add(client, owner, card | {"base_url": url, "file_url": url})
        assert (refused.status_code, refused.json()["code"]) == (422, "account.host")
    assert (await add(client, owner, {}, provider="cashier")).json()["code"] == "account.provider"
    own = card | {
        "base_url": "https://gateway.95516.com",
        "file_url": "https://filedownload.95516.com",
    }
    made = await add(client, owner, own)
    assert made.status_code == 200, made.text
    cloud.settings.payment_private_hosts = True
    moved = await client.patch(
        f"{HERE}/{made.json()['id']}",
        json={"fields": {"base_url": "http://127.0.0.1:9"}},
        headers=owner,
    )
    assert moved.status_code == 422  # to somebody else the secrets are not shown: enter them again
    assert "没填" in moved.json()["detail"]


async def test_one_account_of_a_kind_for_the_same_stores(
    client: httpx.AsyncClient, owner: dict[str, str], cards: Cards, shop: Shop
) -> None:
    account = cards.account()
    first = (await add(client, owner, account, provider="stripe", name="信用卡")).json()
    twice = await add(client, owner, account, provider="stripe", name="信用卡")
    assert (twice.status_code, twice.json()["code"]) == (409, "account.twice")
    own = await add(client, owner, account, provider="stripe", name="本店", store_id=shop.store.id)
    assert own.status_code == 200
    off = await client.patch(f"{HERE}/{first['id']}", json={"enabled": False}, headers=owner)
    assert off.json()["works"] is False
    assert (await add(client, owner, account, provider="stripe", name="另一个")).status_code == 200
    back = await client.patch(f"{HERE}/{first['id']}", json={"enabled": True}, headers=owner)
    assert back.json()["code"] == "account.twice"
    bad = await add(client, owner, account, provider="stripe", name="x", channels=["teleport"])
    assert bad.json()["code"] in {"account.channels", "account.twice"}
    wrong = await client.patch(
        f"{HERE}/{first['id']}", json={"min_fen": 200, "max_fen": 100}, headers=owner
    )
    assert wrong.json()["code"] == "account.limits"
    missing = await add(client, owner, account, provider="stripe", name="x", store_id=new_id())
    assert missing.status_code == 404


async def test_payers_see_what_works_in_the_owners_order_and_within_limits(
    client: httpx.AsyncClient,
    owner: dict[str, str],
    db: Database,
    shop: Shop,
    cloud: Cloud,
    cards: Cards,
    card: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = (await add(client, owner, card, max_fen=10_000)).json()["id"]
    two = (await add(client, owner, cards.account(), provider="stripe", name="信用卡")).json()["id"]

    async def seen(amount_fen: int) -> list[str]:
        async with db.read() as session:
            found = await payments.accounts_of(session, shop.store)
            ways = ways_of(found, amount_fen, cloud.clocks.real)
        return [f"{way.provider}:{way.channel}" for way in ways]

    assert await seen(10_000) == ["unionpay:page", "unionpay:wap", "stripe:page"]
    with (
        monkeypatch.context() as patch
    ):  # a key file is opened once, not for each page with an order
        patch.setattr(gateway, "read_pfx", None)
        assert await seen(10_001) == ["stripe:page"]
        assert len(await seen(10_000)) == 3
    await client.post(f"{HERE}/order", json={"ids": [two, one]}, headers=owner)
    assert (await seen(1))[0] == "stripe:page"
    await client.patch(f"{HERE}/{one}", json={"channels": ["wap"]}, headers=owner)
    assert await seen(1) == ["stripe:page", "unionpay:wap"]
    async with db.write() as session:  # credentials that are broken, and a certificate that is over
        row = await session.get_one(ProviderAccount, two)
        row.credentials = "{}"
        other = await session.get_one(ProviderAccount, one)
        other.expires_at = cloud.clocks.real
    assert await seen(1) == []


async def test_who_has_taken_cash_still_sees_their_accounts(
    client: httpx.AsyncClient, owner: dict[str, str], cloud: Cloud, shop: Shop, card: dict[str, Any]
) -> None:
    """Bug: from the first cash, or the first stored balance spent, the list and the page of payment accounts
    were a 500: the row that stands for the house itself was looked up among the providers.
    """
    one = (await add(client, owner, card)).json()["id"]
    houses = []
    async with cloud.db.write() as session:
        for provider in house.LABELS:
            made = await house.account(session, shop.store, provider, cloud.clocks)
            houses.append(made.id)
    listed = await client.get(HERE, headers=owner)
    assert (listed.status_code, [row["id"] for row in listed.json()["items"]]) == (200, [one])
    asked = {"ids": [*houses, one]}
    ordered = await client.post(f"{HERE}/order", json=asked, headers=owner)
    assert (ordered.status_code, len(ordered.json()["items"])) == (200, 1)
    for key in houses:  # and nobody gives cash an address, or switches a balance on
        changed = await client.patch(f"{HERE}/{key}", json={"enabled": True}, headers=owner)
        assert (changed.status_code, changed.json()["code"]) == (404, "account.not_found")
        assert (await client.post(f"{HERE}/{key}/check", headers=owner)).status_code == 404


async def test_an_account_that_took_money_keeps_its_merchant(
    client: httpx.AsyncClient,
    owner: dict[str, str],
    db: Database,
    shop: Shop,
    now: datetime,
    bank: Gateway,
    card: dict[str, Any],
) -> None:
    """Its refunds would go to another merchant, who has never seen the payment."""
    made = (await add(client, owner, card)).json()
    async with db.write() as session:
        guest = await make_customer(session, now)
        session.add(
            PaymentAttempt(
                merchant_id=shop.merchant.id,
                store_id=shop.store.id,
                account_id=guest.id,
                account_ref=made["id"],
                provider="unionpay",
                pays="order:1",
                part_of="order:1",
                number="n-1",
                amount_fen=1,
                expires_at=now,
                created_at=now,
            )
        )
    other = bank.account("888290058110097")
    refused = await client.patch(f"{HERE}/{made['id']}", json={"fields": other}, headers=owner)
    assert (refused.status_code, refused.json()["code"]) == (409, "account.identity")
    renewed = await client.patch(
        f"{HERE}/{made['id']}", json={"fields": bank.account()}, headers=owner
    )
    assert renewed.status_code == 200  # a new certificate of the same merchant


async def test_a_certificate_that_ends_soon_raises_an_alarm(
    client: httpx.AsyncClient,
    owner: dict[str, str],
    db: Database,
    shop: Shop,
    cloud: Cloud,
    card: dict[str, Any],
) -> None:
    soon = authority.make("051@x@777290058110097@1", days=11, begins=NOON - timedelta(days=1))
    given = card | {"pfx": authority.pfx(soon, card["pfx_password"])}
    made = (await add(client, owner, given)).json()
    assert made["facts"][0]["days_left"] in {9, 10}

    async def alarmed() -> list[bool]:
        await watch._certificates(cloud, shop.merchant.id)
        async with db.read() as session:
            query = select(AlarmSignal).where(col(AlarmSignal.kind) == "certificate.expiring")
            found = (await session.exec(query)).all()
        return [one.active for one in found if one.subject == f"payment_account:{made['id']}"]

    assert await alarmed() == [True]
    await client.patch(f"{HERE}/{made['id']}", json={"fields": card}, headers=owner)
    assert await alarmed() == [False]


async def test_trying_says_what_is_wrong(
    client: httpx.AsyncClient, owner: dict[str, str], bank: Gateway, card: dict[str, Any]
) -> None:
    stranger = card | {"merchant": "111111111111111"}
    made = (await add(client, owner, stranger)).json()
    tried = await client.post(f"{HERE}/{made['id']}/check", json={}, headers=owner)
    assert tried.json()["ok"] is False
    assert "商户状态不正确" in tried.json()["message"]


async def test_who_may(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime, card: dict[str, Any]
) -> None:
    async with db.write() as session:
        manager = await make_staff(session, shop, now, role="manager")
        here = bearer(await make_login(session, manager.account_id, now))
    assert (await client.get(HERE, headers=here)).json()["code"] == "forbidden"
    assert (await add(client, here, card)).status_code == 403
