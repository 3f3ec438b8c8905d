"""Days of the people of a house, in a browser: bookings moved, a room cleaned, a store set up, two members one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Route, expect
from sqlmodel import col, select

from cloud_api.cleaning import rules, service
from cloud_api.cleaning.models import CleaningTask
from cloud_api.cleaning.schemas import RuleIn
from cloud_api.devices.models import DeviceCommand
from cloud_api.members.models import MemberProfile
from cloud_api.orders import change_service, guests
from cloud_api.orders.models import Order, OrderLine
from cloud_api.staff.models import StaffMember
from cloud_api.staff.service import actor_of
from cloud_api.web.console.day import running_day
from tests.cloud_api.factories import make_login, make_order, make_staff
from tests.web.test_people_walk import sitting
from tests.web.town import Visitor, running_town

pytestmark = pytest.mark.xdist_group("days-walk")  # they share a running site


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("days-walk")) as running:
        yield running


def test_a_night_belongs_to_the_evening_that_it_began_in():
    """Bug: at nine past midnight, with a guest inside until 01:50, the timeline's today was empty: it began at
    six in the morning that was to come.
    """
    days = {"27T06:00": 27, "27T23:59": 27, "28T00:09": 27, "28T05:59": 27, "28T06:00": 28}
    for at, day in days.items():
        now = datetime.fromisoformat(f"2026-11-{at}:00+08:00")
        assert running_day(now) == date(2026, 11, day), at


HEARS = """document.addEventListener('km:event', (event) => {
  document.body.dataset.heard = `${document.body.dataset.heard ?? ''} ${event.detail.topics}`;
})"""


def earlier(town: Visitor, order_id: str) -> None:
    """Somebody else at the house moves a booking to two hours before, for nothing."""

    async def owner(session):
        query = select(StaffMember).where(col(StaffMember.role) == "owner")
        order = await session.get_one(Order, order_id)
        return actor_of((await session.exec(query)).one()), order.starts_at - timedelta(hours=2)

    who, starts = town.site.write(owner)
    act = change_service.move(town.site.cloud, who, order_id, None, starts, None)
    made = asyncio.run_coroutine_threadsafe(act, town.site.loop).result(30)
    assert made.state == "applied"


def test_a_booking_is_moved_by_hand_and_by_keys_and_put_back(
    browser: Browser, town: Visitor
) -> None:
    """Each click on the day threw: its rows' ``data-step`` was taken for a thermostat's button."""
    site, plum = town.site, town.site.shop.rooms[1]
    three = site.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=3)  # 15:00

    async def book(session):
        made = await make_order(session, site.shop, town.town.guest, three, room=plum, now=site.now)
        line = {"minutes": 120, "hourly_fen": 3800}
        own = {"merchant_id": made.merchant_id, "store_id": made.store_id, "order_id": made.id}
        price = OrderLine(position=0, text="平日", amount_fen=made.total_fen, detail=line, **own)
        session.add(price)
        return made.id

    order_id = site.write(book)

    def now_at() -> tuple[str, int]:
        async def look(session):
            order = await session.get_one(Order, order_id)
            rooms = {room.id: room.name for room in site.shop.rooms}
            return rooms[order.room_id], (order.starts_at.hour + 8) % 24

        found: tuple[str, int] = site.write(look)
        return found

    with sitting(browser, town, town.town.tokens["owner"]) as page:
        page.goto(f"{site.url}/console/timeline")
        bar, sheet = page.locator(f'[data-movable="{order_id}"]'), page.locator("#sheet-move")
        said = page.locator("[data-day-said]")
        row = page.locator(f'[data-row-room="{plum.id}"]')
        expect(bar).to_be_visible()
        row.locator(".day-name").click()  # of no meaning, and of no harm
        track, box = row.locator(".day-track").bounding_box(), bar.bounding_box()
        assert track is not None
        assert box is not None
        page.mouse.move(box["x"] + 20, box["y"] + 10)
        page.mouse.down()
        page.mouse.move(box["x"] + 20 - track["width"] / 24, box["y"] + 10, steps=6)
        expect(said).to_have_text("梅间 14:00–16:00")
        page.mouse.up()
        expect(sheet.get_by_role("heading")).to_have_text("移到梅间 14:00–16:00")
        expect(sheet.get_by_text("价钱不变")).to_be_visible()
        sheet.get_by_role("button", name="改过去").click()
        expect(page.get_by_text("改好了")).to_be_visible()
        assert now_at() == ("梅间", 14)
        page.get_by_role("button", name="撤销").click()
        expect(page.get_by_text("放回去了")).to_be_visible()
        assert now_at() == ("梅间", 15)
        expect(bar).to_have_attribute("aria-label", re.compile("15:00–17:00"))
        # By keys: taken up and put back, then moved. What happens meanwhile is seen once it is put down.
        bar.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowRight")
        expect(said).to_have_text("梅间 15:30–17:30")

        page.evaluate(HEARS)
        earlier(town, town.town.order("ready"))
        heard = re.compile(f"order:{town.town.order('ready')}")
        expect(page.locator("body")).to_have_attribute("data-heard", heard)
        expect(bar).to_have_class(re.compile("is-lifted"))
        page.keyboard.press("Escape")
        expect(bar).to_be_focused()
        other = page.locator(f'[data-movable="{town.town.order("ready")}"]')
        expect(other).to_have_attribute("aria-label", re.compile("15:00–17:00"))
        page.keyboard.press("Enter")
        for _ in range(2):
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        expect(sheet.get_by_role("heading")).to_have_text("移到梅间 14:00–16:00")
        sheet.get_by_role("button", name="改过去").click()
        expect(sheet).to_be_hidden()
        expect(bar).to_have_attribute("aria-label", re.compile("14:00–16:00"))
        assert now_at() == ("梅间", 14)
        # Onto a time that somebody has: it is said, and nothing changes.
        bar.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowLeft")
        expect(said).to_contain_text("听雨 13:30–15:30 放不下")
        page.keyboard.press("Enter")
        expect(sheet.locator("[data-form-error]")).not_to_be_empty()
        expect(sheet.get_by_role("button", name="改过去")).to_be_hidden()
        sheet.get_by_role("button", name="放回去").click()
        expect(row.locator(f'[data-movable="{order_id}"]')).to_be_visible()
        assert now_at() == ("梅间", 14)
        page.goto(f"{site.url}/console/calendar")
        page.locator('.cal-day[aria-current="date"]').click()
        expect(page).to_have_url(re.compile(r"/console/timeline\?day="))


def test_a_tap_before_its_script_has_come_sends_nothing(browser: Browser, town: Visitor) -> None:
    """It was posted by the browser itself, and the guest read the refusal as raw JSON."""
    order_id = town.town.order("in_use")
    held: list[Route] = []
    sent: list[str] = []

    def hold(route: Route) -> None:
        held.append(route)

    with sitting(browser, town, town.town.tokens["guest"], phone=True) as page:
        page.route("**/js/forms.js*", hold)
        page.on("request", lambda asked: sent.append(asked.url) if asked.method == "POST" else None)
        page.goto(f"{town.site.url}/orders/{order_id}/help", wait_until="commit")
        button = page.get_by_role("button", name="发给客服")
        page.get_by_label("怎么了").fill("空调不凉")
        box = button.bounding_box()
        assert box is not None
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        button.press("Enter")
        expect(button).to_have_css("opacity", "0.5")  # it is seen to wait
        assert page.url.endswith("/help")
        assert len(held) == 1
        held[0].continue_()
        expect(button).to_have_css("opacity", "1")
        button.click()  # what was typed is still there, and is sent once
        expect(page).to_have_url(re.compile("/me/tickets/"))
        expect(page.get_by_text("空调不凉")).to_be_visible()
    assert sent == [f"{town.site.url}/api/v1/tickets"]


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
        desk.get_by_role("button", name="要返工").click()  # the ashtray was left
        desk.get_by_role("dialog").get_by_role("button", name="有烟味").click()
        desk.get_by_role("dialog").get_by_role("button", name="退回").click()
        expect(desk.get_by_text("退回了")).to_be_visible()
        phone.reload()
        expect(phone.get_by_text("有烟味").first).to_be_visible()
        if phone.get_by_role("button", name="门开着，直接开始").is_visible():
            phone.get_by_role("button", name="门开着，直接开始").click()
        phone.get_by_role("button", name="打扫好了").click()
        expect(phone.locator("form[action$='/finish']")).to_have_count(0)
        desk.reload()
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


def test_service_answers_a_complaint(browser: Browser, town: Visitor) -> None:
    """A guest complains on the phone; service takes it from the list, thinks better, answers; it is settled."""
    site, made = town.site, town.town

    async def hired(session):
        member = await make_staff(session, site.shop, site.now, role="customer_service")
        member.name = "小周"
        order = (
            await session.exec(select(Order).where(col(Order.account_id) == made.guest.id).limit(1))
        ).one()
        token = await make_login(session, member.account_id, site.cloud.clocks.real)
        return member.name, order.id, token

    name, order_id, token = site.write(hired)
    with (
        sitting(browser, town, made.tokens["guest"], phone=True) as phone,
        sitting(browser, town, token) as desk,
    ):
        phone.goto(f"{site.url}/orders/{order_id}/help")
        phone.get_by_label("哪一类").select_option("complaint")
        phone.get_by_label("怎么了").fill("空调不冷")
        phone.get_by_role("button", name="发给客服").click()
        expect(phone.get_by_text("空调不冷").first).to_be_visible()
        desk.goto(f"{site.url}/console/tickets")
        row = desk.get_by_role("listitem").filter(has_text="投诉")
        row.get_by_role("checkbox").check()
        desk.get_by_role("button", name="派给", exact=True).click()
        desk.get_by_label("谁来办").select_option(label=name)
        desk.get_by_role("button", name="派出").click()
        expect(desk.locator(".toast")).to_contain_text("做好 1 项")
        expect(row).to_contain_text(name)
        desk.locator(".toast").get_by_role("button", name="撤销").click()
        expect(row).not_to_contain_text(name)
        row.get_by_role("link").click()
        desk.get_by_label("回复").fill("马上来看，先给你换到梅间")
        desk.get_by_role("button", name="发送").click()
        expect(desk.get_by_text("已回复")).to_be_visible()
        phone.reload()
        expect(phone.get_by_text("马上来看，先给你换到梅间")).to_be_visible()
        desk.get_by_role("button", name="标为已解决").click()
        expect(desk).to_have_url(re.compile("/console/tickets$"))
        expect(desk.get_by_role("listitem").filter(has_text="投诉")).to_contain_text("已解决")


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
