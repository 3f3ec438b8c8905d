"""Other software hears what happens: signed, once per event, again until it takes it; and its keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlmodel import select

import cloud_api.webhooks.jobs  # noqa: F401  registers its handlers
from cloud_api.cleaning import transitions as cleaning
from cloud_api.groupbuy import transitions as groupbuy
from cloud_api.kit import feed
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.models import AlarmSignal
from cloud_api.orders import transitions as orders
from cloud_api.platform_vouchers import transitions as platform_vouchers
from cloud_api.staff import api_keys
from cloud_api.staff.models import ApiKey, StaffMember
from cloud_api.webhooks import sending
from cloud_api.webhooks.kinds import TOPICS
from cloud_api.webhooks.models import Webhook, WebhookDelivery
from cloud_api.webhooks.signing import signature
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff, make_store
from tests.cloud_api.webhooks.receiver import Receiver, receiving

HERE = "/api/v1/console/webhooks"
KEYS = "/api/v1/console/api-keys"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of the Standard Webhooks libraries' own tests."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    told = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert told == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def _tell(cloud: Cloud, shop: Shop, status: str = "paid") -> None:
    async with cloud.db.write() as session:
        await feed.tell(
            session,
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            topic="order",
            body={"order_id": "o1", "number": "n1", "status": status},
            now=cloud.clocks.real,
        )


async def _work(cloud: Cloud, receiver: Receiver) -> None:
    receiver.now = cloud.clocks.real.timestamp()
    await sending.follow(cloud)
    while await run_due(cloud):
        pass


def _passes(cloud: Cloud, seconds: float) -> None:
    for clock in (cloud.clocks.wire, cloud.clocks.business):
        clock.pass_time(seconds)  # type: ignore[attr-defined]


async def _made(
    client: httpx.AsyncClient, cloud: Cloud, owner: dict[str, str], receiver: Receiver, **more: Any
) -> dict[str, Any]:
    cloud.settings.notice_private_hosts = True
    answer = await client.post(
        HERE, json={"name": "ERP", "url": receiver.url, **more}, headers=owner
    )
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    receiver.secret = told["secret"]
    return told


async def test_an_event_is_told_once_again_until_taken_and_again_on_wish(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str], receiver: Receiver
) -> None:
    await _tell(cloud, shop, "before")  # an address hears of what comes after it
    hook = await _made(client, cloud, owner, receiver, kinds=["order.paid"])
    receiver.answers = [500, 302]
    await _tell(cloud, shop)
    await _tell(cloud, shop, "ready")  # not asked for
    async with cloud.db.write() as session:
        other = await make_store(session, cloud.clocks.now, name="别人的店")
    await _tell(cloud, other)
    for pause in (0, 4, 2, 299, 2):
        _passes(cloud, pause)
        await _work(cloud, receiver)
    assert [body["type"] for _, body in receiver.taken] == ["order.paid"]
    assert receiver.taken[0][1]["data"]["order_id"] == "o1"
    assert receiver.refused == 0
    _passes(cloud, 3600)
    await _work(cloud, receiver)
    assert len(receiver.taken) == 1
    log = (await client.get(f"{HERE}/{hook['id']}/deliveries", headers=owner)).json()["items"]
    (told,) = log
    assert (told["state"], told["tries"], told["status"]) == ("sent", 3, 204)
    again = await client.post(f"{HERE}/deliveries/{told['id']}/replay", headers=owner)
    assert again.json()["state"] == "waiting"
    await _work(cloud, receiver)
    assert [key for key, _ in receiver.taken] == [told["id"]] * 2  # the same id: who had it knows


async def test_a_secret_changes_without_a_gap_and_a_test_is_sent(
    client: httpx.AsyncClient, cloud: Cloud, owner: dict[str, str], receiver: Receiver
) -> None:
    hook = await _made(client, cloud, owner, receiver)
    assert "secret" not in (await client.get(HERE, headers=owner)).json()["items"][0]
    fresh = (await client.post(f"{HERE}/{hook['id']}/rotate", headers=owner)).json()["secret"]
    for secret, taken in ((receiver.secret, 1), (fresh, 2)):
        receiver.secret = secret
        assert (await client.post(f"{HERE}/{hook['id']}/test", headers=owner)).status_code == 202
        await _work(cloud, receiver)
        assert len(receiver.taken) == taken
    receiver.secret = hook["secret"]
    _passes(cloud, 25 * 3600)  # the old one is over
    await client.post(f"{HERE}/{hook['id']}/test", headers=owner)
    await _work(cloud, receiver)
    assert (len(receiver.taken), receiver.refused) == (2, 1)


async def test_an_address_that_fails_for_days_is_stopped_with_an_alarm(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str], receiver: Receiver
) -> None:
    hook = await _made(client, cloud, owner, receiver)
    receiver.answers = [500] * 100
    for _ in range(12):
        await _tell(cloud, shop)
        await _work(cloud, receiver)
        _passes(cloud, 12 * 3600)
    (now,) = (await client.get(HERE, headers=owner)).json()["items"]
    assert (now["enabled"], now["stopped_why"]) == (False, "连续五天没有送到")
    async with cloud.db.read() as session:
        (signal,) = (await session.exec(select(AlarmSignal))).all()
        waiting = (await session.exec(select(WebhookDelivery))).all()
    assert (signal.kind, signal.active) == ("webhook.failing", True)
    assert {one.state for one in waiting} <= {"failed", "waiting"}
    receiver.answers = []
    started = await client.post(f"{HERE}/{hook['id']}/start", headers=owner)
    assert started.json()["enabled"] is True
    await _tell(cloud, shop, "in_use")
    await _work(cloud, receiver)
    assert "order.in_use" in [body["type"] for _, body in receiver.taken]
    receiver.answers = [410]
    await _tell(cloud, shop)
    await _work(cloud, receiver)
    (now,) = (await client.get(HERE, headers=owner)).json()["items"]
    assert now["enabled"] is False  # gone is gone, at once


async def test_nobody_is_led_into_the_house(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str], receiver: Receiver
) -> None:
    """Private addresses are refused at each try, plain HTTP and user names when it is made."""
    await _made(client, cloud, owner, receiver)
    cloud.settings.notice_private_hosts = False
    for url in (receiver.url, "https://u:p@example.com/", "ftp://example.com/", "https:///x"):
        answer = await client.post(HERE, json={"name": "x", "url": url}, headers=owner)
        assert (answer.status_code, answer.json()["code"]) == (422, "webhook.url"), url
    await _tell(cloud, shop)
    await _work(cloud, receiver)
    assert receiver.taken == []
    async with cloud.db.read() as session:
        (told,) = (await session.exec(select(WebhookDelivery))).all()
        (hook,) = (await session.exec(select(Webhook))).all()
    assert (told.state, told.said) == ("waiting", "not a public address")
    assert hook.url == receiver.url  # what is stored is sealed; read through the model it is whole


async def test_a_key_does_what_it_may_where_it_may_until_it_is_stopped(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    async with cloud.db.write() as session:
        far = await make_store(session, cloud.clocks.now, merchant=shop.merchant, name="分店")
    body = {"name": "ERP", "permissions": ["order.read"], "store_ids": [shop.store.id]}
    made = await client.post(KEYS, json=body, headers=owner)
    assert made.status_code == 201, made.text
    token = made.json()["key"]
    key = bearer(token)
    assert token.startswith(made.json()["start"])
    assert token not in (await client.get(KEYS, headers=owner)).text
    assert (await client.get("/api/v1/console/orders", headers=key)).status_code == 200
    assert (await client.get("/api/v1/console/staff", headers=key)).status_code == 403
    elsewhere = await client.get(
        "/api/v1/console/orders", params={"store_id": far.store.id}, headers=key
    )
    assert elsewhere.status_code == 404
    assert (await client.get("/api/v1/orders", headers=key)).status_code == 401
    async with cloud.db.read() as session:
        (row,) = (await session.exec(select(ApiKey))).all()
    assert row.last_used_at == cloud.clocks.real
    assert token not in str(row.model_dump())
    for bad in (
        ["staff.edit"],
        ["order.refund"],
        ["order.waive"],
        ["balance.edit"],
        ["payment.accounts"],
        ["nonsense"],
    ):
        answer = await client.post(KEYS, json={"name": "x", "permissions": bad}, headers=owner)
        assert (answer.status_code, answer.json()["code"]) == (422, "api_key.permissions")
    assert api_keys.actor_of(row, frozenset(), "").permissions == frozenset()
    maker = row.created_by.removeprefix("staff:")
    async with cloud.db.write() as session:  # who made it may less now: so may the key
        (await session.get_one(StaffMember, maker)).role = "cleaner"
    less = await client.get("/api/v1/console/orders", headers=key)
    assert (less.status_code, less.json()["code"]) == (403, "forbidden")
    async with cloud.db.write() as session:
        (await session.get_one(StaffMember, maker)).role = "owner"
    await client.post(f"{KEYS}/{made.json()['id']}/revoke", headers=owner)
    gone = await client.get("/api/v1/console/orders", headers=key)
    assert (gone.status_code, gone.json()["code"]) == (401, "api_key.bad")


async def test_what_somebody_made_stops_when_they_leave(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str], receiver: Receiver
) -> None:
    """A key and an address, made by an owner who is dismissed: they know the key's text and where the address is.

    The key opens nothing from the next request on; the address waits, with an alarm, until somebody who works
    here has looked at it. What others made goes on.
    """
    async with cloud.db.write() as session:
        boss = await make_staff(session, shop, cloud.clocks.now)
        theirs = bearer(await make_login(session, boss.account_id, cloud.clocks.real))
    kept = await _made(client, cloud, owner, receiver, name="留下的")
    hook = await _made(client, cloud, theirs, receiver)
    body = {"name": "ERP", "permissions": ["order.read"]}
    keys = [
        bearer((await client.post(KEYS, json=body, headers=by)).json()["key"])
        for by in (owner, theirs)
    ]
    await _tell(cloud, shop)
    await _work(cloud, receiver)
    before = _came(receiver)
    gone = await client.post(f"/api/v1/console/staff/{boss.id}/deactivate", headers=owner)
    assert gone.status_code == 204, gone.text
    answers = [await client.get("/api/v1/console/orders", headers=key) for key in keys]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert answers[1].json()["code"] == "api_key.bad"
    listed = {one["name"]: one for one in (await client.get(KEYS, headers=owner)).json()["items"]}
    assert listed.keys() == {"ERP"}
    await _tell(cloud, shop, "ready")
    await _work(cloud, receiver)
    hooks = {one["id"]: one for one in (await client.get(HERE, headers=owner)).json()["items"]}
    assert (hooks[hook["id"]]["enabled"], hooks[kept["id"]]["enabled"]) == (False, True)
    assert hooks[hook["id"]]["stopped_why"] == "加它的人已经停用，看过地址再恢复"
    assert _came(receiver) == before + 1  # the one that stays was told
    async with cloud.db.read() as session:
        (signal,) = (await session.exec(select(AlarmSignal))).all()
    assert (signal.kind, signal.subject) == ("webhook.failing", f"webhook:{hook['id']}")
    again = (await client.post(f"{HERE}/{hook['id']}/start", headers=owner)).json()
    assert (again["enabled"], again["kept_by"]) == (True, hooks[kept["id"]]["kept_by"])
    await _tell(cloud, shop, "in_use")
    await _work(cloud, receiver)
    log = (await client.get(f"{HERE}/{hook['id']}/deliveries", headers=owner)).json()["items"]
    assert [one["kind"] for one in log] == ["order.in_use", "order.paid"]


def _came(receiver: Receiver) -> int:
    """All that was sent, also under another address's secret."""
    return len(receiver.taken) + receiver.refused


async def test_a_stopped_address_counts_no_more_and_can_be_deleted(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str], receiver: Receiver
) -> None:
    """Ten addresses were all there ever could be: a stopped one took a place and never went away."""
    hook = await _made(client, cloud, owner, receiver)
    await _tell(cloud, shop)
    await _work(cloud, receiver)
    body = {"name": "B", "url": receiver.url}
    for _ in range(9):
        assert (await client.post(HERE, json=body, headers=owner)).status_code == 201
    full = await client.post(HERE, json=body, headers=owner)
    assert (full.status_code, full.json()["code"]) == (409, "webhook.too_many")
    running = await client.post(f"{HERE}/{hook['id']}/delete", headers=owner)
    assert (running.status_code, running.json()["code"]) == (409, "webhook.running")
    await client.post(f"{HERE}/{hook['id']}/stop", headers=owner)
    assert (await client.post(HERE, json=body, headers=owner)).status_code == 201
    again = await client.post(f"{HERE}/{hook['id']}/start", headers=owner)
    assert again.json()["code"] == "webhook.too_many"
    await _tell(cloud, shop, "ready")
    assert (await client.post(f"{HERE}/{hook['id']}/delete", headers=owner)).status_code == 204
    await _work(cloud, receiver)  # what waited for it is nobody's business
    assert (await client.get(f"{HERE}/{hook['id']}/deliveries", headers=owner)).status_code == 404
    async with cloud.db.read() as session:
        assert hook["id"] not in {
            one.webhook_id for one in await session.exec(select(WebhookDelivery))
        }


async def test_nobody_has_more_stores_told_than_they_work_in(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    """An owner of one branch added an address for all stores, and heard of the others' orders."""
    async with cloud.db.write() as session:
        far = await make_store(session, cloud.clocks.now, merchant=shop.merchant, name="分店")
        head = await make_staff(session, shop, cloud.clocks.now, store_ids=[shop.store.id])
        local = bearer(await make_login(session, head.account_id, cloud.clocks.real))
    body: dict[str, Any] = {"name": "ERP", "url": "https://erp.example/hooks"}
    made = await client.post(HERE, json=body, headers=local)
    assert (made.status_code, made.json()["store_ids"]) == (201, [shop.store.id])
    # of a branch: neither the others' addresses and keys, nor their staff
    whole = (await client.post(HERE, json=body, headers=owner)).json()["id"]
    seen = [one["id"] for one in (await client.get(HERE, headers=local)).json()["items"]]
    assert seen == [made.json()["id"]]
    for act in ("stop", "rotate", "delete", "test"):
        refused = await client.post(f"{HERE}/{whole}/{act}", headers=local)
        assert refused.status_code == 404, act
    async with cloud.db.write() as session:
        other = await make_staff(session, shop, cloud.clocks.now, store_ids=[far.store.id])
    people = (await client.get("/api/v1/console/staff", headers=local)).json()["items"]
    assert other.id not in [one["id"] for one in people]
    assert head.id in [one["id"] for one in people]
    for who, stores in ((local, [far.store.id]), (local, []), (owner, [])):
        answer = await client.post(HERE, json={**body, "store_ids": stores}, headers=who)
        assert (answer.status_code, answer.json()["code"]) == (422, "webhook.stores")
        assert answer.json()["field"] == "store_ids"
    key = {"name": "ERP", "permissions": ["order.read"], "store_ids": []}
    answer = await client.post(KEYS, json=key, headers=owner)
    assert (answer.status_code, answer.json()["code"]) == (422, "api_key.stores")


def test_every_state_that_is_told_has_its_word() -> None:
    """Who adds a state to a table adds its kind; a word without a state would never be told."""
    told = {
        "order": orders.TABLE,
        "group_order": groupbuy.ORDER,
        "platform_voucher": platform_vouchers.TABLE,
        "cleaning": cleaning.TABLE,
    }
    for topic in TOPICS:
        if topic.key in told:
            states = {kind.partition(".")[2] for kind, _name in topic.kinds}
            assert states == set(told[topic.key]), topic.key
