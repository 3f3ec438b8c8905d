"""What a store does by itself, from the console to its document; staff's keys; a bundle that was asked for."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import httpx
from sqlmodel import select

from cloud_api.audit.models import AuditEntry
from cloud_api.devices.models import Diagnostics, StaffKey, StoreStatus
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.staff import service as staff
from cloud_api.staff.models import StaffMember
from store_link.clock import ms
from store_link.messages import Desired
from store_link.staff_keys import staff_key_matches
from tests.cloud_api.factories import Shop, make_staff
from tests.cloud_api.store_channel.store_side import StoreSide
from tests.cloud_api.store_channel.test_desired import built

EVENINGS = {
    "name": "招牌",
    "days": ["fri", "sat", "holiday"],
    "begins": "17:30",
    "ends": "02:00",
}


class Console:
    """The owner at the API."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self._client, self._headers, self._n = client, headers, 0

    async def __call__(self, method: str, path: str, body: Any = None) -> httpx.Response:
        self._n += 1
        headers = {**self._headers, "Idempotency-Key": f"key-{self._n:08d}"}
        return await self._client.request(
            method, f"/api/v1/console{path}", json=body, headers=headers
        )


async def test_schedules_scenes_words_and_times_reach_the_store(
    cloud: Cloud, shop: Shop, store: StoreSide, client: httpx.AsyncClient, owner: dict[str, str]
) -> None:
    ask = Console(client, owner)
    light, table = shop.bindings["竹间.light"].id, shop.bindings["竹间.table"].id
    path = f"/stores/{shop.store.id}/schedules"
    made = await ask("POST", path, {**EVENINGS, "bindings": [light]})
    assert made.status_code == 200, made.text
    refused = await ask("POST", path, {**EVENINGS, "bindings": [shop.bindings["竹间.lock"].id]})
    assert (refused.status_code, refused.json()["code"]) == (422, "schedule.bad_binding")
    refused = await ask("POST", path, {**EVENINGS, "bindings": [light], "begins": "25:00"})
    assert (refused.status_code, refused.json()["field"]) == (422, "begins")

    scenes = {"in_use": ["table", "light"], "grace": ["light"], "arrival": ["light"]}
    assert (await ask("PUT", f"/rooms/{shop.room.id}/scenes", scenes)).status_code == 204
    refused = await ask("PUT", f"/stores/{shop.store.id}/scenes", {"in_use": ["light"]})
    assert refused.json()["code"] == "scene.table_off"
    summer = {"mode": "cool", "setpoint": 26, "begins": "06-01", "ends": "09-30"}
    air = {"summer": summer, "cleaning": {"mode": "fan"}}
    assert (await ask("PUT", f"/stores/{shop.store.id}/air", air)).status_code == 204
    times = {"lead_s": 900, "linger_s": 120}
    assert (await ask("PUT", f"/bindings/{light}/times", times)).status_code == 204
    assert (await ask("PUT", f"/bindings/{table}/times", times)).status_code == 422
    habits = {"overtime_power": "keep", "quiet_from": "22:00", "quiet_until": "08:00"}
    habits |= {"say_welcome": True, "entry_again_s": 60}  # type: ignore[dict-item]
    assert (await ask("PATCH", f"/stores/{shop.store.id}", habits)).status_code == 200
    refused = await ask("PATCH", f"/stores/{shop.store.id}", {"quiet_from": None})
    assert refused.json()["code"] == "store.half_quiet"

    found: Desired = await built(cloud, store)
    (schedule,) = found.schedules
    assert schedule.bindings == (light,)
    assert schedule.spans[0].days == ("fri", "sat", "holiday")
    assert (schedule.spans[0].begins, schedule.spans[0].ends) == ("17:30", "02:00")
    room = next(one for one in found.rooms if one.id == shop.room.id)
    assert room.overtime == "keep"
    assert room.scenes is not None
    assert [step.role for step in room.scenes.arrival] == ["light"]
    for shown in (found.scenes, room.scenes):  # a room with scenes of its own, too
        assert [(rule.phase, rule.mode) for rule in shown.air] == [
            ("stay", "cool"),
            ("cleaning", "fan"),
        ]
    assert next(b for b in found.bindings if b.id == light).lead_s == 900
    assert found.voice.welcome
    assert (found.voice.quiet_from, found.entry.again_after_s) == ("22:00", 60)
    assert {day.kind for day in found.days} == {"holiday", "workday"}

    key = made.json()["id"]
    changed = {**EVENINGS, "bindings": [light], "active": False}
    assert (await ask("PUT", f"{path}/{key}", changed)).status_code == 200
    assert (await built(cloud, store)).schedules == ()
    assert (await ask("DELETE", f"/schedules/{key}")).status_code == 204
    assert (await ask("GET", path)).json()["items"] == []
    own = {**scenes, "own": False}
    assert (await ask("PUT", f"/rooms/{shop.room.id}/scenes", own)).status_code == 204
    assert (await built(cloud, store)).rooms[0].scenes is None


async def test_a_key_works_while_it_and_its_holder_do(
    cloud: Cloud, shop: Shop, store: StoreSide, client: httpx.AsyncClient, owner: dict[str, str]
) -> None:
    ask, now = Console(client, owner), cloud.clocks.real
    async with cloud.db.write() as session:
        ann = await make_staff(session, shop, now, role="cleaner")
    card = {"staff_id": ann.id, "kind": "card", "card": "04:a2:2b:91", "doors": [shop.door.id]}
    given = await ask("POST", "/staff-keys", card)
    assert given.status_code == 200, given.text
    assert "04A22B91" not in given.text
    taken = await ask("POST", "/staff-keys", card)
    assert taken.json()["code"] == "staff_key.taken"
    for wrong, why in (
        ({"card": "!"}, "staff_key.bad_card"),
        ({"doors": ["nowhere"]}, "staff_key.bad_door"),
        ({"begins": "08:00"}, "staff_key.half_hours"),
        ({"until": "2020-01-01T00:00:00+08:00"}, "staff_key.past"),
    ):
        assert (await ask("POST", "/staff-keys", {**card, **wrong})).json()["code"] == why
    code = await ask("POST", "/staff-keys", {"staff_id": ann.id, "kind": "code"})
    async with cloud.db.read() as session:
        secret = (await session.get_one(StaffKey, code.json()["id"])).secret
    assert len(secret) == 8

    found = await built(cloud, store)
    assert [key.staff for key in found.staff] == [ann.id, ann.id]
    by_kind = {key.kind: key for key in found.staff}
    assert by_kind["card"].doors == (shop.door.id,)
    assert by_kind["code"].doors is None
    mac = store.enrolled.mac.secret
    assert staff_key_matches(mac, "card", ann.id, "04A22B91", by_kind["card"].hmac)
    assert staff_key_matches(mac, "code", ann.id, secret, by_kind["code"].hmac)
    assert secret not in found.model_dump_json()

    assert (await ask("DELETE", f"/staff-keys/{given.json()['id']}")).status_code == 204
    assert [key.kind for key in (await built(cloud, store)).staff] == ["code"]
    async with cloud.db.write() as session:
        boss = (await session.exec(select(StaffMember))).first()
        assert boss is not None
        await staff.deactivate(session, staff.actor_of(boss), ann.id, cloud.clocks)
    await run_due(cloud)
    assert (await built(cloud, store)).staff == ()
    async with cloud.db.read() as session:
        acts = {one.action for one in await session.exec(select(AuditEntry))}
    assert {"staff_key.give", "staff_key.take"} <= acts


async def test_a_bundle_comes_once_from_the_store_that_was_asked(
    cloud: Cloud,
    shop: Shop,
    store: StoreSide,
    client: httpx.AsyncClient,
    owner: dict[str, str],
) -> None:
    ask = Console(client, owner)
    async with cloud.db.write() as session:
        row = Diagnostics(
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            asked_by="staff:1",
            why="门不开",
            created_at=cloud.clocks.real,
        )
        session.add(row)
    content = b'{"version": "0.1.0"}'

    async def send(body: bytes, *, signed: bytes | None = None, bundle: str = row.id) -> int:
        path = f"/edge/v1/diagnostics/{bundle}"
        at = ms(cloud.clocks.real)
        digest = hashlib.sha256(signed or body).hexdigest()
        text = f"POST\n{path}\n{store.store}\n{at}\n{digest}".encode()
        proof = hmac.new(store.enrolled.mac.secret, text, hashlib.sha256).hexdigest()
        header = {"Authorization": f"KaimenStore {store.store} {at} {proof}"}
        return (await client.post(path, content=body, headers=header)).status_code

    assert (await ask("GET", f"/diagnostics/{row.id}")).status_code == 404
    assert await send(b"{}", signed=content) == 401
    assert await send(content, bundle="nobody") == 404
    assert await send(content) == 204
    assert await send(content) == 404
    got = await ask("GET", f"/diagnostics/{row.id}")
    assert got.content == content
    assert "attachment" in got.headers["content-disposition"]
    async with cloud.db.write() as session:
        status = await session.get_one(StoreStatus, shop.store.id)
        status.online = False
        session.add(status)
    offline = await ask("POST", f"/stores/{shop.store.id}/diagnostics", {"why": "门不开"})
    assert (offline.status_code, offline.json()["code"]) == (409, "store.offline")
