"""Steering from afar: temperatures, words, a whole store; what is refused, and what the log keeps."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlmodel import col, select, update

from cloud_api.audit.models import AuditEntry
from cloud_api.devices import air_defaults
from cloud_api.devices.models import Binding, Board, DeviceCommand, StoreStatus
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.store_channel.outcomes import Outcome, settle
from cloud_api.stores.models import Room, Store
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff, reported


@pytest.fixture
async def fitted(db: Database, shop: Shop, now: datetime) -> dict[str, str]:
    """An air conditioner and a speaker in the first room; ids by name."""
    own: dict[str, Any] = {
        "merchant_id": shop.merchant.id, "store_id": shop.store.id, "created_at": now,
    }  # fmt: skip
    made = {}
    async with db.write() as session:
        for name, profile, capability, role in (
            ("air", "haier.ycj-a002", "climate.set", "ac"),
            ("split", "onokom.air-gr-1-mb-b", "climate.set", "ac"),
            ("voice", "dy.sv17f", "speaker.say", "speaker"),
            ("reader", "hzgrow.gm65", "input.code", "reader"),
        ):
            board = Board(name=name, profile=profile, port=f"{name}-1", **own)
            session.add(board)
            await session.flush()
            binding = Binding(
                board_id=board.id, name=name, capability=capability, role=role,
                rooms=[shop.room.id], **own,
            )  # fmt: skip
            session.add(binding)
            made[name] = binding.id
        status = (await session.exec(select(StoreStatus))).one()
        air = {"binding": made["split"], "quality": "ok", "modes": ["dry"], "fans": ["low"]}
        status.reported = reported(shop, now, airs=[air])
        session.add(status)
    return made


async def login(db: Database, shop: Shop, now: datetime, role: str = "owner") -> dict[str, str]:
    async with db.write() as session:
        member = await make_staff(session, shop, now, role=role)
        return bearer(await make_login(session, member.account_id, now))


async def store_says(
    cloud: Cloud, db: Database, how: dict[str, Outcome] | Outcome, count: int = 1
) -> list[DeviceCommand]:
    """Answer the next ``count`` commands as a store would; ``how`` by binding id, or one for all."""
    answered: list[DeviceCommand] = []
    while len(answered) < count:
        await asyncio.sleep(0.02)
        async with db.write() as session:
            query = select(DeviceCommand).where(col(DeviceCommand.state) == "created")
            for command in (await session.exec(query)).all():
                outcome = how if isinstance(how, Outcome) else how[command.target]
                await settle(session, cloud, command.store_id, command.id, outcome)
                answered.append(command)
    return answered


async def test_a_temperature_and_words_go_to_the_store_and_its_answer_comes_back(
    client: httpx.AsyncClient, cloud: Cloud, db: Database, shop: Shop, now: datetime,
    fitted: dict[str, str],
) -> None:  # fmt: skip
    headers = await login(db, shop, now)
    for name, act, body, state in (
        ("air", "climate", {"setpoint": 26, "for_s": 1800, "why": "客人说冷"}, "done"),
        ("voice", "say", {"clip": "ends_in_15", "why": "提醒"}, "unknown"),
        (
            "split",
            "climate",
            {"mode": "dry", "fan": "low", "for_s": 600, "why": "客人说潮"},
            "done",
        ),
        ("air", "clear", {"why": "好了"}, "failed"),
    ):
        path = f"/api/v1/console/bindings/{fitted[name]}/{act}"
        posted, (command,) = await asyncio.gather(
            client.post(path, json=body, headers=headers), store_says(cloud, db, Outcome(state))
        )
        assert (posted.status_code, posted.json()["state"]) == (200, state), posted.text
        assert command.action == act
        assert command.args == {k: v for k, v in body.items() if k != "why"}
    async with db.read() as session:
        kept = (await session.exec(select(AuditEntry).order_by(col(AuditEntry.seq)))).all()
    assert [one.action for one in kept] == [
        *("device.climate", "device.say", "device.climate", "device.clear")
    ]
    assert kept[0].why == "客人说冷"


async def test_what_a_device_cannot_do_is_refused_before_it_is_sent(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime, fitted: dict[str, str]
) -> None:
    headers = await login(db, shop, now)
    table = shop.bindings["竹间.table"].id
    why = "看看行不行"
    for target, act, body, code in (
        (fitted["air"], "climate", {"setpoint": 31, "why": why}, "climate.out_of_range"),
        (fitted["air"], "climate", {"mode": "cool", "why": why}, "climate.no_mode"),
        (fitted["air"], "climate", {"fan": "low", "why": why}, "climate.no_fan"),
        (fitted["split"], "climate", {"why": why}, "climate.nothing"),
        (fitted["split"], "climate", {"mode": "freeze", "why": why}, "invalid"),
        (fitted["voice"], "say", {"clip": "anthem", "why": why}, "speaker.no_clip"),
        (table, "climate", {"setpoint": 26, "why": why}, "binding.no_climate"),
        (table, "say", {"clip": "welcome"}, "binding.no_speaker"),
        (fitted["air"], "set", {"on": True, "why": why}, "binding.not_a_switch"),
        (fitted["air"], "climate", {"setpoint": 26, "why": " "}, "why.missing"),
        (fitted["air"], "climate", {"setpoint": 26, "why": why, "for_s": 86401}, "invalid"),
    ):
        path = f"/api/v1/console/bindings/{target}/{act}"
        told = await client.post(path, json=body, headers=headers)
        assert (told.status_code, told.json()["code"]) == (422, code), told.text
    async with db.read() as session:
        assert (await session.exec(select(DeviceCommand))).all() == []


async def test_the_whole_store_off_spares_who_has_paid(
    client: httpx.AsyncClient, cloud: Cloud, db: Database, shop: Shop, now: datetime
) -> None:
    """One command for each device; the store's refusal under a paid stay is told, not hidden (I5)."""
    headers = await login(db, shop, now)
    path = f"/api/v1/console/stores/{shop.store.id}/bulk"
    switched = {one.id for one in shop.bindings.values() if one.capability == "switch.set"}
    paid = shop.bindings["竹间.table"].id
    how = {one: Outcome("done") for one in switched} | {paid: Outcome("refused", "stay_running")}
    body = {"what": "all_off", "why": "打烊了"}
    told, asked = await asyncio.gather(
        client.post(path, json=body, headers=headers), store_says(cloud, db, how, len(switched))
    )
    assert told.status_code == 200, told.text
    answer = told.json()
    assert (answer["total"], answer["done"]) == (len(switched), len(switched) - 1)
    assert "1 个客人在用，没有动" in answer["message"]
    assert {one.target for one in asked} == switched
    assert all(one.args == {"on": False, "for_s": 3600, "force": False} for one in asked)


async def test_who_may_force_and_who_may_switch_a_whole_store(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime
) -> None:
    headers = await login(db, shop, now, "customer_service")
    table = shop.bindings["竹间.table"].id
    body = {"on": False, "why": "客人要求", "force": True}
    forced = await client.post(f"/api/v1/console/bindings/{table}/set", json=body, headers=headers)
    assert (forced.status_code, forced.json()["permission"]) == (403, "device.force")
    path = f"/api/v1/console/stores/{shop.store.id}/bulk"
    whole = await client.post(path, json={"what": "all_off", "why": "打烊"}, headers=headers)
    assert (whole.status_code, whole.json()["permission"]) == (403, "device.bulk")


async def test_a_cleaner_opens_rooms_that_are_being_cleaned_and_no_others(
    client: httpx.AsyncClient, cloud: Cloud, db: Database, shop: Shop, now: datetime
) -> None:
    headers = await login(db, shop, now, "cleaner")
    path = f"/api/v1/console/doors/{shop.door.id}/unlock-to-clean"
    refused = await client.post(path, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "room.not_cleaning")
    async with db.write() as session:
        await session.exec(update(Room).where(col(Room.id) == shop.room.id).values(mode="cleaning"))
    opened, (command,) = await asyncio.gather(
        client.post(path, headers=headers), store_says(cloud, db, Outcome("done"))
    )
    assert (opened.status_code, opened.json()["state"]) == (200, "done"), opened.text
    assert (command.action, command.why) == ("unlock", "保洁")


async def test_a_door_gets_its_reader_and_no_foreign_device(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime, clocks: Clocks,
    fitted: dict[str, str],
) -> None:  # fmt: skip
    headers = await login(db, shop, now)
    path = f"/api/v1/console/doors/{shop.door.id}"
    told = await client.patch(path, json={"reader_binding_id": fitted["reader"]}, headers=headers)
    assert told.status_code == 200, told.text
    assert told.json()["reader_binding_id"] == fitted["reader"]
    listed = await client.get(f"/api/v1/console/stores/{shop.store.id}/doors", headers=headers)
    assert {one["id"]: one["reader_binding_id"] for one in listed.json()["items"]}[
        shop.door.id
    ] == fitted["reader"]
    for body in ({"lock_binding_id": fitted["reader"]}, {"reader_binding_id": "nobodys"}):
        bad = await client.patch(path, json=body, headers=headers)
        assert (bad.status_code, bad.json()["code"]) == (422, "door.bad_binding")
        assert bad.json()["field"] in body
    bad = await client.patch(path, json={"cards_binding_id": fitted["reader"]}, headers=headers)
    assert (bad.status_code, bad.json()["field"]) == (422, "cards_binding_id")
    off = await client.patch(path, json={"reader_binding_id": None}, headers=headers)
    assert off.json()["reader_binding_id"] is None


async def test_a_store_with_an_older_program_is_told_nothing_that_it_would_overlook(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime, fitted: dict[str, str]
) -> None:
    """It obeys the temperature and says done; the guest would wait for a dry room all evening."""
    headers = await login(db, shop, now)
    path = f"/api/v1/console/bindings/{fitted['split']}/climate"
    async with db.write() as session:
        status = (await session.exec(select(StoreStatus))).one()
        status.reported, status.reported_at = reported(shop, now), now
        session.add(status)
    body = {"mode": "dry", "setpoint": 24, "why": "客人说潮"}
    told = await client.post(path, json=body, headers=headers)
    assert (told.status_code, told.json()["code"]) == (409, "climate.store_too_old")
    async with db.read() as session:
        assert (await session.exec(select(DeviceCommand))).all() == []


async def test_the_seasons_of_a_store_and_of_a_room_come_to_the_store(
    client: httpx.AsyncClient, cloud: Cloud, db: Database, shop: Shop, now: datetime
) -> None:
    headers = await login(db, shop, now)
    summer = {"mode": "cool", "setpoint": 26, "begins": "06-01", "ends": "09-30"}
    whole = {"summer": summer, "cleaning": {"mode": "fan", "fan": "high"}}
    own = {"summer": {**summer, "setpoint": 24}, "rest": {"fan": "low"}}
    for path, body in ((f"stores/{shop.store.id}", whole), (f"rooms/{shop.room.id}", own)):
        put = await client.put(f"/api/v1/console/{path}/air", json=body, headers=headers)
        assert put.status_code == 204, put.text
    winter = {"mode": "heat", "begins": "09-15", "ends": "03-15"}
    both = await client.put(
        f"/api/v1/console/stores/{shop.store.id}/air",
        json={"summer": summer, "winter": winter},
        headers=headers,
    )
    assert (both.status_code, both.json()["code"]) == (422, "air.seasons_overlap")
    async with db.read() as session:
        store = await session.get_one(Store, shop.store.id)
        room = await session.get_one(Room, shop.room.id)
    mine, theirs = air_defaults.rules_of(store, room), air_defaults.rules_of(store)
    assert [(r.phase, r.mode, r.setpoint, r.fan) for r in theirs] == [
        ("stay", "cool", 26, None),
        ("cleaning", "fan", None, "high"),
    ]
    assert [(r.setpoint, r.fan, r.begins) for r in mine] == [
        (24, None, "06-01"),
        (None, "low", None),
    ]
    back = {"own": False}
    gone = await client.put(f"/api/v1/console/rooms/{shop.room.id}/air", json=back, headers=headers)
    assert gone.status_code == 204
    async with db.read() as session:
        room = await session.get_one(Room, shop.room.id)
        assert air_defaults.rules_of(store, room) == theirs
