"""An owner's desk in a browser: bookings for who calls, members, what a store does by itself, one key to find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from playwright.sync_api import Browser, expect
from sqlmodel import col, select

from cloud_api.cleaning.models import CleaningTask
from cloud_api.devices.models import Schedule
from cloud_api.orders import guests
from cloud_api.orders.models import Order, OvertimeCharge
from cloud_api.stored_value.models import TopupPlan
from cloud_api.stores.models import Store
from tests.cloud_api.factories import bearer, make_order
from tests.web.test_groupbuy_walk import hired
from tests.web.test_people_walk import sitting
from tests.web.test_prices_walk import look
from tests.web.town import Visitor, running_town

pytestmark = pytest.mark.xdist_group("desk-walk")  # they share a running site
CALLER = "13900007777"
PLAN = "充 500 送 80 🀄"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("desk-walk")) as running:
        yield running


def test_who_calls_is_booked_a_stay_made_longer_and_overtime_let_go(
    browser: Browser, town: Visitor
) -> None:
    """Two people at two desks: what one of them did already is told to the other, and happens once."""
    site, made = town.site, town.town
    done, stay = made.orders["done"], made.orders["in_use"]

    async def owes(session):
        session.add(
            OvertimeCharge(
                merchant_id=done.merchant_id, store_id=done.store_id, account_id=done.account_id,
                order_id=done.id, state="due", seconds=1140, minutes=19, free_minutes=0, units=2,
                unit_minutes=15, unit_fen=600, amount_fen=1200, left_at=done.ends_at,
                created_at=site.now,
            )
        )  # fmt: skip

    site.write(owes)
    with (
        sitting(browser, town, made.tokens["owner"]) as desk,
        sitting(browser, town, made.tokens["owner"]) as other,
    ):
        desk.goto(f"{site.url}/console/book?store={site.shop.store.id}")
        desk.get_by_label("包间").select_option(label="梅间")
        desk.get_by_label("几点开始").select_option("20:00")
        desk.get_by_role("button", name="看价钱").click()
        asked = desk.url
        other.goto(asked)  # the same hours, free until the first one has them
        other.get_by_label("客人手机号").fill("13900008888")
        desk.get_by_label("客人手机号").fill("139")
        desk.get_by_role("button", name="留房，发付款链接").click()
        expect(desk.locator("[data-error-for=phone]")).not_to_be_empty()
        desk.get_by_label("客人手机号").fill(CALLER)
        desk.get_by_role("button", name="留房，发付款链接").dblclick()
        expect(desk).to_have_url(re.compile(r"/console/orders/\w+"))
        expect(desk.locator("#inspector")).to_contain_text("尾号 7777")
        look(desk, "booked-for-a-caller")
        other.get_by_role("button", name="留房，发付款链接").click()
        told = other.locator("form[data-api] [data-form-error]")
        expect(told).to_be_visible()
        assert "{" not in told.inner_text()
        other.goto(asked)
        expect(other.get_by_text("这段已经有人订了")).to_be_visible()
        expect(other.get_by_label("能订的时间").get_by_role("link").first).to_be_visible()

        desk.goto(f"{site.url}/console/orders/{stay.id}")
        desk.get_by_role("button", name="续时").click()
        sheet = desk.locator("#sheet-extend-order")
        sheet.get_by_text("这次不收钱").click()
        sheet.get_by_label("为什么").fill("空调坏了一会儿")
        sheet.get_by_role("button", name="续时").click()
        expect(desk.locator("#inspector")).to_contain_text("14:00")

        for tab in (desk, other):
            tab.goto(f"{site.url}/console/orders/{done.id}")
            tab.get_by_role("button", name="免收 ¥12").click()
            tab.locator("#sheet-waive-overtime").get_by_role("button", name="老客人").click()
        send = {"name": "免收", "exact": True}
        desk.locator("#sheet-waive-overtime").get_by_role("button", **send).click()  # type: ignore[arg-type]
        expect(desk.locator("#inspector")).to_contain_text("已免收：老客人")
        other.locator("#sheet-waive-overtime").get_by_role("button", **send).click()  # type: ignore[arg-type]
        for tab in (desk, other):  # let go once, whoever pressed
            expect(tab.locator("#inspector")).to_contain_text("已免收：老客人")
            expect(tab.locator("#inspector").get_by_text("店家免收超时费 ¥12")).to_have_count(1)

        desk.goto(f"{site.url}/console/orders?state=in_use")
        desk.get_by_role("button", name="导出", exact=True).click()
        desk.locator("#sheet-export-orders").get_by_role("button", name="开始导出").click()
        expect(desk).to_have_url(re.compile("/console/order-exports"))
        expect(desk.get_by_role("link", name="下载")).to_be_visible()  # once the job has written it
        with desk.expect_download() as saved:
            desk.get_by_role("link", name="下载").click()
        assert saved.value.suggested_filename.endswith(".xlsx")

    async def kept(session):
        booked = (await session.exec(select(Order).where(col(Order.source) == "staff"))).all()
        charge = (await session.exec(select(OvertimeCharge))).one()
        return len(booked), charge.state, (await session.get_one(Order, stay.id)).ends_at

    assert site.write(kept) == (1, "waived", stay.ends_at + timedelta(minutes=30))


def test_a_cashier_takes_cash_gives_some_back_and_no_more_than_the_role_may(
    browser: Browser, town: Visitor
) -> None:
    site, unpaid = town.site, town.town.orders["unpaid"]
    with sitting(browser, town, hired(town, "cashier")) as desk:
        desk.goto(f"{site.url}/console/orders/{unpaid.id}")
        glass = desk.locator("#inspector")
        glass.get_by_role("button", name="收现金 ¥76").click()
        sheet = desk.locator("#sheet-take-cash")
        sheet.get_by_role("button", name="客人要付现金").click()
        sheet.get_by_role("button", name="收到了").click()
        expect(glass).to_contain_text("待使用")
        glass.get_by_role("button", name="替客人申请退款").click()
        sheet = desk.locator("#sheet-ask-refund")
        sheet.get_by_role("button", name="设备坏了").click()
        sheet.get_by_role("button", name="提交申请").click()
        glass.get_by_role("link", name="有退款申请等处理").click()
        expect(desk.get_by_text("你的岗位最多退 ¥100，超过的交给店长")).to_be_visible()
        desk.get_by_label("退多少元").fill("76.01")
        desk.get_by_label("给顾客的说明").fill("灯坏了")
        desk.get_by_role("button", name="同意退款").click()
        expect(desk.locator("[data-error-for=amount_fen]").first).not_to_be_empty()
        desk.get_by_label("退多少元").fill("6")
        desk.get_by_role("button", name="同意退款").click()
        expect(desk.get_by_text("没有等着处理的退款申请")).to_be_visible()
        desk.goto(f"{site.url}/console/orders/{unpaid.id}")
        glass.get_by_role("button", name="退现金 ¥6").click()
        sheet = desk.locator("#sheet-hand-back")
        sheet.get_by_role("button", name="退给本人").click()
        sheet.get_by_role("button", name="已经退给客人").dblclick()
        expect(glass.get_by_role("button", name="退现金 ¥6")).to_have_count(0)

    async def given(session):
        return (await session.get_one(Order, unpaid.id)).refunded_fen

    assert site.write(given) == 600


def test_a_member_gets_a_level_is_barred_and_let_in_again(browser: Browser, town: Visitor) -> None:
    site, made = town.site, town.town

    async def count(session):
        clocks = site.cloud.clocks
        await guests.count(session, site.shop.merchant.id, made.guest.id, clocks)

    site.write(count)
    with sitting(browser, town, made.tokens["owner"]) as page:
        page.goto(f"{site.url}/console/prices")
        new = page.locator("#lev-h ~ .pform-new")
        new.locator("summary").click()
        new.get_by_label("等级名").fill("银卡")
        new.get_by_role("button", name="保存").click()
        expect(page.locator("#levels")).to_contain_text("银卡")
        page.goto(f"{site.url}/console/members?sort=spent")  # ordered by the server
        expect(page.locator("th[aria-sort=ascending]")).to_contain_text("花了")
        page.get_by_role("link", name="尾号 5678").click()
        page.get_by_label("等级").select_option(label="银卡")
        page.get_by_role("button", name="改等级").click()
        expect(page.get_by_text("改好了")).to_be_visible()
        history = page.locator(".panel").filter(has=page.get_by_role("heading", name="订单"))
        expect(history).to_contain_text("竹间")
        page.get_by_role("button", name="不再接他的预订").click()
        sheet = page.locator("#sheet-block")
        sheet.get_by_role("button", name="多次没到店").click()
        sheet.get_by_role("button", name="拉黑").click()
        expect(page.get_by_text("不接他的预订：多次没到店")).to_be_visible()
        page.goto(f"{site.url}/console/members?state=blocked")
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody tr")).to_contain_text("银卡")
        page.get_by_role("link", name="尾号 5678").click()
        page.get_by_role("button", name="放开").click()
        page.locator("#sheet-lift-block").get_by_role("button", name="放开").click()
        expect(page.get_by_text("不接他的预订")).to_have_count(0)
        page.goto(f"{site.url}/console/plans")
        form = page.locator("form").filter(has=page.get_by_role("button", name="添加方案"))
        form.get_by_label("名字").fill(PLAN)
        form.get_by_label("付多少元").fill("500")
        form.get_by_label("送多少元").fill("80")
        form.get_by_role("button", name="添加方案").dblclick()
        expect(page.get_by_role("heading", name=PLAN)).to_be_visible()

    async def plans(session):
        return [(one.name, one.pay_fen) for one in (await session.exec(select(TopupPlan))).all()]

    assert site.write(plans) == [(PLAN, 50_000)]


def test_what_a_store_does_by_itself_is_set_and_no_day_is_lost(
    browser: Browser, town: Visitor
) -> None:
    """Two tabs each added a day on which the store is closed: the later one took the earlier one away."""
    site, made = town.site, town.town
    with (
        sitting(browser, town, made.tokens["owner"]) as page,
        sitting(browser, town, made.tokens["owner"]) as other,
    ):
        page.goto(f"{site.url}/console/schedules/new?store={site.shop.store.id}")
        page.get_by_label("名称").fill("招牌灯")
        page.locator("[name=bindings]").first.check(force=True)
        page.locator("[name=days]").first.check(force=True)
        page.get_by_label("几点开").fill("17:30")
        page.get_by_label("几点关").fill("23:59")
        page.get_by_role("button", name="保存").click()
        expect(page.locator("tbody tr")).to_contain_text("17:30")
        page.goto(f"{site.url}/console/scenes?store={site.shop.store.id}")
        scene = page.locator("form[data-api]").first
        scene.get_by_label("结束后留多久").fill("900")
        scene.get_by_role("button", name="保存").click()
        expect(page.get_by_text("存好了，门店几秒后照办").first).to_be_visible()
        for tab in (page, other):
            tab.goto(f"{site.url}/console/house?store={site.shop.store.id}")
        for tab, day, name in ((page, "2027-02-06", "春节"), (other, "2027-03-01", "盘点")):
            form = tab.locator("form[data-special]")
            form.get_by_label("哪一天").fill(day)
            form.get_by_label("叫什么").fill(name)
            form.get_by_label("营业", exact=True).select_option(label="休息")
            form.get_by_role("button", name="加上").click()
            expect(tab.locator("#special")).to_contain_text(f"{name} · 休息")
        expect(other.locator("#special li")).to_have_count(2)
        look(other, "special-days")
        # Two who change different things of a store: each form sent all of it, and the later took the earlier back.
        for tab, label, text in (
            (page, "电话", "021-1111 2222"),
            (other, "给客人的提醒", "22 点后轻声"),
        ):
            form = tab.locator("section[aria-labelledby=facts-h] form")
            form.get_by_label(label).fill(text)
            with tab.expect_response(lambda told: told.request.method == "PATCH") as told:
                form.get_by_role("button", name="保存").click()
            assert told.value.ok
            assert len(told.value.request.post_data_json or ()) == 1
        page.goto(f"{site.url}/console/cleaning")
        page.get_by_role("button", name="派一个任务").click()
        sheet = page.locator("#sheet-clean-new")
        sheet.get_by_label("哪一间").select_option(site.shop.rooms[1].id)
        sheet.get_by_label("派给谁").select_option(index=1)
        sheet.get_by_label("要注意什么").fill("靠窗的桌子")
        sheet.get_by_role("button", name="派出去").click()
        expect(page.locator(".clean-card").filter(has_text="靠窗的桌子")).to_be_visible()

    async def kept(session):
        schedule = (await session.exec(select(Schedule))).one()
        store = await session.get_one(Store, site.shop.store.id)
        task = (await session.exec(select(CleaningTask))).one()
        facts = store.phone, store.notice
        return schedule.name, sorted(store.days), task.state, facts

    days = ["2027-02-06", "2027-03-01"]
    assert site.write(kept) == ("招牌灯", days, "taken", ("021-1111 2222", "22 点后轻声"))
    huge = httpx.post(
        f"{site.url}/api/v1/console/topup-plans", trust_env=False, timeout=60,
        content=b'{"name": "' + b"x" * 10_000_000 + b'"}',
        headers=bearer(made.tokens["owner"]) | {"Content-Type": "application/json"},
    )  # fmt: skip
    assert (huge.status_code, huge.json()["code"]) == (413, "body_too_large")


def test_one_key_finds_an_order_and_a_tile_warns_of_who_comes_next(
    browser: Browser, town: Visitor
) -> None:
    site, made = town.site, town.town
    stay = made.orders["in_use"]

    async def follow(session):
        ends = (await session.get_one(Order, stay.id)).ends_at
        room = site.shop.rooms[0]
        starts = ends + timedelta(minutes=15)
        await make_order(
            session, site.shop, made.stranger, starts, now=site.now, room=room, cleaning_s=0
        )
        return ends

    ends = site.write(follow)
    site.passes(seconds=(ends - site.now).total_seconds() - 600)
    with sitting(browser, town, made.tokens["owner"]) as page:
        page.goto(f"{site.url}/console")
        tile = page.locator(f"#tile-{site.shop.room.id}")
        expect(tile).to_contain_text("接着有人")
        tile.click()
        expect(page.locator("#inspector")).to_contain_text("尾号 4321 接着用")
        look(page, "back-to-back")
        page.keyboard.press("/")
        box = page.get_by_role("searchbox", name="单号或手机尾号")
        expect(box).to_be_focused()
        assert page.url.split("#")[0].endswith("/console/orders")
        page.keyboard.type("4321")
        expect(page).to_have_url(re.compile("q=4321"))
        page.keyboard.type("/")  # a sign like any other where one writes
        expect(box).to_have_value("4321/")
        page.get_by_role("button", name=re.compile("^我的：")).click()
        page.get_by_label("按 / 找订单").uncheck()
        page.goto(f"{site.url}/console/timeline")
        page.keyboard.press("/")
        page.keyboard.press("Tab")
        expect(page).to_have_url(re.compile("/console/timeline$"))
