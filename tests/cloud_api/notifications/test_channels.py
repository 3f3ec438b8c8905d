"""Each channel against its provider's server: what arrives, what is refused, what nobody knows."""

from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.waiters import Waiters
from cloud_api.notifications.channels import CHANNELS, aliyun, base, robots, tencent, wechat
from cloud_api.notifications.channels.base import Letter, Outcome
from cloud_api.notifications.channels.generic import GenericCredentials
from cloud_api.notifications.channels.hosts import HostRefused, public_address
from cloud_api.settings import Settings
from store_link.clock import ManualClock
from tests.cloud_api.notifications.providers import (
    CREDENTIALS,
    Town,
    post_office,
    provider,
    serving,
)

LETTER = Letter(
    ref="01JDELIVERY",
    merchant_id="m",
    store_id="s",
    event="order.ready",
    title="预订好了",
    body="雀友会·静安店 竹间，11月23日 14:00 到 16:00。",
    language="zh_Hans",
    address="+8613900000001",
    params=(("room", "竹间"), ("at", "11月23日 14:00")),
)
TEMPLATES = {"sms_aliyun": "SMS_1", "sms_tencent": "1110", "wechat": "tmpl-ready"}
ALL_HTTP = sorted(CREDENTIALS)


def letter_for(kind: str) -> Letter:
    made = replace(LETTER, template=TEMPLATES.get(kind, ""))
    if kind == "wechat":
        made = replace(made, address="openid-1", params=(("thing1", "竹间"), ("time2", "14:00")))
    return made


@pytest.fixture
async def cloud(clocks: Clocks, tmp_path: Path) -> AsyncIterator[Cloud]:
    """No database is needed to send."""
    settings = Settings(secrets="11" * 32, data_dir=tmp_path)
    async with httpx.AsyncClient(trust_env=False) as http:
        db = Database(f"sqlite+aiosqlite:///{tmp_path}/none.db")
        yield Cloud(settings, db, clocks, http, Waiters("test"))
        await db.close()


@pytest.fixture
async def town(cloud: Cloud) -> Town:
    made = Town()
    cloud.parts["notices.endpoints"] = made.urls
    made.app.consents["openid-1", "tmpl-ready"] = 5
    return made


async def post(cloud: Cloud, kind: str, letter: Letter | None = None, **other: Any) -> Outcome:
    channel = CHANNELS[kind]
    credentials = channel.credentials.model_validate(CREDENTIALS[kind] | other)
    return await channel.send(cloud, credentials, letter or letter_for(kind))


@pytest.mark.parametrize("kind", ALL_HTTP)
async def test_a_message_arrives_and_each_fault_is_told_for_what_it_is(
    kind: str, cloud: Cloud, town: Town, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(base, "TIMEOUT_S", 0.4)
    async with provider(kind, town, cloud) as desk:
        assert (await post(cloud, kind)).state == "sent"
        [message] = desk.messages
        assert "竹间" in str(message)
        assert desk.refused == []
        desk.faults = ["rate_limit", "busy", "http_500", "silent"]
        states = [(await post(cloud, kind)).state for _ in range(4)]
        # A number's limit and a busy server took nothing; what fell over or never answered may have.
        assert states == ["later", "later", "unknown", "unknown"]
        assert len(desk.messages) == 2  # the silent one had taken it: sent again it would be twice
        if kind != "wechat":
            desk.faults = ["bad_token"]
            assert (await post(cloud, kind)).state == "failed"
    outcome = await post(cloud, kind)  # nobody listens there now
    assert (outcome.state, outcome.code) == ("later", "unreachable")


@pytest.mark.parametrize(
    ("kind", "field", "code"),
    [
        ("sms_aliyun", "access_key_secret", "SignatureDoesNotMatch"),
        ("sms_aliyun", "access_key_id", "InvalidAccessKeyId.NotFound"),
        ("sms_aliyun", "sign_name", "isv.SMS_SIGNATURE_ILLEGAL"),
        ("sms_tencent", "secret_key", "AuthFailure.SignatureFailure"),
        ("sms_tencent", "secret_id", "AuthFailure.SecretIdNotFound"),
        ("sms_tencent", "sign_name", "FailedOperation.SignatureIncorrectOrUnapproved"),
        ("wecom", "key", "93000"),
        ("dingtalk", "secret", "310000"),
        ("dingtalk", "access_token", "300005"),
        ("feishu", "secret", "19021"),
        ("feishu", "hook", "19001"),
        ("wechat", "app_secret", "40125"),
    ],
)
async def test_wrong_keys_are_final_and_nothing_arrives(
    kind: str, field: str, code: str, cloud: Cloud, town: Town
):
    async with provider(kind, town, cloud) as desk:
        wrong = CREDENTIALS[kind][field][:-3] + "zzz"
        outcome = await post(cloud, kind, **{field: wrong})
        assert (outcome.state, outcome.code) == ("failed", code)
        assert desk.messages == []


@pytest.mark.parametrize("kind", ["sms_aliyun", "sms_tencent", "dingtalk", "feishu"])
async def test_an_old_signature_is_refused(kind: str, cloud: Cloud, town: Town):
    async with provider(kind, town, cloud, 7200) as desk:
        assert (await post(cloud, kind)).state == "failed"
        assert desk.messages == []


async def test_templates_and_numbers_that_the_provider_does_not_take_are_final(
    cloud: Cloud, town: Town
):
    async with provider("sms_aliyun", town, cloud), provider("sms_tencent", town, cloud):
        for kind, template, number in (
            ("sms_aliyun", "isv.SMS_TEMPLATE_ILLEGAL", "isv.MOBILE_NUMBER_ILLEGAL"),
            (
                "sms_tencent",
                "FailedOperation.TemplateIncorrectOrUnapproved",
                "InvalidParameterValue.IncorrectPhoneNumber",
            ),
        ):
            bad = await post(cloud, kind, replace(letter_for(kind), template="SMS_9"))
            assert (bad.state, bad.code) == ("failed", template)
            bad = await post(cloud, kind, replace(letter_for(kind), address="+861234"))
            assert (bad.state, bad.code) == ("failed", number)


# ------------------------------------------------------------- signatures by other people's hands


def test_aliyuns_own_example_of_its_signature():
    """The example with fixed parameters in help.aliyun.com, "V3 request structure and signature"."""
    query = aliyun.query_string(
        {
            "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
            "RegionId": "cn-shanghai",
        }
    )
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    made = aliyun.authorization("YourAccessKeyId", "YourAccessKeySecret", "POST", query, headers)
    assert made.endswith("06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0")


def test_aliyuns_sdk_signs_our_message_the_same_way():
    """Made with alibabacloud_tea_openapi 0.4.6, with texts that want encoding."""
    query = aliyun.query_string(
        {
            "PhoneNumbers": "13900000001",
            "SignName": "雀友会",
            "TemplateCode": "SMS_1",
            "OutId": "ref 1*~",
            "TemplateParam": '{"room": "竹间", "at": "11月23日 14:00"}',
        }
    )
    headers = {
        "host": "dysmsapi.aliyuncs.com",
        "x-acs-action": "SendSms",
        "x-acs-version": "2017-05-25",
        "x-acs-date": "2026-11-23T04:00:00Z",
        "x-acs-signature-nonce": "n1",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    made = aliyun.authorization("LTAIEXAMPLE", "EXAMPLEsecret", "POST", query, headers)
    assert made.endswith("4c81c8f147f2782262e647bfd920275a424c7d7f3d1da2b4103621572d833e5f")


def test_tencents_own_example_and_its_sdk():
    """The example in "signature method v3" (cvm), and tencentcloud-sdk-python-common 3.1.195."""
    made = tencent.authorization(
        "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
        "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
        service="cvm",
        host="cvm.tencentcloudapi.com",
        content_type="application/json; charset=utf-8",
        body=b'{"Limit": 1, "Filters": [{"Values": ["\\u672a\\u547d\\u540d"], "Name": "instance-name"}]}',
        timestamp=1551113065,
    )
    assert made.endswith("72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168")
    body = (
        '{"PhoneNumberSet": ["+8613900000001"], "SmsSdkAppId": "1400000000", "SignName": "雀友会", '
        '"TemplateId": "1110", "TemplateParamSet": ["竹间", "14:00"], "SessionContext": "ref1"}'
    )
    made = tencent.authorization(
        "AKIDEXAMPLEEXAMPLE",
        "EXAMPLEsecretEXAMPLE",
        service="sms",
        host="sms.tencentcloudapi.com",
        content_type="application/json; charset=utf-8",
        body=body.encode(),
        timestamp=1795406400,
    )
    assert made.endswith("74b211e2bfb5468ac295ea8421f7d2402c0ad1666b0e9ad6667c05a40064a88b")


def test_dingtalks_signature_as_another_client_makes_it():
    """Made with DingtalkChatbot 1.5.7."""
    made = robots.dingtalk_sign("SECexample", 1795406400123)
    assert made == "kS4SErWfmKMZAGok5YN6PijWUo5YjyzEDSbqh4AZ4Rk="


# ---------------------------------------------------------------------------------------- WeChat


async def test_one_token_serves_many_and_is_renewed_when_it_ends(
    cloud: Cloud, town: Town, wire: ManualClock
):
    async with provider("wechat", town, cloud) as desk:
        outcomes = await asyncio.gather(*(post(cloud, "wechat") for _ in range(4)))
        assert [one.state for one in outcomes] == ["sent"] * 4
        assert town.app.asked == [False]
        wire.pass_time(7200 - 200)  # near its end it is given up before WeChat does
        assert (await post(cloud, "wechat")).state == "sent"
        assert len(town.app.asked) == 2
        assert desk.refused == []


async def test_a_token_that_wechat_refuses_is_renewed_first_gently_then_by_force(
    cloud: Cloud, town: Town
):
    async with provider("wechat", town, cloud) as desk:
        assert (await post(cloud, "wechat")).state == "sent"
        town.app.end_token()  # somebody else asked by force
        assert (await post(cloud, "wechat")).state == "sent"
        assert town.app.asked == [False, False]
        desk.faults = ["bad_token", "bad_token"]  # the gentle one is no better
        assert (await post(cloud, "wechat")).state == "sent"
        assert town.app.asked[-1] is True
        desk.faults = ["bad_token"] * 3
        outcome = await post(cloud, "wechat")
        assert (outcome.state, outcome.code) == ("failed", "40001")


async def test_a_consent_is_good_for_one_message(cloud: Cloud, town: Town):
    town.app.consents["openid-1", "tmpl-ready"] = 1
    async with provider("wechat", town, cloud) as desk:
        assert (await post(cloud, "wechat")).state == "sent"
        outcome = await post(cloud, "wechat")
        assert (outcome.state, outcome.code) == ("failed", wechat.REFUSED)
        assert desk.messages[0]["lang"] == "zh_CN"


async def test_a_keyword_that_is_too_long_is_cut(cloud: Cloud, town: Town):
    long = replace(letter_for("wechat"), params=(("thing1", "很长" * 30),))
    async with provider("wechat", town, cloud) as desk:
        assert (await post(cloud, "wechat", long)).state == "sent"
        assert len(desk.messages[0]["data"]["thing1"]) == 20


async def test_a_login_code_says_who_it_is_once(cloud: Cloud, town: Town):
    credentials = wechat.WechatCredentials.model_validate(CREDENTIALS["wechat"])
    async with provider("wechat", town, cloud):
        town.app.codes["c1"] = "openid-7"
        assert await wechat.openid_of(cloud, credentials, "c1") == "openid-7"
        with pytest.raises(KaimenError, match="bad_code"):
            await wechat.openid_of(cloud, credentials, "c1")


# ------------------------------------------------------------------------------ mail and the rest


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_mail_goes_by_tls_alone_and_answers_are_read(
    security: str, cloud: Cloud, tmp_path: Path
):
    async with post_office(tmp_path, security) as office:
        cloud.settings.notice_private_hosts = True
        cloud.parts["notices.tls"] = office.trust
        given = {
            "host": "127.0.0.1",
            "port": office.port,
            "security": security,
            "username": "shop",
            "password": "right",
            "sender": "kaimen@example.com",
            "to": ["owner@example.com", "manager@example.com"],
        }

        async def send(**other: Any) -> Outcome:
            channel = CHANNELS["email"]
            return await channel.send(
                cloud, channel.credentials.model_validate(given | other), LETTER
            )

        assert (await send()).state == "sent"
        [envelope] = office.mails
        assert envelope.rcpt_tos == given["to"]
        mail = email.message_from_bytes(envelope.content)  # type: ignore[arg-type]
        assert mail["Message-ID"] == "<01JDELIVERY@example.com>"
        assert "竹间" in mail.get_payload(decode=True).decode()  # type: ignore[union-attr]
        office.answers = ["451 4.3.0 try again", "550 5.7.1 not wanted"]
        assert ((await send()).state, (await send()).state) == ("later", "failed")
        wrong = await send(password="wrong")
        assert (wrong.state, wrong.code) == ("failed", "535")
        del cloud.parts["notices.tls"]  # an unknown authority
        assert (await send()).state in {"failed", "later"}
        assert len(office.mails) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "10.0.0.5", "localhost", "::1"])
async def test_nobody_is_sent_into_the_house(host: str, cloud: Cloud):
    """A merchant must not make the server speak to what only the server can reach."""
    with pytest.raises(HostRefused):
        await public_address(cloud, host, 465)


async def test_apprise_reaches_its_service_and_a_private_host_only_where_that_is_meant(
    cloud: Cloud,
):
    got: list[dict[str, Any]] = []

    async def hook(request: Request) -> Response:
        got.append(await request.json())
        return JSONResponse({}, 200 if len(got) == 1 else 500)

    channel = CHANNELS["apprise"]
    async with serving(Starlette(routes=[Route("/hook", hook, methods=["POST"])])) as url:
        credentials = GenericCredentials(url=url.replace("http", "json") + "/hook")
        refused = await channel.send(cloud, credentials, LETTER)
        assert (refused.state, refused.code, got) == ("failed", "host_refused", [])
        cloud.settings.notice_private_hosts = True
        assert (await channel.send(cloud, credentials, LETTER)).state == "sent"
        assert got[0]["title"] == LETTER.title
        assert (await channel.send(cloud, credentials, LETTER)).state == "unknown"


async def test_apprise_is_led_into_the_house_neither_by_a_second_reading_nor_by_an_answer(
    cloud: Cloud,
):
    """Its own reading of an address counts, and an answer that sends it elsewhere is the end."""
    got: list[str] = []

    async def hook(request: Request) -> Response:
        got.append(request.url.path)
        return RedirectResponse("/inside", 307)

    routes = [Route("/hook", hook, methods=["POST"]), Route("/inside", hook, methods=["POST"])]
    channel = CHANNELS["apprise"]
    async with serving(Starlette(routes=routes)) as url:
        here = url.removeprefix("http://")
        two = GenericCredentials(url=f"json://u:p@{here}@203.0.114.9/hook")
        refused = await channel.send(cloud, two, LETTER)
        assert (refused.state, refused.code, got) == ("failed", "host_refused", [])
        cloud.settings.notice_private_hosts = True
        sent = await channel.send(cloud, GenericCredentials(url=f"json://{here}/hook"), LETTER)
        assert (sent.state, got) == ("unknown", ["/hook"])


@pytest.mark.parametrize(
    "url", ["syslog://localhost", "dbus://", "file:///etc/passwd", "json://", "mailto://a:b@c.de"]
)
def test_apprise_takes_only_what_is_listed(url: str):
    with pytest.raises(ValidationError):
        GenericCredentials(url=url)


def test_a_long_text_is_cut_between_characters():
    cut = robots.text_of(replace(LETTER, body="雀" * 2000), 2048)
    assert len(cut.encode()) <= 2048
    assert cut.endswith("雀…")


async def test_a_simulator_that_runs_alone_shows_what_it_took(cloud: Cloud, town: Town):
    from simulators.notices.__main__ import Kind, provider, with_messages
    from simulators.notices.desk import Desk

    desk = Desk(time=cloud.clocks.real.timestamp)  # the clock stands still here
    app = with_messages(provider(Kind.ROBOTS, desk, "demo-secret"), desk)
    async with serving(app) as url:
        town.urls["feishu"] = url
        asked = await cloud.http.post(f"{url}/faults", json=["rate_limit"])
        assert asked.json() == {"faults": ["rate_limit"]}
        for state in ("later", "sent"):
            outcome = await post(cloud, "feishu", hook="demo-secret", secret="demo-secret")
            assert outcome.state == state
        shown = (await cloud.http.get(f"{url}/messages")).json()
        assert len(shown["messages"]) == 1
