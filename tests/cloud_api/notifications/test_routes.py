"""The JSON API of alarms and notices: secrets stay secret, words are checked, inboxes are one's own."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlmodel import col, select

from cloud_api.alarms.models import Alarm
from cloud_api.audit.models import AuditEntry
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from cloud_api.notifications.channels import CHANNELS
from cloud_api.notifications.channels.base import Letter, Outcome, failed, sent
from cloud_api.notifications.models import Notice, NoticeChannel, NoticeTemplate, WechatConsent
from tests.cloud_api.factories import Shop, bearer, make_customer, make_login, make_staff
from tests.cloud_api.notifications.providers import CREDENTIALS, Town, provider

HERE = "/api/v1/console/notifications"


@pytest.fixture
async def owner(db: Database, shop: Shop, now: datetime) -> dict[str, str]:
    async with db.write() as session:
        member = await make_staff(session, shop, now)
        return bearer(await make_login(session, member.account_id, now))


async def put_channel(client: httpx.AsyncClient, owner: dict[str, str], **body: Any) -> Any:
    given = {"kind": "wecom", "name": "店长群", "fields": CREDENTIALS["wecom"]} | body
    key = {"Idempotency-Key": new_id()}
    return await client.post(f"{HERE}/channels", json=given, headers=owner | key)


async def test_secrets_go_in_and_never_come_out(
    client: httpx.AsyncClient, owner: dict[str, str], db: Database
):
    made = await put_channel(client, owner)
    assert made.status_code == 200, made.text
    assert made.json()["fields"] == {"key": ""}
    secret = CREDENTIALS["wecom"]["key"]
    assert secret not in (await client.get(f"{HERE}/channels", headers=owner)).text
    async with db.read() as session:
        raw = (await session.execute(text("SELECT credentials FROM notice_channel"))).scalar_one()
        assert secret not in raw
        acts = json.dumps([one.after for one in (await session.exec(select(AuditEntry))).all()])
    assert secret not in acts
    assert "店长群" in json.loads(json.dumps(json.loads(acts)))[0]["name"]
    again = await put_channel(client, owner, enabled=False, fields={"key": ""})
    assert again.json()["enabled"] is False
    async with db.read() as session:  # an empty secret keeps what was there
        row = (await session.exec(select(NoticeChannel))).one()
    assert json.loads(row.credentials)["key"] == secret
    gone = await client.delete(f"{HERE}/channels/{row.id}", headers=owner)
    assert gone.status_code == 204
    assert (await client.get(f"{HERE}/channels", headers=owner)).json()["items"] == []


async def test_a_kept_secret_is_shown_to_nobody_new(
    client: httpx.AsyncClient, owner: dict[str, str], db: Database
):
    """Another mail server under the same name has to be given its password: it would get the old one."""
    mail = {
        "host": "smtp.example.com",
        "username": "notices",
        "password": "the-mail-secret",
        "sender": "notices@example.com",
        "to": ["boss@example.com"],
    }
    assert (await put_channel(client, owner, kind="email", fields=mail)).status_code == 200
    empty = mail | {"password": ""}
    kept = await put_channel(client, owner, kind="email", fields=empty | {"username": "other"})
    assert kept.status_code == 200, kept.text
    lured = await put_channel(client, owner, kind="email", fields=empty | {"host": "evil.example"})
    assert (lured.status_code, lured.json()["field"]) == (422, "fields.password")
    async with db.read() as session:
        row = (await session.exec(select(NoticeChannel))).one()
    assert json.loads(row.credentials)["host"] == mail["host"]


async def test_a_wrong_field_is_named_without_its_value(
    client: httpx.AsyncClient, owner: dict[str, str]
):
    bad = await put_channel(client, owner, fields={"key": "has blanks in it!"})
    assert (bad.status_code, bad.json()["code"]) == (422, "channel.fields")
    assert bad.json()["field"] == "fields.key"
    assert "has blanks" not in bad.text
    bad = await put_channel(client, owner, kind="pigeon", fields={})
    assert bad.json()["code"] == "channel.kind"


async def test_a_test_says_how_it_went(
    client: httpx.AsyncClient, owner: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    outcomes = [sent("p"), failed("93000", "invalid webhook url")]
    letters: list[Letter] = []

    async def send(_cloud: Cloud, _credentials: Any, letter: Letter) -> Outcome:
        letters.append(letter)
        return outcomes.pop(0)

    monkeypatch.setattr(CHANNELS["wecom"], "send", send)
    channel = (await put_channel(client, owner)).json()["id"]

    async def test() -> Any:
        key = {"Idempotency-Key": new_id()}
        url = f"{HERE}/channels/{channel}/test"
        return (await client.post(url, json={"event": "order.new"}, headers=owner | key)).json()

    assert (await test())["state"] == "sent"
    assert "竹间" in letters[0].body
    assert (await test())["code"] == "93000"
    shown = (await client.get(f"{HERE}/channels", headers=owner)).json()["items"][0]
    assert shown["checked"] == "93000 invalid webhook url"


async def test_own_words_are_checked_previewed_and_kept(
    client: httpx.AsyncClient, owner: dict[str, str], db: Database
):
    mine = {"event": "order.ready", "title": "好了", "body": "{room} 给您留好了"}
    preview = await client.post(f"{HERE}/templates/preview", json=mine, headers=owner)
    assert preview.json() == {"title": "好了", "body": "竹间 给您留好了", "params": []}
    bad = await client.put(f"{HERE}/templates", json=[mine | {"body": "{salary}"}], headers=owner)
    assert (bad.status_code, bad.json()["code"]) == (422, "template.variable")
    assert bad.json()["field"] == "body"
    kept = await client.put(f"{HERE}/templates", json=[mine], headers=owner)
    told = next(one for one in kept.json()["items"] if one["event"] == "order.ready")
    assert told["own"][0]["body"] == "{room} 给您留好了"
    form = {"channel": "sms_tencent", "provider_template": "1110", "provider_params": "1={room}\n2={starts_at}"}  # fmt: skip
    done = await client.put(f"{HERE}/templates/order.ready", json=form, headers=owner)
    assert done.status_code == 204
    async with db.read() as session:
        query = select(NoticeTemplate).where(col(NoticeTemplate.channel) == "sms_tencent")
        row = (await session.exec(query)).one()
    assert row.provider_params == [["1", "{room}"], ["2", "{starts_at}"]]
    wrong = await client.put(
        f"{HERE}/templates/order.ready", json=form | {"provider_params": "nothing"}, headers=owner
    )
    assert wrong.json()["code"] == "template.params"


async def test_no_quiet_hours_are_none_from_the_first_save_on(
    client: httpx.AsyncClient, owner: dict[str, str]
):
    """Who emptied both times in a form that was never saved before got 22:30 to 08:00 all the same, and was
    told that it was saved: guests of the night heard of their orders in the morning.
    """
    path = "/api/v1/console/notifications/settings"
    none = {"quiet_from": None, "quiet_until": None}
    assert (await client.put(path, json=none, headers=owner)).status_code == 204
    kept = await client.get("/api/v1/console/notifications/rules", headers=owner)
    assert (kept.json()["settings"]["quiet_from"], kept.json()["settings"]["quiet_until"]) == (
        None,
        None,
    )


async def test_rules_and_quiet_hours(client: httpx.AsyncClient, owner: dict[str, str]):
    body = {
        "rules": [{"event": "order.new", "enabled": True, "channels": ["feishu", "feishu"]}],
        "settings": {"quiet_from": "23:00", "quiet_until": "07:00", "per_hour": 9},
    }
    kept = (await client.put(f"{HERE}/rules", json=body, headers=owner)).json()
    rule = next(one for one in kept["rules"] if one["event"] == "order.new")
    assert (rule["channels"], rule["own"]) == (["feishu"], True)
    assert kept["settings"]["quiet_from"] == "23:00"
    for wrong, code in (
        ({"rules": [{"event": "x", "channels": []}]}, "rule.event"),
        ({"rules": [{"event": "order.new", "channels": ["x"]}]}, "rule.channel"),
        ({"settings": {"quiet_from": "23:00"}}, "rule.quiet"),
    ):
        answer = await client.put(f"{HERE}/rules", json=wrong, headers=owner)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_alarms_over_http(
    client: httpx.AsyncClient, owner: dict[str, str], db: Database, shop: Shop, now: datetime
):
    alarm = Alarm(
        merchant_id=shop.merchant.id,
        store_id=shop.store.id,
        kind="store.offline",
        subject="store:1",
        severity="critical",
        since=now - timedelta(minutes=2),
        raised_at=now - timedelta(minutes=1),
    )
    async with db.write() as session:
        session.add(alarm)
    listed = (await client.get("/api/v1/console/alarms", headers=owner)).json()
    assert [one["name"] for one in listed["items"]] == ["门店断网"]
    url = f"/api/v1/console/alarms/{alarm.id}"
    key = {"Idempotency-Key": "k1"}
    taken = await client.post(f"{url}/acknowledge", headers=owner | key)
    assert taken.json()["state"] == "acknowledged"
    done = await client.post(
        f"{url}/resolve", json={"why": "重启了路由器"}, headers=owner | {"Idempotency-Key": "k2"}
    )
    assert done.json()["state"] == "resolved"
    told = (await client.get(url, headers=owner)).json()
    assert [one["kind"] for one in told["history"]] == ["acknowledged", "resolved"]
    assert told["history"][1]["why"] == "重启了路由器"
    assert (await client.get("/api/v1/console/alarms", headers=owner)).json()["items"] == []
    rule = {"severity": "warning", "raise_after_s": 120, "steps": [{"after_min": 0, "to": "role:owner"}]}  # fmt: skip
    kept = await client.put("/api/v1/console/alarm-rules/store.offline", json=rule, headers=owner)
    assert (kept.json()["raise_after_s"], kept.json()["name"]) == (120, "门店断网")
    bad = rule | {"steps": [{"after_min": 0, "to": "account:somebody"}]}
    refused = await client.put("/api/v1/console/alarm-rules/store.offline", json=bad, headers=owner)
    assert refused.status_code == 422


async def test_an_alarm_rule_comes_from_a_form_and_reaches_somebody(
    client: httpx.AsyncClient, owner: dict[str, str]
):
    url = "/api/v1/console/alarm-rules/power.overload"

    async def put(steps: Any, **more: Any) -> httpx.Response:
        body = {"severity": "critical", "raise_after_s": 10, "steps": steps} | more
        return await client.put(url, json=body, headers=owner)

    rows = {
        "0": {"to": "staff:alarm.handle", "after_min": 0, "channels": []},
        "1": {"to": "role:owner", "after_min": 15, "channels": ["sms"]},
        "2": {"channels": []},  # nobody was chosen: no step
    }
    kept = await put(rows, threshold=2800)
    assert kept.json()["steps"] == [
        {"to": "staff:alarm.handle", "after_min": 0, "channels": None},
        {"to": "role:owner", "after_min": 15, "channels": ["sms"]},
    ]
    assert kept.json()["threshold"] == 2800
    for steps, code, field in (
        ([], "alarm_rule.nobody", "steps.0.to"),
        ([{"to": "role:gone", "after_min": 0}], "alarm_rule.to", "steps.0.to"),
        ([{"to": "staff:door.kick", "after_min": 0}], "alarm_rule.to", "steps.0.to"),
        ({"0": {"to": "role:owner"}}, "invalid", "steps.0.after_min"),
    ):
        refused = await put(steps)
        assert (refused.status_code, refused.json()["code"]) == (422, code)
        assert refused.json()["field"] == field
    assert (await put([], enabled=False)).status_code == 200


async def test_a_preview_of_one_channel_falls_back_as_the_message_will(
    client: httpx.AsyncClient, owner: dict[str, str]
):
    own = {"title": "到了", "body": "找 {room}"}
    kept = await client.put(f"{HERE}/templates/order.ready", json=own, headers=owner)
    assert kept.status_code == 204
    asked = {"event": "order.ready", "channel": "in_app", "title": "请进"}
    shown = (await client.post(f"{HERE}/templates/preview", json=asked, headers=owner)).json()
    assert (shown["title"], shown["body"]) == ("请进", "找 竹间")
    asked = {"event": "order.ready", "title": "请进"}  # for all: what is left empty is ours
    shown = (await client.post(f"{HERE}/templates/preview", json=asked, headers=owner)).json()
    assert shown["body"].endswith("到店扫门口的码开门。")


async def test_an_inbox_is_ones_own(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime
):
    async with db.write() as session:
        guest, other = await make_customer(session, now), await make_customer(session, now)
        mine = bearer(await make_login(session, guest.id, now))
        theirs = bearer(await make_login(session, other.id, now))
        for number in range(3):
            session.add(
                Notice(
                    merchant_id=shop.merchant.id,
                    account_id=guest.id,
                    audience="customer",
                    once=new_id(),
                    event="order.ready",
                    subject="order:1",
                    language="zh_Hans",
                    title=f"第 {number}",
                    body="",
                    created_at=now + timedelta(seconds=number),
                )
            )
    first = (await client.get("/api/v1/me/notices?limit=2", headers=mine)).json()
    assert [one["title"] for one in first["items"]] == ["第 2", "第 1"]
    assert first["unread"] == 3
    rest = await client.get(
        "/api/v1/me/notices", params={"cursor": first["next_cursor"]}, headers=mine
    )
    assert [one["title"] for one in rest.json()["items"]] == ["第 0"]
    assert (await client.post("/api/v1/me/notices/read", headers=mine)).status_code == 204
    assert (await client.get("/api/v1/me/notices", headers=mine)).json()["unread"] == 0
    assert (await client.get("/api/v1/me/notices", headers=theirs)).json()["items"] == []
    assert (await client.get("/api/v1/me/notices")).status_code == 401


async def test_a_consent_is_taken_from_wechats_word_alone(
    client: httpx.AsyncClient, cloud: Cloud, owner: dict[str, str], shop: Shop, now: datetime
):
    async with cloud.db.write() as session:
        guest = await make_customer(session, now)
        mine = bearer(await make_login(session, guest.id, now))
    body = {"merchant_id": shop.merchant.id, "code": "c1", "templates": ["tmpl-ready", "foreign"]}

    async def agree() -> httpx.Response:
        key = {"Idempotency-Key": new_id()}
        return await client.post("/api/v1/me/wechat-consents", json=body, headers=mine | key)

    assert (await agree()).json()["code"] == "wechat.none"
    await put_channel(client, owner, kind="wechat", name="小程序", fields=CREDENTIALS["wechat"])
    words = {"event": "order.ready", "channel": "wechat", "provider_template": "tmpl-ready"}
    await client.put(f"{HERE}/templates", json=[words], headers=owner)
    town = Town()
    cloud.parts["notices.endpoints"] = town.urls
    async with provider("wechat", town, cloud):
        assert (await agree()).json()["code"] == "wechat.bad_code"
        town.app.codes["c1"] = "openid-9"
        assert (await agree()).json() == {"taken": 1}
    async with cloud.db.read() as session:
        row = (await session.exec(select(WechatConsent))).one()
    assert (row.openid, row.template_id, row.account_id) == ("openid-9", "tmpl-ready", guest.id)
