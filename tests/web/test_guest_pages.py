"""What pages tell a guest: of money and a level, of a store before coming, of a time that one waits for."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlmodel import col, select, update

from cloud_api.members.models import MemberLevel, Membership
from cloud_api.orders.models import OvertimeCharge
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt, ProviderAccount
from cloud_api.stores.models import Store
from cloud_api.web.customer.checkout import overtime_rule
from tests.cloud_api.factories import bearer
from tests.web.town import Visitor, running_town

LINES = [{"hourly_fen": 3800}, {"hourly_fen": 4800}, {"hourly_fen": 0}]  # the last is a discount


@pytest.mark.parametrize(
    ("told", "values"),
    [
        ("到点后有 10 分钟收拾，请按时离开", {}),
        ("到点请按时离开", {"grace_s": 0}),
        (
            "到点后 10 分钟内离开不加钱；超时每 15 分钟加 ¥6，不满也算；最多加 ¥60",
            {"overtime_mode": "per_unit", "overtime_unit_fen": 600, "overtime_cap_fen": 6000},
        ),
        (
            "到点后 15 分钟内离开不加钱；超时每 15 分钟加 ¥18，不满也算",
            {"overtime_mode": "per_cent", "overtime_per_cent": 150, "overtime_free_minutes": 5},
        ),
        (
            "超时每 30 分钟加 ¥20，不满也算",
            {
                "overtime_mode": "per_unit",
                "overtime_unit_minutes": 30,
                "overtime_unit_fen": 2000,
                "grace_s": 0,
            },
        ),
    ],
)
def test_the_rule_is_told_at_the_price_of_the_last_hour(told: str, values: dict[str, Any]):
    store = Store(merchant_id="m", name="店", **{"grace_s": 600, **values})
    assert overtime_rule(store, LINES) == told


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("money")) as running:
        yield running


def page(visitor: Visitor, who: str, path: str) -> str:
    answer = visitor.get(who, path)
    assert answer.status_code == 200, (path, answer.headers.get("location"))
    return answer.text


def test_the_running_stay_tells_what_overtime_costs_so_far(visitor: Visitor):
    shop, path = visitor.site.shop, f"/orders/{visitor.town.order('over')}/stay"
    assert "目前" not in visitor.get("stranger", path).text  # this store does not charge
    rule = {"overtime_mode": "per_unit", "overtime_unit_fen": 600, "grace_s": 600}
    visitor.site.write(
        lambda s: s.exec(update(Store).where(col(Store.id) == shop.store.id).values(**rule))
    )
    text = visitor.get("stranger", path).text  # ended half an hour ago: two units of a quarter
    assert "超时中，目前 ¥12，离开就停止计费" in text
    assert "+0:30" in text
    assert "11:30 到点了，你还在使用" in visitor.get("stranger", path[:-5]).text
    assert "目前" not in visitor.get("guest", f"/orders/{visitor.town.order('in_use')}/stay").text


def test_overtime_that_is_due_is_disputed_from_the_order(visitor: Visitor):
    """The order says what is owed and why, and leads to a question about it; a kind of its own."""
    site, over = visitor.site, visitor.town.orders["done"]

    async def owes(session):
        session.add(
            OvertimeCharge(
                merchant_id=over.merchant_id, store_id=over.store_id, account_id=over.account_id,
                order_id=over.id, state="due", seconds=1140, minutes=19, free_minutes=0, units=2,
                unit_minutes=15, unit_fen=600, amount_fen=1200, left_at=over.ends_at,
                created_at=site.now,
            )
        )  # fmt: skip

    site.write(owes)
    text = page(visitor, "guest", f"/orders/{over.id}")
    assert "超时 19 分钟，按 15 分钟 ¥6 计 ¥12" in text
    assert "待付超时费" in text
    (href,) = re.findall(r'href="([^"]+kind=dispute)"', text)
    assert '<option value="dispute" selected>' in page(visitor, "guest", href)
    asked = httpx.post(
        f"{site.url}/api/v1/tickets", trust_env=False, timeout=60,
        json={"order_id": over.id, "kind": "dispute", "text": "我们到点就走了"},
        headers=bearer(visitor.town.tokens["guest"]),
    )  # fmt: skip
    assert asked.status_code == 200, asked.text
    assert "我们到点就走了" in page(visitor, "guest", f"/me/tickets/{asked.json()['id']}")

    async def settled(session):
        row = (await session.exec(select(OvertimeCharge))).one()
        await session.delete(row)

    site.write(settled)


def test_who_is_a_member_reads_it_on_ones_own_page(visitor: Visitor):
    """Somebody who was given a level saw it nowhere but in the price of a booking."""
    site = visitor.site

    async def golden(session):
        own: dict[str, Any] = {"merchant_id": site.shop.merchant.id, "created_at": site.now}
        level = MemberLevel(name="金卡", per_cent=85, **own)
        session.add(level)
        await session.flush()
        account = visitor.town.guest.id
        session.add(Membership(account_id=account, level_id=level.id, by="test", **own))

    assert "金卡" not in page(visitor, "guest", "/me")
    site.write(golden)
    text = page(visitor, "guest", "/me")
    assert "金卡会员 8.5 折" in text
    assert site.shop.merchant.name in text
    told = visitor.get("guest", "/api/v1/me/levels").json()["items"]
    assert [(one["name"], one["per_cent"]) for one in told] == [("金卡", 85)]
    assert "金卡" not in page(visitor, "stranger", "/me")


def test_a_payment_that_nobody_knows_of_is_never_called_failed(visitor: Visitor):
    """Shown as failed with a button to pay again, guests who had paid paid twice."""
    site = visitor.site
    order = visitor.town.orders["unpaid"]
    path = f"/orders/{order.id}/pay"

    async def begin(session):
        account = (await session.exec(select(ProviderAccount))).first()
        store = await session.get_one(Store, order.store_id)
        return await payments.open_payment(
            session, store=store, account_id=order.account_id, pays=f"order:{order.id}",
            number=f"{order.number}-9", amount_fen=order.total_fen, subject="竹间",
            return_url="http://x.test/", expires_at=order.hold_expires_at,
            provider=account.provider, channel="page", clocks=site.cloud.clocks,
        )  # fmt: skip

    made = site.write(begin)
    for state, waits in (("created", True), ("unknown", True), ("pending", True), ("succeeded", True), ("closed", False), ("failed", False)):  # fmt: skip

        async def becomes(session, state=state):
            row = await session.get_one(PaymentAttempt, made.id)
            row.state = state
            row.succeeded_at = site.now if state == "succeeded" else None
            session.add(row)

        site.write(becomes)
        text = page(visitor, "guest", path)
        assert ("没付成，钱没有扣" in text) is (not waits), state
        assert ('id="payform"' in text) is (not waits), state
        assert ("先别再付一次" in text) is waits, state

    async def gone(session):
        await session.delete(await session.get_one(PaymentAttempt, made.id))

    site.write(gone)


def test_a_store_tells_what_one_has_to_know_before_coming(visitor: Visitor):
    """Notice, about, hours and the days that differ, phone; each room's state; the password of the WiFi never."""
    site = visitor.site
    holiday = (site.now + timedelta(days=3)).date().isoformat()

    async def told(session):
        store = await session.get_one(Store, site.shop.store.id)
        store.notice, store.about = "二楼左手边，不能抽烟", "老房子改的"
        store.days = {holiday: {"name": "店庆", "hours": [["10:00", "22:00"]], "as": None}}
        store.wifi_name, store.wifi_password = "queyou", "88888888"
        session.add(store)

    site.write(told)
    text = page(visitor, "guest", f"/s/{site.shop.store.id}")
    for words in ("二楼左手边，不能抽烟", "老房子改的", "店庆", "10:00–22:00", "tel:", "营业"):
        assert words in text, words
    for state in ("使用中", "已预约"):
        assert state in text, state
    assert "88888888" not in text
    stay = f"/orders/{visitor.town.order('in_use')}/stay"
    assert "88888888" in page(visitor, "guest", stay)  # told to who is in


def test_who_waits_for_a_taken_time_is_offered_it_and_takes_it(visitor: Visitor):
    """From the room's page to the place in line, the offer, and the order to be paid."""
    site, taken = visitor.site, visitor.town.orders["unpaid"]
    here = taken.starts_at.astimezone(ZoneInfo(site.shop.store.tz))
    room = page(visitor, "stranger", f"/rooms/{taken.room_id}")
    assert f"/rooms/{taken.room_id}/wait" in room
    asked = f"day={here:%Y-%m-%d}&time={here:%H:%M}&minutes=120"
    form = html.unescape(page(visitor, "stranger", f"/rooms/{taken.room_id}/wait?{asked}"))
    (one, _any) = re.findall(r"data-body='?\"?(\{.*?\})", form)
    act = partial(httpx.post, headers=bearer(visitor.town.tokens["stranger"]), trust_env=False)
    joined = act(
        f"{site.url}/api/v1/stores/{taken.store_id}/waitlist", json=json.loads(one), timeout=60
    )
    assert joined.status_code == 200, joined.text
    assert "你排第一" in page(visitor, "stranger", "/me/waitlist")
    gone = httpx.post(
        f"{site.url}/api/v1/orders/{taken.id}/cancel", json={}, trust_env=False, timeout=60,
        headers=bearer(visitor.town.tokens["guest"]),
    )  # fmt: skip
    assert gone.status_code == 200, gone.text
    deadline = time.monotonic() + 30
    while "空出来了" not in (text := page(visitor, "stranger", "/me/waitlist")):
        assert time.monotonic() < deadline, text
        time.sleep(0.1)
    (take,) = re.findall(r'action="(/api/v1/me/waitlist/[^"]+/take)"', text)
    got = act(f"{site.url}{take}", json={}, timeout=60)
    assert got.status_code == 200, got.text
    assert "房间还给你留着" in page(visitor, "stranger", f"/orders/{got.json()['id']}/pay")
