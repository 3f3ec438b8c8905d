"""Every page of the console as nobody, as a guest, as owner and cleaner: what each may see, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from sqlmodel import select

from cloud_api.payments.models import PaymentAttempt, ProviderAccount, RefundAttempt
from cloud_api.staff.models import Role
from cloud_api.staff.permissions import AUDIT_READ
from cloud_api.store_channel import status
from cloud_api.store_channel.enrolment import enrol
from cloud_api.store_channel.office import office_of
from store_link.reports import Reported
from tests.cloud_api.factories import Shop, make_login, make_staff, make_store, reported
from tests.cloud_api.store_channel.store_side import make_code, new_csr
from tests.web.real import Site
from tests.web.town import Visitor, read, running_town

PAGES = {
    "live": ("/console", "今日收入"),
    "board": ("/console/board", "使用中"),
    "room": ("/console/rooms/{room}", "后结束"),
    "glass": ("/console/rooms/{room}?part=inspector", "门和设备"),
    "over": ("/console/rooms/{over}", "超时"),
    "far": ("/console/rooms/{far}", "门店断网"),
    "orders": ("/console/orders", "使用时间"),
    "found": ("/console/orders?state=in_use&day=nonsense&sort=-total&q=5678", "尾号 5678"),
    "order": ("/console/orders/{order}?state=in_use", "结束使用"),
    "alarms": ("/console/alarms", "没有要处理的"),
    "solved": ("/console/alarms?state=resolved&severity=critical", "没有符合这些条件的"),
    "alarm-rules": ("/console/alarms/rules", "10 分钟没人处理：店长"),
    "alarm-rule": ("/console/alarms/rules/power.overload", "用电超过多少瓦算超"),
    "notice-words": ("/console/notifications/templates", "改哪里的话"),
    "speaker-words": (
        "/console/notifications/events/order.ending_soon?channel=speaker",
        "时间到了",
    ),
    "notices": ("/console/notifications", "安静时间"),
    "event": ("/console/notifications/events/order.ready", "怎么说"),
    "channel": ("/console/notifications/channels/new?kind=email", "SMTP 服务器"),
    "notice-log": ("/console/notifications/log", "发出去的每一条"),
    "audit": ("/console/audit?what=door&day=2026-11-23", "没有符合这些条件的"),
    "staff": ("/console/staff", "正登录着的设备"),
    "new-staff": ("/console/staff/new", "发邀请短信"),
    "roles": ("/console/roles", "远程开门"),
    "new-role": ("/console/roles/new", "一次最多退"),
    "role": ("/console/roles/cashier", "登录控制台要动态码"),
    "api-keys": ("/console/api-keys", "先给它一把密钥"),
    "new-api-key": ("/console/api-keys/new", "看订单"),
    "retention": ("/console/retention?webhooks=30", "还没有改，先看看会怎样"),
    "webhooks": ("/console/webhooks", "先加它的地址"),
    "new-webhook": ("/console/webhooks/new", "order.paid"),
    "stickers": ("/console/stickers", "扫码，点一下开门"),
    "overtime": ("/console/overtime", "现在超时只记录，不收费"),
    "store-stickers": ("/console/stores/{store}/stickers", "扫码，点一下开门"),
}


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("console")) as running:
        yield running


def fill(visitor: Visitor, path: str) -> str:
    shop = visitor.site.shop
    return path.format(
        room=shop.room.id,
        over=shop.rooms[1].id,
        far=visitor.town.far.room.id,
        store=shop.store.id,
        order=visitor.town.order("in_use"),
    )


def look(visitor: Visitor, who: str, path: str, status: int = 200) -> str:
    answer = visitor.get(who, path)
    assert answer.status_code == status, (path, answer.status_code)
    csp = answer.headers["content-security-policy"]
    assert "unsafe" not in csp
    reader = read(answer.text)
    assert reader.open == []
    assert reader.wrong == []
    for person in (visitor.town.guest, visitor.town.stranger):
        assert person.phone[3:] not in answer.text, "a whole number on a page"
    return answer.text


@pytest.mark.parametrize("name", PAGES)
def test_the_owner_sees_all(visitor: Visitor, name: str):
    path, words = PAGES[name]
    assert words in look(visitor, "owner", fill(visitor, path))


@pytest.mark.parametrize("name", PAGES)
def test_nobody_logs_in_first_and_a_guest_is_told_that_it_is_for_staff(visitor: Visitor, name: str):
    path = fill(visitor, PAGES[name][0])
    answer = visitor.get("", path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/login?next=%2Fconsole")
    text = look(visitor, "guest", path, 403)
    assert "这里只给店员看" in text
    assert "竹间" not in text


def test_the_login_knows_who_has_no_business_here(visitor: Visitor):
    assert "登录控制台" in look(visitor, "", "/console/login")
    assert "不是店员" in look(visitor, "guest", "/console/login")
    assert visitor.get("owner", "/console/login").headers["location"] == "/console"


def test_states_figures_and_names(visitor: Visitor):
    text = look(visitor, "owner", "/console")
    for words in (
        "尾号 5678", "尾号 4321", "is-overtime", "is-in_use", "is-booked", "is-offline",
        "离线前：空闲", "断网 12 分钟", "接下来一小时", "已付款，房间空着", "/5 间",
    ):  # fmt: skip
        assert words in text, words
    glass = look(visitor, "owner", fill(visitor, "/console/rooms/{room}"))
    for words in ("陈店长", "原因：客人手机没电", "锁已动作", "已通电", "已断电", "下一场"):
        assert words in glass, words
    assert glass.count('role="switch"') == 3


def test_money_today_is_counted_when_it_comes_and_not_again_when_it_is_spent(visitor: Visitor):
    """A balance that was topped up and then paid a room stood in the day's income twice."""
    site, order = visitor.site, visitor.town.orders["done"]

    async def paid(session):
        till = (await session.exec(select(ProviderAccount).limit(1))).one()
        own: dict[str, Any] = {
            "merchant_id": order.merchant_id, "store_id": order.store_id, "account_id": order.account_id,
            "created_at": site.now, "succeeded_at": site.now, "state": "succeeded",
        }  # fmt: skip
        for n, (provider, fen, back) in enumerate(
            (("cashier", 30_000, 2_000), ("balance", 7_600, 1_900), ("cash", 5_000, 1_000))
        ):
            payment = PaymentAttempt(
                account_ref=till.id, provider=provider, pays=f"topup:{n}", part_of=f"topup:{n}",
                number=f"T{n}", amount_fen=fen, expires_at=site.now, **own,
            )  # fmt: skip
            session.add(payment)
            await session.flush()
            values: dict[str, Any] = {
                "payment_id": payment.id,
                "number": f"T{n}-R1",
                "reason": "试",
                **own,
            }
            session.add(RefundAttempt(amount_fen=back, **values))

    site.write(paid)
    assert ">¥320<" in look(visitor, "owner", "/console")  # 300 and 50, less 20 and 10


def test_a_cleaner_sees_rooms_of_ones_own_store_without_guests_and_money(visitor: Visitor):
    text = look(visitor, "cleaner", "/console")
    assert "雀友会·静安店" in text
    assert "徐汇店" not in text
    assert "尾号" not in text
    assert "¥" not in text
    assert "今日收入" not in text
    glass = look(visitor, "cleaner", fill(visitor, "/console/rooms/{room}"))
    assert "尾号" not in glass
    assert 'role="switch"' not in glass
    assert "你的岗位不能远程开门" in glass
    assert "没有这个包间" in look(visitor, "cleaner", fill(visitor, "/console/rooms/{far}"), 404)


def test_the_ways_show_only_what_a_role_may_see(visitor: Visitor):
    """A cleaner reads no orders: no link to them on any page, and no page at their address."""
    assert 'href="/console/orders"' in look(visitor, "owner", "/console")
    assert "/console/orders" not in look(visitor, "cleaner", "/console")
    assert "这一页不给你看" in look(visitor, "cleaner", "/console/orders", 403)
    assert "没有这个订单" in look(visitor, "owner", "/console/orders/nobodys", 404)


def test_orders_that_nothing_fits_say_so_and_lead_back(visitor: Visitor):
    text = look(visitor, "owner", "/console/orders?q=0000000")
    assert "没有符合这些条件的" in text
    assert "看全部" in text
    assert "<table" not in text


def test_an_offline_store_has_no_live_button(visitor: Visitor):
    glass = look(visitor, "owner", fill(visitor, "/console/rooms/{far}"))
    assert "门店断网，命令发不出去，也不会补发" in glass
    assert 'role="switch"' not in glass
    buttons = glass.split('data-ask="door"')[1:]
    assert buttons
    assert all("disabled" in button.split(">")[0] for button in buttons)


def test_another_merchant_sees_nothing_of_it(visitor: Visitor):
    site = visitor.site
    token = site.run(_other_owner(site))
    visitor.town.tokens["other"] = token
    text = look(visitor, "other", "/console")
    assert "静安店" not in text
    assert "别家" in text
    look(visitor, "other", fill(visitor, "/console/rooms/{room}"), 404)
    look(visitor, "other", fill(visitor, "/console/stores/{store}/stickers"), 404)
    door = site.shop.door.id
    assert visitor.get("other", f"/console/doors/{door}/sticker.svg").status_code == 404
    assert visitor.get("owner", f"/console/doors/{door}/sticker.svg").status_code == 200


async def _other_owner(site: Site) -> str:
    async with site.cloud.db.write() as session:
        other = await make_store(session, site.now, name="别家")
        owner = await make_staff(session, other, site.now)
        return await make_login(session, owner.account_id, site.cloud.clocks.real)


def test_every_link_leads_somewhere(visitor: Visitor):
    """Each is followed once, from the first page that has it: most stand on every page."""
    links: dict[str, str] = {}
    for path, _words in PAGES.values():
        for href in read(visitor.get("owner", fill(visitor, path)).text).hrefs:
            if href.startswith("/"):
                links.setdefault(href, path)
    for href, path in links.items():
        assert visitor.get("owner", href).status_code == 200, (path, href)


@pytest.mark.parametrize("role", ["manager", "cashier", "customer_service", "cleaner", "finance"])
def test_whatever_a_role_is_led_to_is_open_to_it(visitor: Visitor, role: str):
    site = visitor.site
    if role not in visitor.town.tokens:
        visitor.town.tokens[role] = site.run(_member(site, role))
    hrefs = {h for h in read(look(visitor, role, "/console")).hrefs if h.startswith("/console")}
    assert len(hrefs) > 3
    for href in hrefs:
        assert visitor.get(role, href).status_code == 200, href


def test_who_may_not_see_rooms_begins_at_a_page_of_theirs(visitor: Visitor):
    site = visitor.site
    visitor.town.tokens["keeper"] = site.run(_member(site, "keeper", {AUDIT_READ}))
    answer = visitor.get("keeper", "/console")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/audit")
    look(visitor, "keeper", "/console/audit")
    assert 'href="/console"' in look(visitor, "keeper", "/console/staff", 403)


async def _member(site: Site, role: str, permissions: set[str] | None = None) -> str:
    async with site.cloud.db.write() as session:
        if permissions is not None:
            session.add(
                Role(
                    merchant_id=site.shop.merchant.id,
                    key=role,
                    name=role,
                    permissions=sorted(permissions),
                    created_at=site.now,
                    updated_at=site.now,
                )
            )
            await session.flush()
        member = await make_staff(session, site.shop, site.now, role=role)
        return await make_login(session, member.account_id, site.cloud.clocks.real)


def test_the_live_page_takes_the_same_queries_for_any_number_of_rooms(visitor: Visitor):
    site = visitor.site
    counts = []
    for again in (False, True):
        if again:
            site.write(lambda s: make_store(s, site.now, merchant=site.shop.merchant, rooms=14))
        for path in ("/console", fill(visitor, "/console/rooms/{room}")):
            counts.append(visitor.queries("owner", path))
    assert counts[:2] == counts[2:]
    assert max(counts) <= 20


def test_a_sheet_of_stickers_is_a_pdf_of_ones_own_doors(visitor: Visitor) -> None:
    shop, far = visitor.site.shop, visitor.town.far
    path = f"/console/stores/{shop.store.id}/stickers.pdf"
    answer = visitor.get("owner", path, params={"grid": "2x3"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    document = pypdfium2.PdfDocument(answer.content)
    codes = zxingcpp.read_barcodes(document[0].render(scale=3).to_pil())
    doors = [*shop.doors, shop.entrance]
    assert {c.text for c in codes} == {
        f"{visitor.site.url}/d/{door.token}" for door in doors if door is not None
    }
    assert visitor.get("owner", path, params={"grid": "9x9"}).status_code == 422
    others = {"door": far.doors[0].id}
    assert visitor.get("owner", path, params=others).status_code == 404
    assert visitor.get("guest", path).status_code == 403


def test_the_controllers_of_all_stores_say_which_version_each_runs(visitor: Visitor) -> None:
    """Enrolled by a code, known by its own report: one card a store, the one to be updated said so."""
    site, near, far = visitor.site, visitor.site.shop, visitor.town.far
    assert look(visitor, "owner", "/console/controllers").count("没有控制器") >= 2
    ours = version("kaimen")
    site.run(_reports(site, near, version=ours))
    late = {"version": "0.0.7", "clock": "holdover"}
    boards = [{"id": b.id, "state": "offline", "detail": ""} for b in far.boards]
    outbox = {"depth": 31, "oldest_at": None, "full": False}
    site.run(_reports(site, far, **late, boards=boards, outbox=outbox))
    text = look(visitor, "owner", "/console/controllers")
    assert f"云端的版本是 {ours}" in text
    cards = {card.split('"')[0]: card for card in text.split('data-region="c-')[1:]}
    for shop, words, absent in (
        (near, (near.store.name, "在线", f">{ours}<", "对准了", "块都在线"), "版本和云端不一样"),
        (
            far,
            ("徐汇店", "版本和云端不一样", ">0.0.7<", "靠自己走着", ">31<", "块不在线"),
            "对准了",
        ),
    ):
        card = cards[shop.store.id]
        assert [one for one in words if one not in card] == []
        assert absent not in card
    # A cleaner of one store sees that store's, and may not ask for its inside.
    seen = look(visitor, "cleaner", "/console/controllers")
    assert ours in seen
    assert "徐汇店" not in seen
    assert "要诊断包" in text
    assert "要诊断包" not in seen


async def _reports(site: Site, shop: Shop, **said: Any) -> None:
    await enrol(
        site.cloud, office_of(site.cloud), await make_code(site.cloud, shop.store.id), new_csr()[1]
    )
    message = Reported.model_validate(reported(shop, site.cloud.clocks.real, **said))
    await status.take_reported(site.cloud, shop.merchant.id, message, retained=False)
