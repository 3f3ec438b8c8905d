"""The owner has a form open in two tabs, or two people have it open: who saves second is told (kit/seen.py)."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from typing import Any

import httpx
import pytest

from cloud_api.devices.models import Binding
from cloud_api.kit.cloud import Cloud
from tests.cloud_api.factories import Shop

SUMMER = {"begins": "06-01", "ends": "09-30"}
# form: the page it stands on, where it goes, its refusal; what each of two tabs saves.
FORMS: dict[str, tuple[str, str, str, dict[str, Any], dict[str, Any]]] = {
    "cleaning": (
        "/console/cleaning/rules", "PUT stores/{store}/cleaning-rule", "cleaning_rule.changed",
        {"photos": 2}, {"photos": 3, "keep": True},
    ),
    "scenes": (
        "/console/scenes?store={store}", "PUT stores/{store}/scenes", "scene.changed",
        {"in_use": ["table", "light"]}, {"in_use": ["table"]},
    ),
    "a room's scenes": (
        "/console/scenes?store={store}&room={room}", "PUT rooms/{room}/scenes", "scene.changed",
        {"in_use": ["table", "light"]}, {"in_use": ["table"]},
    ),
    "air": (
        "/console/scenes?store={store}", "PUT stores/{store}/air", "air.changed",
        {"summer": {**SUMMER, "mode": "cool"}}, {"summer": {**SUMMER, "mode": "dry"}},
    ),
    "a device's times": (
        "/console/scenes?store={store}", "PUT bindings/{light}/times", "binding.changed",
        {"lead_s": 60, "linger_s": None}, {"lead_s": None, "linger_s": 60},
    ),
    "doors": (
        "/console/doors?store={store}", "PATCH doors/{door}", "door.changed",
        {"name": "竹间的门", "pulse_ms": 2000}, {"name": "竹门", "pulse_ms": 1000},
    ),
    "deposits": (
        "/console/deposits", "PUT stores/{store}/deposit-rules", "deposit_rule.changed",
        {"amount_fen": 10_000, "return_minutes": 30}, {"amount_fen": 0, "return_minutes": 60},
    ),
    "where a notice goes": (
        "/console/notifications/events/order.ready", "PUT notifications/rules/order.ready",
        "rule.changed", {"enabled": True, "channels": ["sms"]}, {"enabled": False, "channels": []},
    ),
    "how a notice is said": (
        "/console/notifications/events/order.ready", "PUT notifications/templates/order.ready",
        "template.changed", {"title": "来吧"}, {"title": "", "body": "等你来"},
    ),
    "quiet hours": (
        "/console/notifications", "PUT notifications/settings", "rule.changed",
        {"quiet_from": "22:00", "quiet_until": "08:00"}, {"per_hour": 5},
    ),
}  # fmt: skip


@pytest.fixture
def with_pages() -> bool:
    return True


class Tabs:
    """Pages read and forms sent as the browser does it."""

    def __init__(self, client: httpx.AsyncClient, owner: dict[str, str], known: dict[str, str]):
        self._client, self._owner, self._known = client, owner, known

    async def drawn(self, page: str, where: str) -> str:
        """The mark on the form that goes ``where``, as it is drawn now."""
        answer = await self._client.get(page.format_map(self._known), headers=self._owner)
        assert answer.status_code == 200, answer.text[:300]
        action = f"/api/v1/console/{where.split(' ')[1].format_map(self._known)}"
        forms = re.findall(r"<form[^>]*>", answer.text)
        (form,) = {one for one in forms if f'action="{action}"' in one and "data-seen" in one}
        found = re.search(r'data-seen="([^"]+)"', form)
        assert found is not None
        return unescape(found[1])

    async def send(self, where: str, body: dict[str, Any], saw: str | None) -> httpx.Response:
        """What the form sends."""
        method, path = where.format_map(self._known).split(" ")
        headers = self._owner | ({} if saw is None else {"X-Seen": saw})
        return await self._client.request(
            method, f"/api/v1/console/{path}", json=body, headers=headers
        )


@pytest.fixture
async def tabs(client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]) -> Tabs:
    light = shop.bindings["竹间.light"]
    async with cloud.db.write() as session:
        session.add(
            Binding(
                merchant_id=shop.merchant.id, store_id=shop.store.id, board_id=light.board_id,
                capability="climate.set", channel=9, role="ac", name="空调", rooms=[shop.room.id],
                created_at=cloud.clocks.now,
            )
        )  # fmt: skip
    known = {"store": shop.store.id, "room": shop.room.id, "door": shop.door.id, "light": light.id}
    return Tabs(client, owner, known)


async def test_who_saves_second_is_told_and_writes_over_nobody(tabs: Tabs) -> None:
    """The last one who saved won, and what the other had set was gone without a word: a door opened by the
    wrong lock, a deposit was nothing again.
    """
    for form, (page, where, code, one, other) in FORMS.items():
        first, second = [await tabs.drawn(page, where) for _ in range(2)]
        saved = await tabs.send(where, one, first)
        assert saved.is_success, (form, saved.text)
        now = await tabs.drawn(page, where)
        assert saved.headers["x-seen"] == now != second, form
        late = await tabs.send(where, other, second)
        assert (late.status_code, late.json()["code"]) == (409, code), (form, late.text)
        assert "刷新" in late.json()["detail"]
        assert await tabs.drawn(page, where) == now, form
        again = await tabs.send(where, one, first)  # the answer was lost: the same act
        assert (again.is_success, again.headers["x-seen"]) == (True, now), form
        more = await tabs.send(
            where, other, saved.headers["x-seen"]
        )  # the tab that saved saves more
        assert more.is_success, (form, more.text)
        assert more.headers["x-seen"] == await tabs.drawn(page, where) != now, form


async def test_of_two_at_once_one_is_told(tabs: Tabs) -> None:
    """At the very same moment, each in a transaction of its own."""
    for form, (page, where, code, one, other) in FORMS.items():
        drawn = await tabs.drawn(page, where)
        both = await asyncio.gather(*(tabs.send(where, body, drawn) for body in (one, other)))
        assert sorted(answer.is_success for answer in both) == [False, True], form
        kept, late = sorted(both, key=lambda answer: answer.status_code)
        assert (late.status_code, late.json()["code"]) == (409, code), form
        assert await tabs.drawn(page, where) == kept.headers["x-seen"], form


async def test_who_says_nothing_of_what_was_seen_writes_as_before(tabs: Tabs) -> None:
    """Negative control, and the contract for other software: without a mark the last one wins."""
    _page, where, _code, one, other = FORMS["deposits"]
    for body in (one, other, one):
        answer = await tabs.send(where, body, None)
        assert answer.is_success
        assert answer.json()["amount_fen"] == body["amount_fen"]
