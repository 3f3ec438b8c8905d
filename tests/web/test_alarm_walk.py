"""Alarms, their rules, the words of notices and a channel, in a browser on the real cloud."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from sqlmodel import col, select

from cloud_api.alarms.models import Alarm, AlarmRule
from cloud_api.devices.models import Binding, StoreStatus
from cloud_api.kit.actor import System, scoped
from cloud_api.notifications.models import NoticeChannel, NoticeTemplate
from cloud_api.store_channel.status import take_reported
from store_link.reports import Reported
from tests.web.test_console_walk import console, site, town  # noqa: F401  fixtures
from tests.web.town import Visitor


@pytest.fixture(scope="module")
def smoke(town: Visitor) -> Binding:  # noqa: F811
    """A smoke detector in 竹间."""
    shop = town.site.shop
    made = Binding(
        merchant_id=shop.merchant.id,
        store_id=shop.store.id,
        board_id=shop.boards[0].id,
        name="烟感",
        capability="hazard",
        role="smoke",
        rooms=[shop.room.id],
        created_at=town.site.now,
    )

    async def add(session: object) -> None:
        session.add(made)  # type: ignore[attr-defined]

    town.site.write(add)
    return made


def report(town: Visitor, detector: Binding, smoke: bool) -> None:  # noqa: F811
    """The store says what its detector sees, as any other report."""
    cloud, shop = town.site.cloud, town.site.shop

    async def say() -> None:
        query = scoped(System(), StoreStatus).where(col(StoreStatus.store_id) == shop.store.id)
        async with cloud.db.read() as session:
            said = dict((await session.exec(query)).one().reported or {})
        at = round(cloud.clocks.real.timestamp() * 1000)
        seen = {"value": smoke, "quality": "ok", "at": at}
        said |= {"sent_at": at, "values": said["values"] | {detector.id: seen}}
        await take_reported(cloud, shop.merchant.id, Reported.model_validate(said), retained=False)

    town.site.run(say())


def alarm(town: Visitor) -> Alarm:  # noqa: F811
    async def found() -> Alarm:
        async with town.site.cloud.db.read() as session:
            query = scoped(System(), Alarm).where(col(Alarm.kind) == "hazard.input")
            return (await session.exec(query)).one()

    return town.site.run(found())


def test_an_alarm_comes_is_taken_up_and_ends_by_itself(
    console: Page,  # noqa: F811
    town: Visitor,  # noqa: F811
    smoke: Binding,
):
    console.goto(f"{town.site.url}/console/alarms")
    console.evaluate("window.marked = true")
    expect(console.get_by_text("没有要处理的")).to_be_visible()
    bell = console.get_by_role("link", name="1 件要处理")
    expect(bell).to_have_count(0)
    report(town, smoke, smoke=True)
    row = console.locator("tr").filter(has_text="烟感或火警")
    expect(row).to_contain_text("紧急 · 待处理")
    expect(row).to_contain_text("竹间")
    expect(bell).to_be_visible()
    row.get_by_role("button", name="我来处理").click()
    console.get_by_role("dialog").get_by_role("button", name="我来处理").click()
    expect(row).to_contain_text("处理中")
    expect(row).to_contain_text("你在处理")
    expect(bell).to_have_count(0)
    assert (alarm(town).state, alarm(town).resolved_by) == ("acknowledged", None)
    report(town, smoke, smoke=False)
    expect(console.get_by_text("没有要处理的")).to_be_visible()
    assert console.evaluate("window.marked") is True  # nobody reloaded the page
    assert (alarm(town).state, alarm(town).resolved_by) == ("resolved", "signal")
    console.locator("label.lf-chip").filter(has_text="已解决").click()
    expect(row).to_contain_text("已解决")


def test_a_rule_is_refused_at_its_field_kept_and_taken_back(console: Page, town: Visitor):  # noqa: F811
    async def rules() -> list[AlarmRule]:
        async with town.site.cloud.db.read() as session:
            return list((await session.exec(scoped(System(), AlarmRule))).all())

    console.goto(f"{town.site.url}/console/alarms")
    console.get_by_role("link", name="告警规则").click()
    console.get_by_role("link", name="用电超过上限").click()
    limit = console.get_by_label("用电超过多少瓦算超")
    limit.fill("")
    console.get_by_role("button", name="保存").click()
    expect(console.locator("#e-threshold")).to_have_text("这一项要填")
    assert town.site.run(rules()) == []
    limit.fill("2800")
    console.get_by_label("持续多久算告警").select_option(label="3 分钟")
    later = console.get_by_role("group", name="还没人处理，再告诉").first
    later.get_by_label("谁").select_option(label="店主")
    later.get_by_label("几分钟以后").fill("15")
    later.locator("label").filter(has_text="短信").click()
    console.get_by_role("button", name="保存").click()
    row = console.locator("tr").filter(has_text="用电超过上限")
    expect(row).to_contain_text("持续 3 分钟 · 2800 W")
    expect(row).to_contain_text("15 分钟没人处理：店主（短信）")
    (kept,) = town.site.run(rules())
    assert kept.steps[1] == {"after_min": 15, "to": "role:owner", "channels": ["sms"]}
    assert kept.steps[2] == {"after_min": 30, "to": "role:owner", "channels": None}
    row.get_by_role("link").click()
    console.get_by_role("button", name="用回默认的").click()
    console.get_by_role("dialog").get_by_role("button", name="用回默认的").click()
    expect(row).to_contain_text("持续 10 秒 · 3500 W")
    expect(row).not_to_contain_text("改过")


def test_words_are_tried_refused_kept_and_taken_back(console: Page, town: Visitor):  # noqa: F811
    async def own() -> list[NoticeTemplate]:
        async with town.site.cloud.db.read() as session:
            return list((await session.exec(select(NoticeTemplate))).all())

    console.goto(f"{town.site.url}/console/notifications/templates")
    row = console.locator("tr").filter(has_text="预订确认")
    row.get_by_role("link", name="所有渠道").click()
    body = console.get_by_label("内容")
    shown = console.locator("[data-preview-body]")
    body.fill("到了找 ")
    console.get_by_role("button", name="包间名").click()
    expect(body).to_have_value("到了找 {room}")
    expect(shown).to_have_text("到了找 竹间")
    body.fill("到了找 {roomm}")
    expect(console.locator("#e-body")).to_contain_text("这里没有变量 {roomm}")
    expect(shown).to_have_text("到了找 竹间")
    save = console.locator("form[data-words]").get_by_role("button", name="保存")
    save.click()
    expect(console.locator("#e-body")).to_contain_text("这里没有变量 {roomm}")
    assert town.site.run(own()) == []
    body.fill("到了找 {room}，{phone}")
    expect(console.locator("#e-body")).to_have_text("")
    save.click()
    expect(row.get_by_role("link", name="所有渠道 改过")).to_be_visible()
    assert [one.body for one in town.site.run(own())] == ["到了找 {room}，{phone}"]
    row.get_by_role("link", name="所有渠道").click()
    console.get_by_role("button", name="用回默认的话").click()
    console.get_by_role("dialog").get_by_role("button", name="用回默认的话").click()
    expect(row.get_by_role("link", name="所有渠道", exact=True)).to_be_visible()
    assert town.site.run(own()) == []


def test_a_channel_is_kept_with_its_secret_unseen(console: Page, town: Visitor):  # noqa: F811
    console.goto(f"{town.site.url}/console/notifications")
    console.get_by_role("link", name="企业微信群机器人").click()
    console.get_by_label("叫什么").fill("店长群")
    key = console.locator("input[type=password]")
    key.fill("not a key")
    console.get_by_role("button", name="保存").click()
    expect(console.locator(".error").filter(has_text="没填或者不对")).to_be_visible()
    key.fill("693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa")
    console.get_by_role("button", name="保存").click()
    expect(console.locator("tr").filter(has_text="店长群")).to_contain_text("还没试过")
    assert "693a91f6" not in console.content()

    async def kept() -> NoticeChannel:
        async with town.site.cloud.db.read() as session:
            return (await session.exec(select(NoticeChannel))).one()

    assert town.site.run(kept()).kind == "wecom"
    console.get_by_role("link", name=re.compile("^改$")).click()
    expect(console.get_by_text("已经存好了，要换才填")).to_be_visible()
    assert key.input_value() == ""
