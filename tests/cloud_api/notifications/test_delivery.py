"""From an event to inboxes and deliveries: who, in which words, when, how often, and what is repeated."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from cloud_api.auth.models import Account
from cloud_api.kit import due_jobs
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import FeedEntry
from cloud_api.kit.notices import notify
from cloud_api.notifications import texts
from cloud_api.notifications.channels import CHANNELS
from cloud_api.notifications.channels.base import Letter, Outcome, failed, later, sent, unknown
from cloud_api.notifications.models import (
    Delivery,
    Notice,
    NoticeChannel,
    NoticeRule,
    NoticeTemplate,
    WechatConsent,
)
from cloud_api.notifications.quiet import next_loud
from cloud_api.notifications.transitions import move
from cloud_api.orders.transitions import change
from cloud_api.worker import register_jobs
from store_link.clock import ManualClock
from tests.cloud_api.factories import Shop, make_customer, make_order, make_staff
from tests.cloud_api.notifications.providers import CREDENTIALS


@dataclass
class Scene:
    cloud: Cloud
    shop: Shop
    guest: Account
    wire: ManualClock
    business: ManualClock
    outcomes: list[Outcome] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)

    async def channel(self, kind: str, **other: Any) -> str:
        values = {"credentials": json.dumps(CREDENTIALS.get(kind, {})), "name": kind} | other
        made = NoticeChannel(
            merchant_id=self.shop.merchant.id,
            kind=kind,
            created_at=self.cloud.clocks.real,
            **values,
        )
        async with self.cloud.db.write() as session:
            session.add(made)
        return made.id

    async def own(self, event: str, channel: str, **words: Any) -> None:
        async with self.cloud.db.write() as session:
            session.add(
                NoticeTemplate(
                    merchant_id=self.shop.merchant.id,
                    event=event,
                    channel=channel,
                    updated_at=self.cloud.clocks.real,
                    **words,
                )
            )

    async def tell(
        self, event: str = "order.ready", to: str = "", key: str = "k", **data: Any
    ) -> None:
        async with self.cloud.db.write() as session:
            await notify(
                session,
                merchant_id=self.shop.merchant.id,
                store_id=self.shop.store.id,
                event=event,
                to=to or f"account:{self.guest.id}",
                subject="order:o1",
                data={
                    "room_id": self.shop.room.id,
                    "starts_at": "2026-11-23T06:00:00+00:00",
                    "ends_at": "2026-11-23T08:00:00+00:00",
                    "amount_fen": 7600,
                    "number": "2611231200",
                }
                | data,
                key=key,
                at=self.cloud.clocks.now,
            )
        await self.quiet()

    async def quiet(self) -> None:
        while await due_jobs.run_due(self.cloud):
            pass

    async def passes(self, seconds: float) -> None:
        self.wire.pass_time(seconds)
        self.business.pass_time(seconds)
        await self.quiet()

    async def notices(self) -> list[Notice]:
        async with self.cloud.db.read() as session:
            return list((await session.exec(select(Notice).order_by(col(Notice.id)))).all())

    async def log(self) -> list[tuple[str, str, str | None, int]]:
        async with self.cloud.db.read() as session:
            found = await session.exec(select(Delivery).order_by(col(Delivery.id)))
            return [(one.kind, one.state, one.code, one.attempts) for one in found.all()]


@pytest.fixture
async def scene(
    cloud: Cloud,
    shop: Shop,
    wire: ManualClock,
    business: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    register_jobs()
    async with cloud.db.write() as session:
        guest = await make_customer(session, cloud.clocks.now)
    made = Scene(cloud, shop, guest, wire, business)

    async def send(_cloud: Cloud, _credentials: Any, letter: Letter) -> Outcome:
        made.letters.append(letter)
        return made.outcomes.pop(0) if made.outcomes else sent("p1")

    for kind, channel in CHANNELS.items():
        if kind != "speaker":
            monkeypatch.setattr(channel, "send", send)
    return made


async def test_a_person_finds_it_in_the_inbox_once_and_pages_hear_of_it(scene: Scene):
    await scene.tell()
    await scene.tell()
    [notice] = await scene.notices()
    assert notice.title == "预订好了"
    assert notice.body == (
        "雀友会·静安店 竹间，11月23日 14:00 到 11月23日 16:00。到店扫门口的码开门。"
    )
    assert (notice.account_id, notice.audience) == (scene.guest.id, "customer")
    assert await scene.log() == []  # no channel, no delivery
    async with scene.cloud.db.read() as session:
        lines = await session.exec(select(FeedEntry).where(col(FeedEntry.topic) == "notice"))
        assert [line.account_id for line in lines.all()] == [scene.guest.id]


async def test_each_reads_it_in_their_own_language(scene: Scene, monkeypatch):
    monkeypatch.setattr(texts, "in_language", lambda text, lang: f"[{lang}] {text}")
    async with scene.cloud.db.write() as session:
        guest = await session.get_one(Account, scene.guest.id)
        guest.locale = "en"
        session.add(guest)
    await scene.own("order.ready", "*", language="en", title="Booked", body="{room}, {starts_at}")
    await scene.tell()
    [notice] = await scene.notices()
    assert (notice.title, notice.body) == ("Booked", "竹间, Nov 23 14:00")


async def test_staff_with_the_permission_and_their_groups_hear_of_it(scene: Scene):
    async with scene.cloud.db.write() as session:
        now = scene.cloud.clocks.now
        owner = await make_staff(session, scene.shop, now)
        await make_staff(session, scene.shop, now, role="cleaner")
        await make_staff(session, scene.shop, now, store_ids=["elsewhere"])
    await scene.channel("wecom")
    await scene.channel("dingtalk", enabled=False)
    await scene.tell("order.new", "staff:order.read")
    notices = await scene.notices()
    assert [one.account_id for one in notices] == [owner.account_id, None]
    assert await scene.log() == [("wecom", "sent", None, 1)]
    assert scene.letters[0].body == "雀友会·静安店 竹间，11月23日 14:00 到 11月23日 16:00，¥76。"


async def test_a_text_message_needs_the_providers_template_and_takes_its_parameters(scene: Scene):
    await scene.channel("sms_tencent")
    await scene.tell(key="1")
    assert await scene.log() == [("sms_tencent", "skipped", "no_template", 0)]
    await scene.own(
        "order.ready",
        "sms_tencent",
        provider_template="1110",
        provider_params=[["1", "{room}"], ["2", "{starts_at}"]],
    )
    await scene.tell(key="2")
    [letter] = scene.letters
    assert (letter.template, letter.address) == ("1110", scene.guest.phone)
    assert letter.params == (("1", "竹间"), ("2", "11月23日 14:00"))
    async with scene.cloud.db.read() as session:
        last = (await session.exec(select(Delivery).where(col(Delivery.state) == "sent"))).one()
    assert (last.recipient, last.provider_ref) == (f"尾号 {scene.guest.phone_tail}", "p1")


async def test_two_providers_of_text_messages_send_one(scene: Scene):
    await scene.channel("sms_gateway")
    await scene.channel("sms_aliyun")
    await scene.own("order.ready", "sms_aliyun", provider_template="SMS_1")
    await scene.tell()
    assert await scene.log() == [("sms_aliyun", "sent", None, 1)]


async def test_what_was_not_taken_is_tried_again_until_it_is(scene: Scene):
    await scene.channel("wecom")
    scene.outcomes = [later("45009", after_s=60), later("http_503"), sent()]
    await scene.tell("order.new", "staff:order.read")
    assert await scene.log() == [("wecom", "retrying", "45009", 1)]
    await scene.passes(59)
    assert len(scene.letters) == 1
    await scene.passes(1)
    assert await scene.log() == [("wecom", "retrying", "http_503", 2)]
    await scene.passes(30)
    assert await scene.log() == [("wecom", "sent", None, 3)]
    assert len({letter.ref for letter in scene.letters}) == 1


async def test_a_final_no_is_final_and_a_passing_one_not_for_ever(scene: Scene):
    await scene.channel("wecom")
    scene.outcomes = [failed("93000", "invalid webhook url")]
    await scene.tell("order.new", "staff:order.read", key="1")
    await scene.passes(7200)
    assert await scene.log() == [("wecom", "failed", "93000", 1)]
    scene.outcomes = [later("busy")] * 20
    await scene.tell("order.new", "staff:order.read", key="2")
    for _ in range(12):
        await scene.passes(7200)
    assert (await scene.log())[1] == ("wecom", "failed", "busy", 8)


async def test_a_text_message_of_unknown_fate_is_not_sent_twice_but_an_alarm_is(scene: Scene):
    """A time-out after the provider took it: a second SMS costs money, a lost alarm costs more."""
    await scene.channel("sms_aliyun")
    await scene.own("order.ready", "sms_aliyun", provider_template="SMS_1")
    scene.outcomes = [unknown("no_answer")]
    await scene.tell()
    await scene.passes(7200)
    assert await scene.log() == [("sms_aliyun", "unknown", "no_answer", 1)]
    await scene.channel("wecom")
    scene.outcomes = [unknown("no_answer"), sent()]
    await scene.tell("alarm.raised", "staff:alarm.handle", alarm="门店断网")
    await scene.passes(5)
    assert (await scene.log())[1] == ("wecom", "sent", None, 2)


async def test_the_own_gateway_sends_a_ref_once_so_it_is_asked_again(scene: Scene):
    await scene.channel("sms_gateway")
    scene.outcomes = [unknown("no_answer"), sent()]
    await scene.tell()
    await scene.passes(5)
    assert await scene.log() == [("sms_gateway", "sent", None, 2)]


async def test_a_crash_during_the_call_is_an_unknown_fate(scene: Scene):
    """The process died between the call and the writing down of its outcome."""
    await scene.channel("sms_aliyun")
    await scene.own("order.ready", "sms_aliyun", provider_template="SMS_1")
    scene.outcomes = [later("busy")]
    await scene.tell()
    async with scene.cloud.db.write() as session:
        delivery = (await session.exec(select(Delivery))).one()
        assert await move(session, delivery, "sending")
    await scene.passes(10)
    assert await scene.log() == [("sms_aliyun", "unknown", "interrupted", 1)]
    assert len(scene.letters) == 1


async def test_at_night_what_can_wait_waits_and_alarms_do_not(scene: Scene):
    await scene.channel("wecom")
    await scene.passes(11 * 3600)  # 23:00 in Shanghai
    await scene.tell("order.new", "staff:order.read")
    assert await scene.log() == [("wecom", "waiting", None, 0)]
    await scene.tell("alarm.raised", "staff:alarm.handle", alarm="门店断网")
    assert (await scene.log())[1] == ("wecom", "sent", None, 1)
    await scene.passes(9 * 3600 - 1)
    assert (await scene.log())[0][1] == "waiting"
    await scene.passes(1)  # 08:00
    assert (await scene.log())[0] == ("wecom", "sent", None, 1)


@pytest.mark.parametrize(
    ("local", "loud"),
    [
        ("23:30", "08:00+1"),
        ("03:00", "08:00"),
        ("07:59", "08:00"),
        ("08:00", "08:00"),
        ("22:29", "22:29"),
        ("22:30", "08:00+1"),
    ],
)
def test_quiet_hours_over_midnight(local: str, loud: str):
    clock = time.fromisoformat(local)
    at = datetime(2026, 11, 23, clock.hour, clock.minute, tzinfo=UTC) - timedelta(hours=8)
    want = time.fromisoformat(loud[:5])
    day = 24 if loud.endswith("+1") else 23
    wanted = datetime(2026, 11, day, want.hour, want.minute, tzinfo=UTC) - timedelta(hours=8)
    assert next_loud(at, "22:30", "08:00", "Asia/Shanghai") == wanted
    assert next_loud(at, None, None, "Asia/Shanghai") == at


async def test_too_many_in_an_hour_stay_in_the_inbox(scene: Scene):
    await scene.channel("sms_gateway")
    for number in range(8):
        await scene.tell(key=str(number))
    states = [state for _, state, _, _ in await scene.log()]
    assert states == ["sent"] * 6 + ["skipped"] * 2
    assert len(await scene.notices()) == 8
    await scene.passes(3601)
    await scene.tell(key="later")
    assert (await scene.log())[-1][1] == "sent"


async def test_a_reminder_is_void_when_the_order_changed(scene: Scene):
    now = scene.cloud.clocks.now
    async with scene.cloud.db.write() as session:
        order = await make_order(
            session, scene.shop, scene.guest, now + timedelta(hours=1), now=now
        )

    async def remind(key: str) -> None:
        async with scene.cloud.db.write() as session:
            await notify(
                session,
                merchant_id=order.merchant_id,
                store_id=order.store_id,
                event="order.ending_soon",
                to=f"account:{scene.guest.id}",
                subject=f"order:{order.id}",
                data={
                    "room_id": order.room_id,
                    "minutes": 15,
                    "ends_at": order.ends_at.isoformat(),
                },
                key=key,
                at=order.ends_at - timedelta(minutes=15),
            )

    await remind("first")
    async with scene.cloud.db.write() as session:
        mine = await session.get_one(type(order), order.id)
        await change(session, mine, ends_at=mine.ends_at + timedelta(hours=1))
        order = mine
    await remind("second")
    await scene.passes(3 * 3600)
    assert await scene.notices() == []
    await scene.passes(3600)
    [notice] = await scene.notices()
    assert notice.title == "还有 15 分钟"


async def test_a_merchant_switches_an_event_off_or_chooses_its_channels(scene: Scene):
    await scene.channel("wecom")
    await scene.channel("feishu")
    rule = NoticeRule(
        merchant_id=scene.shop.merchant.id,
        event="order.new",
        channels=["feishu"],
        updated_at=scene.cloud.clocks.real,
    )
    async with scene.cloud.db.write() as session:
        session.add(rule)
    await scene.tell("order.new", "staff:order.read", key="1")
    assert [kind for kind, *_ in await scene.log()] == ["feishu"]
    async with scene.cloud.db.write() as session:
        rule.enabled = False
        session.add(await session.merge(rule))
    await scene.tell("order.new", "staff:order.read", key="2")
    assert len(await scene.notices()) == 1


async def consent(scene: Scene, count: int = 1) -> None:
    async with scene.cloud.db.write() as session:
        for _ in range(count):
            session.add(
                WechatConsent(
                    id=new_id(),
                    merchant_id=scene.shop.merchant.id,
                    account_id=scene.guest.id,
                    appid="wx",
                    openid="openid-1",
                    template_id="tmpl-ready",
                    created_at=scene.cloud.clocks.real,
                )
            )


async def free(scene: Scene) -> int:
    async with scene.cloud.db.read() as session:
        rows = (await session.exec(select(WechatConsent))).all()
    return sum(row.used_at is None for row in rows)


async def test_one_consent_is_one_message(scene: Scene):
    await scene.channel("wechat")
    await scene.own(
        "order.ready",
        "wechat",
        provider_template="tmpl-ready",
        provider_params=[["thing1", "{room}"]],
    )
    await scene.tell(key="nobody asked")
    assert await scene.log() == [("wechat", "skipped", "no_address", 0)]
    await consent(scene)
    scene.outcomes = [later("45011"), sent("m1")]
    await scene.tell(key="1")
    assert await free(scene) == 0
    await scene.passes(5)
    assert (await scene.log())[1] == ("wechat", "sent", None, 2)
    assert {letter.address for letter in scene.letters} == {"openid-1"}
    await scene.tell(key="2")
    assert (await scene.log())[2][:3] == ("wechat", "skipped", "no_address")


async def test_a_consent_comes_back_only_if_wechat_took_nothing(scene: Scene):
    await scene.channel("wechat")
    await scene.own("order.ready", "wechat", provider_template="tmpl-ready")
    await consent(scene, 2)
    scene.outcomes = [failed("47003"), failed("43101")]
    await scene.tell(key="1")
    assert await free(scene) == 2
    await scene.tell(key="2")
    assert await free(scene) == 1  # WeChat says there was no consent: then there is none


def test_a_template_may_only_name_what_the_event_has():
    texts.check("order.ready", "{room} {starts_at}", "body")
    for bad in ("{amount}", "{room.__class__}", "{}", "{room!r}"):
        with pytest.raises(KaimenError, match=r"template\.variable") as caught:
            texts.check("order.ready", f"好 {bad}", "body")
        assert caught.value.field == "body"
    assert texts.fill("{room} {nothing}!", {"room": "{room}"}) == "{room} !"


def test_our_own_words_name_only_what_there_is():
    for text in texts.TEXTS.values():
        texts.check(text.event, text.title, "title")
        texts.check(text.event, text.body, "body")
        assert set(text.variables) <= set(texts.VARIABLES)
