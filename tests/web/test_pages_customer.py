"""Every page of the customer as nobody, as a guest, and as the owner: status, words, policy, privacy."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import structlog
from sqlmodel import col, update

from cloud_api.devices.models import Binding, StoreStatus
from cloud_api.orders.models import Order, OrderChange
from cloud_api.stores.models import Door, Room
from tests.cloud_api.factories import make_customer, make_login, make_order, make_store
from tests.web.furnished import furnish
from tests.web.scenes import report
from tests.web.town import Visitor, read, running_town

PEOPLE = ("", "guest", "owner")
PUBLIC = {
    "home": ("/", "雀友会·静安店"),
    "search": ("/?q=静安", "雀友会·静安店"),
    "nothing-found": ("/?q=zzz", "没有找到门店"),
    "store": ("/s/{store}", "订这间"),
    "store-now": ("/s/{store}?show=now", "现在能进"),
    "store-six": ("/s/{store}?seats=6", "听雨"),
    "rooms": ("/s/{store}/rooms", "竹间"),
    "far-store": ("/s/{far}", "门店暂时断网"),
    "room": ("/rooms/{room}", "怎么算时间和钱"),
    "book": ("/rooms/{room}/book", "选时间"),
    "book-day": ("/rooms/{room}/book?day={tomorrow}", "选时间"),
    "book-nonsense": ("/rooms/{room}/book?day=x&from=y&to=z", "选时间"),
    "scan": ("/scan", "扫房门上的码"),
    "login": ("/login", "用手机号登录"),
}
OWN = {
    "orders": ("/orders", "待使用"),
    "in_use": ("/orders/{in_use}", "使用中"),
    "ready": ("/orders/{ready}", "怎么进门"),
    "unpaid": ("/orders/{unpaid}", "待支付"),
    "done": ("/orders/{done}", "已完成"),
    "cancelled": ("/orders/{cancelled}", "你取消了订单"),
    "paid": ("/orders/{ready}?paid=1", "订好了"),
    "pay": ("/orders/{unpaid}/pay", "房间还给你留着"),
    "stay": ("/orders/{in_use}/stay", "提前结束"),
    "door": ("/d/{door}", "到了，请进"),
    "me": ("/me", "尾号 5678"),
}
NOWHERE = ("/nope", "/s/nope", "/rooms/nope", "/rooms/nope/book", "/d/nope", "/quotes/nope")


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("pages")) as running:
        yield running


def fill(visitor: Visitor, path: str) -> str:
    shop, town = visitor.site.shop, visitor.town
    names = {name: order.id for name, order in town.orders.items()}
    tomorrow = (visitor.site.now + timedelta(days=1)).date().isoformat()
    return path.format(
        store=shop.store.id,
        far=town.far.store.id,
        room=shop.room.id,
        door=shop.door.token,
        tomorrow=tomorrow,
        **names,
    )


def look(visitor: Visitor, who: str, path: str, status: int = 200) -> str:
    """The page, held to what every page must be."""
    answer = visitor.get(who, path)
    assert answer.status_code == status, (path, answer.status_code, answer.headers.get("location"))
    assert answer.headers["content-type"].startswith("text/html")
    csp = answer.headers["content-security-policy"]
    assert "unsafe" not in csp
    assert "script-src 'self'" in csp
    assert answer.headers["cache-control"] == "no-store"
    reader = read(answer.text)
    assert reader.open == []
    assert reader.wrong == []
    for other in {"guest", "stranger"} - {who}:
        phone = getattr(visitor.town, other).phone
        assert phone[3:] not in answer.text
        assert phone[-4:] not in answer.text, f"the end of another's number on {path}"
    return answer.text


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("name", PUBLIC)
def test_pages_for_everybody(visitor: Visitor, who: str, name: str):
    path, words = PUBLIC[name]
    if name == "login" and who:
        assert visitor.get(who, path).headers["location"] == "/"
        return
    assert words in look(visitor, who, fill(visitor, path))


@pytest.mark.parametrize("name", OWN)
def test_ones_own_pages(visitor: Visitor, name: str):
    path, words = OWN[name]
    assert words in look(visitor, "guest", fill(visitor, path))


@pytest.mark.parametrize("name", OWN)
def test_who_is_not_logged_in_logs_in_and_comes_back(visitor: Visitor, name: str):
    path = fill(visitor, OWN[name][0])
    answer = visitor.get("", path)
    assert answer.status_code == 303
    back = answer.headers["location"]
    assert back.startswith("/login?next=%2F")
    assert look(visitor, "", back).count(f'data-next="{path}"') == 1


@pytest.mark.parametrize("who", ["stranger", "owner"])
@pytest.mark.parametrize("name", [n for n in OWN if "{" in OWN[n][0] and n != "door"])
def test_anothers_order_does_not_exist(visitor: Visitor, who: str, name: str):
    text = look(visitor, who, fill(visitor, OWN[name][0]), 404)
    assert "没有找到这一页" in text
    assert "没有这个订单" in text


@pytest.mark.parametrize("path", NOWHERE)
def test_what_is_not_there_says_so_in_the_look(visitor: Visitor, path: str):
    assert "回到找店" in look(visitor, "guest", path, 404)


def test_the_api_keeps_its_own_form_of_refusal(visitor: Visitor):
    answer = visitor.get("", "/api/v1/stores/nope")
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_every_link_of_every_page_leads_somewhere(visitor: Visitor):
    """No dead end: each address that a page names is answered with a page, a drawing, or a login."""
    seen: set[tuple[str, str]] = set()
    for who, pages in (("guest", PUBLIC | OWN), ("owner", PUBLIC)):
        for path, _words in pages.values():
            answer = visitor.get(who, fill(visitor, path))
            for href in read(answer.text).hrefs:
                if href.startswith("/") and (who, href) not in seen:
                    seen.add((who, href))
                    found = visitor.get(who, href)
                    assert found.status_code in (200, 303), (path, href, found.status_code)
    assert len(seen) > 30


def test_a_crash_is_a_page_with_a_number_and_nothing_of_the_inside(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_args: object) -> None:
        raise ZeroDivisionError("the inside")

    logged = structlog.testing.CapturingLogger()
    monkeypatch.setattr("cloud_api.kit.problems.log", structlog.wrap_logger(logged, processors=[]))
    monkeypatch.setattr("cloud_api.web.customer.find.stores_page", broken)
    answer = visitor.get("guest", "/")
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-request-id"][-6:] in answer.text
    assert "inside" not in answer.text
    assert "订单和钱都不受影响" in answer.text
    assert [call.method_name for call in logged.calls] == ["error"]


def test_login_never_leads_to_another_site(visitor: Visitor):
    for evil in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"):
        text = look(visitor, "", f"/login?next={evil}")
        assert "evil" not in text
        assert 'data-next="/"' in text


def test_a_plain_form_needs_the_pages_token(visitor: Visitor):
    refused = visitor.post("guest", "/me/settings", {"theme": "dark"})
    assert refused.status_code == 403
    forged = visitor.post("guest", "/me/settings", {"theme": "dark", "csrf_token": "x"})
    assert forged.status_code == 403
    page = visitor.get("guest", "/me").text
    token = page.split('name="csrf_token" value="')[1].split('"')[0]
    kept = visitor.post("guest", "/me/settings", {"theme": "dark", "csrf_token": token})
    assert kept.status_code == 303
    assert "kaimen_theme=dark" in kept.headers["set-cookie"]
    visitor.people.pop("guest").close()


def test_who_stays_over_is_still_in_the_room(visitor: Visitor):
    """梅间's time was up half an hour ago and its guests are in: nobody is told that it is free."""
    shop = visitor.site.shop
    text = look(visitor, "", f"/rooms/{shop.rooms[1].id}")
    assert "上一位还没离开" in text
    assert "现在能进" not in text
    assert "订梅间" not in look(visitor, "owner", f"/d/{shop.door.token}")


# ------------------------------------------------------------------------------------------- doors


def test_doors_say_who_may_and_why_not(visitor: Visitor):
    bamboo, plum, rain = visitor.site.shop.doors
    cases = {
        ("guest", bamboo.token): "到了，请进",
        ("guest", plum.token): "你订的是竹间",
        ("stranger", rain.token): "早到了，再等一会儿",
        ("owner", bamboo.token): "这间别人订了",
    }
    for (who, token), words in cases.items():
        text = look(visitor, who, f"/d/{token}")
        assert words in text
        assert ("data-door " in text) == (words == "到了，请进")


def offline(visitor: Visitor, online: bool) -> None:
    store_id = visitor.site.shop.store.id

    async def write(session) -> None:
        await session.exec(
            update(StoreStatus).where(col(StoreStatus.store_id) == store_id).values(online=online)
        )

    visitor.site.write(write)


def test_an_offline_store_promises_only_what_hangs_there(visitor: Visitor):
    """Without a reader at the door nothing opens it: the page says so. With one it shows the pass."""
    shop = visitor.site.shop
    token, order = shop.door.token, visitor.town.order("in_use")
    offline(visitor, False)
    try:
        text = look(visitor, "guest", f"/d/{token}")
        assert "门现在开不了" in text
        assert "恢复后马上能开" in text
        assert f'href="tel:{shop.store.phone.replace("-", "")}"' in text
        assert "通行码" not in text.split("<main")[1]
        assert visitor.get("guest", f"/orders/{order}/pass").status_code == 404
        assert "现在点不开门" in look(visitor, "guest", f"/orders/{order}/stay")

        async def hang(session) -> None:
            made = Binding(
                merchant_id=shop.merchant.id,
                store_id=shop.store.id,
                board_id=shop.boards[0].id,
                name="扫码器",
                capability="input.code",
                role="reader",
                rooms=[shop.room.id],
                created_at=visitor.site.now,
            )
            session.add(made)
            await session.flush()
            door = await session.get_one(Door, shop.door.id)
            door.reader_binding_id = made.id
            session.add(door)

        visitor.site.write(hang)
        text = look(visitor, "guest", f"/d/{token}")
        assert "照样能进" in text
        assert f"/orders/{order}/pass.svg" in text
        assert "按这 6 位" not in text  # a scanner has no keys
        drawing = visitor.get("guest", f"/orders/{order}/pass.svg")
        assert drawing.headers["content-type"] == "image/svg+xml"
        assert "style=" not in drawing.text
        assert "手机没网也能进" in look(visitor, "guest", f"/orders/{order}/pass")
        assert visitor.get("stranger", f"/orders/{order}/pass.svg").status_code == 404
    finally:
        offline(visitor, True)


def test_a_dead_lock_says_whom_to_call_and_may_be_tried_again(visitor: Visitor):
    site, shop = visitor.site, visitor.site.shop
    real = site.cloud.clocks.real
    stay = visitor.town.orders["in_use"].claim_id
    site.write(lambda s: report(s, shop, real, stays={stay: "in_use"}, dead=shop.boards[0].id))
    try:
        text = look(visitor, "guest", f"/d/{shop.door.token}")
        assert "门锁没有反应" in text
        assert "data-door " not in text
        again = look(visitor, "guest", f"/d/{shop.door.token}?again=1")
        assert "data-door " in again
    finally:
        site.write(lambda s: report(s, shop, real, stays={stay: "in_use"}))


def test_a_door_without_a_booking_offers_the_room_and_in_maintenance_says_so(visitor: Visitor):
    site = visitor.site

    async def make(session):
        shop = await make_store(session, site.now, merchant=site.shop.merchant, name="空店")
        await session.exec(
            update(Room).where(col(Room.id) == shop.rooms[1].id).values(mode="maintenance")
        )
        return shop

    shop = site.write(make)
    text = look(visitor, "guest", f"/d/{shop.door.token}")
    assert "竹间空着" in text
    assert f"/rooms/{shop.room.id}/book" in text
    text = look(visitor, "guest", f"/d/{shop.doors[1].token}")
    assert "这间在维护" in text
    assert "暂时不能订" in look(visitor, "guest", f"/rooms/{shop.rooms[1].id}")


def test_unpaid_and_over(visitor: Visitor):
    site, shop = visitor.site, visitor.site.shop

    async def make(session):
        now = site.now
        far = await make_store(session, now, merchant=shop.merchant, name="别店")
        who = await make_customer(session, now)
        hours = timedelta(hours=1)
        await make_order(session, far, who, now, now=now, status="pending_payment")
        other = await make_customer(session, now)
        await make_order(session, far, other, now - 3 * hours, now=now, status="completed")
        for name, account in (("third", who), ("fourth", other)):
            token = await make_login(session, account.id, site.cloud.clocks.real)
            visitor.town.tokens[name] = token
        return far

    far = site.write(make)
    assert "还差付款" in look(visitor, "third", f"/d/{far.door.token}")
    assert "时段已结束" in look(visitor, "fourth", f"/d/{far.door.token}")


def test_an_order_tells_what_became_of_it_with_before_and_after(visitor: Visitor):
    """Who changed it, when, from what to what: in words, in the store's zone."""
    site, shop, order_id = visitor.site, visitor.site.shop, visitor.town.order("cancelled")

    noon, hour = site.now.replace(minute=0, second=0, microsecond=0), timedelta(hours=1)

    async def make(session):
        order = await session.get_one(Order, order_id)
        whose = order.model_dump(include={"merchant_id", "store_id", "account_id"})
        own: dict[str, Any] = whose | {
            "order_id": order.id,
            "was_room_id": shop.rooms[0].id,
            "was_starts_at": noon,
            "was_ends_at": noon + 2 * hour,
            "total_fen": 7600,
            "hold_expires_at": noon,
            "created_at": noon,
            "starts_at": noon,
            "ends_at": noon + 3 * hour,
        }
        moved: dict[str, Any] = {"kind": "move", "room_id": shop.rooms[1].id, "diff_fen": 3800}
        longer: dict[str, Any] = {
            "kind": "extension",
            "room_id": shop.rooms[0].id,
            "diff_fen": -100,
        }
        session.add_all(
            [
                OrderChange(by=f"customer:{order.account_id}", state="applied", **own, **moved),
                OrderChange(by="staff:1", state="applied", **own, **longer),
                OrderChange(by="staff:1", state="lapsed", **own, **longer),
            ]
        )

    site.write(make)
    text = look(visitor, "guest", f"/orders/{order_id}")
    assert "订单记录" in text
    assert "竹间 12:00–14:00 → 梅间 12:00–15:00" in text
    assert "你 · 补 ¥38" in text
    assert text.count("14:00 → 15:00") == 1  # what lapsed did not happen
    assert "店家 · 退 ¥1" in text


def test_who_comes_early_may_begin_early_and_sees_the_price_first(visitor: Visitor):
    site = visitor.site

    async def make(session):
        shop = await make_store(session, site.now, merchant=site.shop.merchant, name="早店")
        who = await make_customer(session, site.now)
        # Whole, however long the site has run: what begins at 14:01 is no multiple of the step.
        begins = site.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
        order = await make_order(session, shop, who, begins, now=site.now, status="ready")
        token = await make_login(session, who.id, site.cloud.clocks.real)
        visitor.town.tokens["early"] = token
        return shop, order

    shop, order = site.write(make)
    there = re.compile(r'href="(/orders/[^"]+/change\?[^"]+)"')
    door, page = (
        there.findall(look(visitor, "early", path))
        for path in (f"/d/{shop.door.token}", f"/orders/{order.id}")
    )
    assert len(door) == 1
    assert door == page
    text = re.sub(r"<[^>]+>|\s+", "", look(visitor, "early", html.unescape(page[0])))
    # From the next start of the grid to the same end; the sample's own hours have no price.
    assert "12:30–16:00补差价¥133" in text


def test_a_stay_that_began_shows_no_form_to_change_it_but_what_is_left(visitor: Visitor):
    """The form was there to fill in, and refused every choice."""
    began, coming = visitor.town.order("in_use"), visitor.town.order("ready")
    text = look(visitor, "guest", f"/orders/{began}/change")
    assert "已经开始或已经结束，不能再改" in text
    assert "看看差多少钱" not in text
    assert f'href="/orders/{began}/extend"' in text
    assert "看看差多少钱" in look(visitor, "guest", f"/orders/{coming}/change")


def test_another_room_is_offered_only_for_a_lock_that_fails(visitor: Visitor):
    text = look(visitor, "guest", f"/orders/{visitor.town.order('ready')}/other-room")
    assert "免费换到" not in text
    assert "tel:" in text


# ----------------------------------------------------------------------------------------- queries


def test_a_store_page_takes_the_same_queries_for_any_number_of_rooms(visitor: Visitor):
    site = visitor.site
    counts = []
    for rooms in (1, 12):
        shop = site.write(
            partial(make_store, now=site.now, merchant=site.shop.merchant, rooms=rooms)
        )
        for path in (f"/s/{shop.store.id}", f"/rooms/{shop.room.id}/book"):
            counts.append(visitor.queries("guest", path))
    assert counts[:2] == counts[2:]
    assert max(counts) <= 10


def test_the_list_of_stores_takes_the_same_queries_for_any_number_of_stores(visitor: Visitor):
    site = visitor.site
    counts = []
    for more in (0, 8):
        for _ in range(more):
            site.write(lambda s: make_store(s, site.now, merchant=site.shop.merchant, rooms=2))
        counts.append(visitor.queries("", "/"))
    assert counts[0] == counts[1] <= 7


def test_a_button_is_only_disabled_where_it_has_to_be(visitor: Visitor):
    """A copy of one's data can be asked for once; while it is made the button says so."""
    asks = look(visitor, "guest", "/me/privacy").split("/me/privacy/export")[1].split("</form>")[0]
    assert "整理一份" in asks
    assert "disabled" not in asks


def test_orders_are_found_by_their_state(visitor: Visitor):
    """One's orders by state: the chips say how many wait for something, a list holds its state alone."""
    town = visitor.town

    def shown(state: str) -> set[str]:
        text = look(visitor, "guest", f"/orders?state={state}")
        return {name for name, order in town.orders.items() if f'"/orders/{order.id}"' in text}

    first = look(visitor, "guest", "/orders")
    places = [first.index(town.orders[name].id) for name in ("in_use", "ready", "unpaid", "done")]
    assert places == sorted(places)  # what is to come, in the order it comes, then what was
    assert shown("") == {"in_use", "ready", "unpaid", "done", "cancelled"} == shown("nonsense")
    assert shown("unpaid") == {"unpaid"}
    assert shown("ready") == {"ready"}
    assert shown("in_use") == {"in_use"}
    assert shown("done") == {"done"}
    assert shown("cancelled") == {"cancelled"}
    chips = look(visitor, "guest", "/orders?state=unpaid")
    assert re.search(r'href="/orders\?state=unpaid" aria-current="true">待支付 <b>1</b>', chips)
    assert "看全部订单" not in chips


def test_what_is_recommended_says_why_and_a_room_shows_what_is_said_of_it(visitor: Visitor):
    """On the pages of group-buy and of a store: by one's own stays, or what it saves; a room's own reviews on its page."""
    site, town = visitor.site, visitor.town
    things = site.write(lambda session: furnish(session, town, site.cloud.clocks))
    store = town.shop.store
    assert f'hx-get="/s/{store.id}/offers"' in look(visitor, "guest", f"/s/{store.id}")
    mine = look(visitor, "guest", f"/s/{store.id}/offers")
    assert f"和你在{store.name}常玩的差不多长，省 ¥30" in mine
    assert f'href="/rooms/{town.shop.rooms[0].id}/book"' in mine
    assert f'href="/groupbuy/{things["campaign"]}"' in look(visitor, "guest", "/groupbuy")
    assert "比单独买省 ¥30" in look(visitor, "", "/groupbuy")
    told = visitor.get("", f"/api/v1/groupbuy/recommendations?store_id={store.id}").json()["items"]
    assert [(one["kind"], one["reason"]) for one in told] == [
        ("campaign", "比单独买省 ¥30"),
        ("package", "比按小时订至少省 ¥26"),
    ]
    bamboo, plum, rain = (f"/rooms/{room.id}" for room in town.shop.rooms)
    assert "5.0 星 · 2 条评价" in look(visitor, "", bamboo)
    assert "3.0 星 · 2 条评价" in look(visitor, "", plum)
    assert "条评价" not in look(visitor, "", rain)
    only = look(visitor, "", f"/s/{store.id}/reviews?room={town.shop.rooms[1].id}")
    assert "空调太冷" in only
    assert "新桌子" not in only


def test_while_a_store_is_offline_no_word_says_that_one_can_go_in(visitor: Visitor):
    """Its page said 现在能进 of rooms whose door nobody could open then."""
    assert "现在能进" in look(visitor, "", "/")
    text = look(visitor, "", f"/s/{visitor.town.far.store.id}")
    assert "现在能进" not in text
    assert "空闲" in text
