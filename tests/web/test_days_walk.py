"""Days of the people of a house, in a browser: a room cleaned, a store set up, two members one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from sqlmodel import col, select

from cloud_api.cleaning import rules, service
from cloud_api.cleaning.models import CleaningTask
from cloud_api.cleaning.schemas import RuleIn
from cloud_api.devices.models import DeviceCommand
from cloud_api.members.models import MemberProfile
from cloud_api.orders import guests
from cloud_api.orders.models import Order
from cloud_api.staff.models import StaffMember
from cloud_api.staff.service import actor_of
from tests.web.test_people_walk import sitting
from tests.web.town import Visitor, running_town

pytestmark = pytest.mark.xdist_group("days-walk")  # they share a running site


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("days-walk")) as running:
        yield running


def test_a_cleaner_takes_a_room_opens_its_door_and_hands_it_in_and_it_is_paid(
    browser: Browser, town: Visitor
) -> None:
    site, shop = town.site, town.site.shop

    async def want(session):
        owner = (
            await session.exec(select(StaffMember).where(col(StaffMember.role) == "owner"))
        ).one()
        who, clocks = actor_of(owner), site.cloud.clocks
        rule = RuleIn(pay_fen=2500, check_done=True)
        await rules.set_rule(session, who, shop.store.id, rule, clocks)
        return (
            await service.by_hand(session, who, shop.rooms[2].id, "地毯洒了茶", None, clocks)
        ).id

    task_id = site.write(want)
    with (
        sitting(browser, town, town.town.tokens["cleaner"], phone=True) as phone,
        sitting(browser, town, town.town.tokens["owner"]) as desk,
    ):
        desk.goto(f"{site.url}/console/cleaning")
        phone.goto(f"{site.url}/console/cleaning")
        phone.get_by_role("link", name="听雨").click()
        phone.get_by_role("button", name="我来打扫").click()
        phone.get_by_role("button", name="开听雨门").click()
        expect(phone.locator("[data-answer]").filter(has_text="已送到门店").first).to_be_visible()

        async def asked(session):
            query = select(DeviceCommand.why).where(col(DeviceCommand.target) == shop.doors[2].id)
            return list((await session.exec(query)).all())

        phone.goto(f"{site.url}/console/cleaning/tasks/{task_id}")
        if phone.get_by_role("button", name="门开着，直接开始").is_visible():
            phone.get_by_role("button", name="门开着，直接开始").click()
        phone.get_by_role("button", name="打扫好了").click()
        expect(phone.get_by_text("等验收").first).to_be_visible()
        assert site.write(asked) in ([], ["保洁任务"])
        column = desk.locator(".board-col").filter(has_text="待验")
        expect(column.get_by_role("link", name="听雨")).to_be_visible()  # by itself
        column.get_by_role("link", name="听雨").click()
        desk.get_by_role("button", name="通过").first.click()
        desk.get_by_role("dialog").get_by_role("button", name="通过").click()
        expect(desk.get_by_text("验收好了")).to_be_visible()
        phone.goto(f"{site.url}/console/cleaning/sheet")
        expect(phone.get_by_text("¥25").first).to_be_visible()

    async def state(session):
        return (await session.get_one(CleaningTask, task_id)).state

    assert site.write(state) == "done"


def test_an_owner_takes_a_new_store_from_nothing_along_the_path(
    browser: Browser, town: Visitor
) -> None:
    site = town.site
    with sitting(browser, town, town.town.tokens["owner"]) as page:
        page.goto(f"{site.url}/console/opening")
        page.get_by_label("店名").fill("雀友会·长宁店")
        page.get_by_label("地址").fill("长宁路 1 号")
        page.get_by_label("电话").fill("02155550000")
        page.get_by_role("button", name="新建门店").click()
        expect(page.get_by_role("heading", name=re.compile("长宁店还差 5 步"))).to_be_visible()
        page.get_by_role("link", name="加包间").first.click()
        page.get_by_label("房名").first.fill("兰间")
        with page.expect_navigation(url=re.compile("/console/house/rooms/")):
            page.locator("form[data-room] [type=submit]").click()
        page.goto(f"{site.url}/console/opening")
        page.get_by_role("link", name="雀友会·长宁店").click()
        expect(page.get_by_text("还没有板子")).to_be_visible()
        page.get_by_role("button", name="要一个接入码").click()
        expect(page.locator("[data-code]")).not_to_be_empty()
        assert page.locator("[data-code]").inner_text() not in page.url
        page.get_by_role("link", name="去接线").click()
        page.get_by_label("型号").select_option(value="waveshare.modbus-rtu-relay-8ch")
        page.get_by_label("叫什么").first.fill("一号板")
        page.get_by_role("button", name="加板子").click()
        expect(page.get_by_role("heading", name="一号板")).to_be_visible()
        for use, name, role in (
            ("switch.set:1", "麻将机", "table"),
            ("lock.pulse:2", "门锁", "lock"),
        ):
            page.get_by_text("接一路").first.click()
            form = page.locator("form[data-wire]").first
            form.get_by_label("哪一路，做什么").select_option(value=use)
            form.get_by_label("叫什么").fill(name)
            form.get_by_label("当什么用").select_option(value=role)
            form.get_by_label("兰间").check(force=True)
            with page.expect_navigation():
                form.get_by_role("button", name="接上").click()
            expect(page.get_by_text(name, exact=True).first).to_be_visible()
        door = page.locator("form").filter(has=page.get_by_role("button", name="加一扇门"))
        door.get_by_label("叫什么").fill("兰间门")
        door.get_by_label("兰间").check(force=True)
        door.get_by_label("哪把锁").select_option(label="门锁")
        with page.expect_navigation():
            door.get_by_role("button", name="加一扇门").click()
        page.get_by_role("link", name="回到开店").click()
        expect(page.get_by_text("兰间还没有价格")).to_be_visible()
        expect(
            page.get_by_role("heading", name=re.compile("还差 2 步"))
        ).to_be_visible()  # price, controller
        expect(page.get_by_role("link", name="打印门贴")).to_be_visible()


def test_two_numbers_of_one_guest_become_one_member(browser: Browser, town: Visitor) -> None:
    site, made = town.site, town.town

    async def count(session):
        for account in (made.guest, made.stranger):
            await guests.count(session, site.shop.merchant.id, account.id, site.cloud.clocks)

    site.write(count)
    with sitting(browser, town, made.tokens["owner"]) as page:
        page.goto(f"{site.url}/console/members")
        page.get_by_role("link", name="尾号 4321").click()
        page.get_by_label("怎么称呼").fill("小李")
        page.get_by_label("标签").fill("常客，打牌")
        page.get_by_role("button", name="保存").click()
        expect(page.get_by_role("heading", name="小李 · 尾号 4321")).to_be_visible()
        page.get_by_placeholder("新号的手机号或尾号").fill("5678")
        page.get_by_role("button", name="找", exact=True).click()
        page.get_by_role("link", name="并到这一个").click()
        page.get_by_role("button", name="合并，不能撤回").click()
        sheet = page.locator("#sheet-merge")
        sheet.get_by_role("button", name="换了手机号").click()
        sheet.get_by_label("要并掉的手机号后四位").fill("0000")
        sheet.get_by_role("button", name="合并").click()
        expect(sheet.locator("[data-error-for=confirm]")).not_to_be_empty()
        sheet.get_by_label("要并掉的手机号后四位").fill("4321")
        sheet.get_by_role("button", name="合并").click()
        expect(page.get_by_role("heading", name="小李 · 尾号 5678")).to_be_visible()
        expect(page.get_by_text("尾号 4321 已并到这里")).to_be_visible()
        page.goto(f"{site.url}/console/members?q=4321")
        expect(page.get_by_text("没有符合这些条件的")).to_be_visible()

    async def left(session):
        old = col(Order.account_id) == made.stranger.id
        profile = col(MemberProfile.account_id) == made.stranger.id
        orders = (await session.exec(select(Order).where(old))).all()
        return len(orders), (
            await session.exec(select(MemberProfile).where(profile))
        ).one().merged_into

    assert site.write(left) == (0, made.guest.id)
