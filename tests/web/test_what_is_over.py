"""Links, offers and holds whose time has really run out: each says so, none offers what it cannot give."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy.buy import pays
from cloud_api.vouchers import service as vouchers
from tests.cloud_api.factories import bearer
from tests.web.furnished import furnish
from tests.web.town import Visitor, read, running_town

SOON_S = 30.0
OVER = "这场已经结束或取消了"


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("over")) as running:
        yield running


def see(visitor: Visitor, who: str, path: str, status: int = 200) -> str:
    answer = visitor.get(who, path)
    assert answer.status_code == status, (path, answer.status_code)
    assert read(answer.text).wrong == []
    return html.unescape(answer.text)


def act(visitor: Visitor, who: str, path: str, body: dict[str, Any] | None = None) -> Any:
    return httpx.post(
        f"{visitor.site.url}/api/v1{path}", json=body or {}, trust_env=False, timeout=60,
        headers=bearer(visitor.town.tokens[who]),
    )  # fmt: skip


def done(answer: httpx.Response) -> Any:
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.json()["detail"], answer.text
    return answer.status_code, answer.json()["code"]


def comes(visitor: Visitor, who: str, path: str, words: str) -> str:
    """The page once it says ``words``: jobs that are due run a moment later."""
    deadline = time.monotonic() + SOON_S
    while words not in (text := see(visitor, who, path)):
        assert time.monotonic() < deadline, (path, words)
        time.sleep(0.1)
    return text


def held(visitor: Visitor) -> str:
    """An order that waits for its payment."""
    begins = visitor.site.now.replace(minute=0, second=0, microsecond=0) + timedelta(days=3)
    span = {"starts_at": begins.isoformat(), "ends_at": (begins + timedelta(hours=2)).isoformat()}
    quoted = done(
        act(visitor, "guest", "/quotes", {"room_id": visitor.site.shop.rooms[1].id, **span})
    )
    return str(done(act(visitor, "guest", "/orders", {"quote_id": quoted["id"]}))["id"])


def shared(visitor: Visitor, name: str) -> str:
    """The path of an invitation to one of the guest's orders."""
    url = done(act(visitor, "guest", f"/orders/{visitor.town.order(name)}/share"))["url"]
    return str(url).removeprefix(visitor.site.url)


def given(visitor: Visitor) -> str:
    """The path of a present that is good for a day."""
    site, town = visitor.site, visitor.town

    async def make(session: AsyncSession) -> str:
        things = await furnish(session, town, site.cloud.clocks)
        terms = vouchers.Terms(
            "一日券", 120, 5800, [site.shop.store.id], site.now + timedelta(days=1),
            refundable=False, refund_on_expiry=False,
        )  # fmt: skip
        (made,) = await vouchers.issue(
            session, merchant_id=site.shop.merchant.id, account_id=town.guest.id,
            source=pays(things["group_order"]), campaign_id=things["campaign"], terms=terms, count=1, clocks=site.cloud.clocks,
        )  # fmt: skip
        return made.id

    url = done(act(visitor, "guest", f"/me/vouchers/{site.write(make)}/gift"))["url"]
    return str(url).removeprefix(site.url)


def waits(visitor: Visitor, name: str) -> None:
    """The stranger waits for the time of an order."""
    taken = visitor.town.orders[name]
    here = taken.starts_at.astimezone(ZoneInfo(visitor.site.shop.store.tz))
    asked = f"day={here:%Y-%m-%d}&time={here:%H:%M}&minutes=120"
    form = see(visitor, "stranger", f"/rooms/{taken.room_id}/wait?{asked}")
    (one, _any) = re.findall(r"data-body='?\"?(\{.*?\})", form)
    done(act(visitor, "stranger", f"/stores/{taken.store_id}/waitlist", json.loads(one)))


def test_what_is_over_says_so(visitor: Visitor) -> None:
    site, town = visitor.site, visitor.town
    order, present = held(visitor), given(visitor)
    running, coming = shared(visitor, "in_use"), shared(visitor, "ready")
    friends = f"/orders/{town.order('in_use')}/friends"
    done(act(visitor, "stranger", f"/shares/{running.rpartition('/')[2]}/join"))
    waits(visitor, "ready")
    waits(visitor, "unpaid")
    # While all of it is good: what the pages offer, so that its absence later means something.
    assert "去开门" in see(visitor, "stranger", running)
    assert "加入这一场" in see(visitor, "stranger", coming)
    assert running in see(visitor, "guest", friends)
    assert "领下这张券" in see(visitor, "stranger", present)
    assert "房间还给你留着" in see(visitor, "guest", f"/orders/{order}/pay")

    # Taken back.
    done(act(visitor, "guest", f"/orders/{town.order('ready')}/share/revoke"))
    assert "邀请链接已经收回了，请朋友再发一次" in see(visitor, "stranger", coming, 404)
    token = coming.rpartition("/")[2]
    assert refused(act(visitor, "stranger", f"/shares/{token}/join")) == (404, "share.not_found")

    # An offer that is let go by, twice.
    done(act(visitor, "guest", f"/orders/{town.order('unpaid')}/cancel"))
    text = comes(visitor, "stranger", "/me/waitlist", "空出来了")
    assert "上次给你留的时间过了" not in text
    (entry,) = re.findall(r'action="/api/v1(/me/waitlist/[^"]+)/take"', text)
    site.passes(minutes=16)
    comes(visitor, "stranger", "/me/waitlist", "上次给你留的时间过了")
    comes(visitor, "stranger", "/me/waitlist", "空出来了")  # alone in line: offered again
    site.passes(minutes=16)
    deadline = time.monotonic() + SOON_S
    while f"{entry}/leave" in (text := see(visitor, "stranger", "/me/waitlist")):
        assert time.monotonic() < deadline, text
        time.sleep(0.1)
    assert refused(act(visitor, "stranger", f"{entry}/take")) == (409, "wait.no_offer")

    # The hold ran out while it did.
    text = comes(visitor, "guest", f"/orders/{order}", "超时没有付款，订单已取消")
    assert f"/orders/{order}/pay" not in text
    answer = visitor.get("guest", f"/orders/{order}/pay")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/orders/{order}")
    paid = act(visitor, "guest", f"/orders/{order}/pay", {"provider": "cashier", "channel": "page"})
    assert paid.status_code == 409
    assert paid.json()["detail"]

    # The stay is over: nobody joins it, whoever did does not go in by it, and nobody is asked any more.
    site.passes(hours=2)
    for who in ("stranger", "cleaner"):
        text = see(visitor, who, running)
        assert OVER in text
        assert f"/s/{site.shop.store.id}" in text
        assert "去开门" not in text
        assert "加入这一场" not in text
    token = running.rpartition("/")[2]
    assert refused(act(visitor, "cleaner", f"/shares/{token}/join")) == (409, "share.not_live")
    text = see(visitor, "guest", friends)
    assert OVER in text
    assert running not in text
    assert "生成邀请链接" not in text

    # The time waited for began and nobody had given it up: it is waited for no more.
    site.passes(hours=6)
    assert "你没有在排候补" in see(visitor, "stranger", "/me/waitlist")

    site.passes(hours=16)
    text = see(visitor, "stranger", present)
    assert "这份礼物已经被领走、收回或过期了" in text
    assert "领下这张券" not in text
    token = present.rpartition("/")[2]
    assert refused(act(visitor, "stranger", f"/gifts/{token}/take")) == (404, "gift.not_found")
