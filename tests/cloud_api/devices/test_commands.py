"""Commands, switching by hand, enrolment codes, and what a store reports."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import httpx
import pytest
from sqlmodel import select, update

from cloud_api.devices import commands, service
from cloud_api.devices.commands import words
from cloud_api.devices.models import DeviceCommand, EnrolmentCode, StoreStatus
from cloud_api.kit.actor import System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.errors import Forbidden, KaimenError
from cloud_api.kit.models import OutboxRow
from cloud_api.staff.permissions import DEVICE_CONTROL
from store_link.messages import AckState, Reason
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff, staff


@pytest.fixture
async def owner(db: Database, shop: Shop, now: datetime) -> dict[str, str]:
    async with db.write() as session:
        member = await make_staff(session, shop, now)
        return bearer(await make_login(session, member.account_id, now))


async def make(session, shop: Shop, clocks: Clocks, valid_s: float = 10) -> DeviceCommand:
    return await service.create_command(
        session,
        System(),
        store=shop.store,
        target=shop.door.id,
        action="unlock",
        args={},
        why="",
        order_id=None,
        clocks=clocks,
        instance="test",
        valid_s=valid_s,
    )


@pytest.mark.parametrize("values", [{"online": False}, {"nonce": None}])
async def test_nothing_is_written_for_a_store_that_is_away(
    db: Database, shop: Shop, clocks: Clocks, values: dict[str, object]
):
    """A command for an offline store would be worth nothing: no row, no outbox row, said at once."""
    async with db.write() as session:
        await session.exec(update(StoreStatus).values(**values))
    with pytest.raises(KaimenError) as caught:
        async with db.write() as session:
            await make(session, shop, clocks)
    assert (caught.value.code, caught.value.status) == ("store.offline", 409)
    async with db.read() as session:
        assert (await session.exec(select(DeviceCommand))).all() == []
        assert (await session.exec(select(OutboxRow))).all() == []


async def test_a_store_never_heard_of_is_away(db: Database, shop: Shop, clocks: Clocks):
    async with db.write() as session:
        await session.delete(await session.get(StoreStatus, shop.store.id))
    with pytest.raises(service.StoreOffline):
        async with db.write() as session:
            await make(session, shop, clocks)


async def test_the_waiter_hears_this_process_at_once(
    cloud: Cloud, db: Database, shop: Shop, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(commands, "LOOK_EVERY_S", 300.0)
    async with db.write() as session:
        command = await make(session, shop, clocks, valid_s=600)
    waiting = asyncio.create_task(service.wait_for(cloud, command.id, command.expires_at))
    await asyncio.sleep(0.05)
    async with db.write() as session:
        await session.exec(update(DeviceCommand).values(state="done", final_at=clocks.real))
    cloud.waiters.resolve(command.id, {})
    found = await asyncio.wait_for(waiting, 30)  # before it would have looked by itself
    assert found["state"] == "done"


async def test_who_waits_for_a_store_that_lost_its_line_hears_so_at_once(
    cloud: Cloud, db: Database, shop: Shop, clocks: Clocks
):
    """Seen: a store left just after a tap, and the guest stood before the door for eleven seconds until they
    heard that nobody answers. A late answer still counts: the row keeps its state.
    """
    async with db.write() as session:
        command = await make(session, shop, clocks, valid_s=60)
    until = command.expires_at
    waiting = asyncio.create_task(service.wait_for(cloud, command.id, until, fresh=command))
    async with db.write() as session:
        await session.exec(update(DeviceCommand).values(state="sent", sent_at=clocks.real))
    await asyncio.sleep(0.4)
    assert not waiting.done()  # the control: it is there, so its answer is waited for
    async with db.write() as session:
        await session.exec(update(StoreStatus).values(online=False, nonce=None))
    found = await asyncio.wait_for(waiting, 30)
    assert (found["state"], found["reason"], found["final"]) == ("unknown", "store_lost", True)
    assert "断网" in found["message"]
    async with db.read() as session:
        assert (await session.exec(select(DeviceCommand.state))).one() == "sent"


async def test_two_wait_for_one_command(cloud: Cloud, db: Database, shop: Shop, clocks: Clocks):
    async with db.write() as session:
        command = await make(session, shop, clocks)
    both = [
        asyncio.create_task(service.wait_for(cloud, command.id, command.expires_at))
        for _ in range(2)
    ]
    await asyncio.sleep(0.05)
    async with db.write() as session:
        await session.exec(
            update(DeviceCommand).values(
                state="failed", reason="device_offline", final_at=clocks.real
            )
        )
    cloud.waiters.resolve(command.id, {})
    assert [one["state"] for one in await asyncio.gather(*both)] == ["failed", "failed"]


async def test_switching_by_hand(
    cloud: Cloud,
    db: Database,
    client: httpx.AsyncClient,
    shop: Shop,
    owner: dict[str, str],
    now: datetime,
):
    table = shop.bindings["竹间.table"]
    path = f"/api/v1/console/bindings/{table.id}"
    for body, field in (
        ({"on": True, "why": "x"}, "why"),
        ({"on": True, "why": "试机", "for_s": 0}, "for_s"),
        ({"why": "试机"}, "on"),
    ):
        refused = await client.post(f"{path}/set", json=body, headers=owner)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    lock = shop.bindings["竹间.lock"].id
    refused = await client.post(
        f"/api/v1/console/bindings/{lock}/set", json={"on": True, "why": "试机"}, headers=owner
    )
    assert refused.json()["code"] == "binding.not_a_switch"

    async def settle() -> None:
        while True:
            async with db.write() as session:
                done = await session.exec(
                    update(DeviceCommand)
                    .where(DeviceCommand.state == "created")  # type: ignore[arg-type]
                    .values(state="done", final_at=now)
                )
                if done.rowcount:
                    return
            await asyncio.sleep(0.02)

    store = asyncio.create_task(settle())
    answer = await client.post(
        f"{path}/set", json={"on": True, "for_s": 600, "why": "试机"}, headers=owner
    )
    await store
    assert answer.json()["state"] == "done", answer.text
    store = asyncio.create_task(settle())
    cleared = await client.post(f"{path}/clear", json={}, headers=owner)
    await store
    assert cleared.json()["action"] == "clear"
    async with db.read() as session:
        first, second = (await session.exec(select(DeviceCommand).order_by("id"))).all()
    assert (first.action, first.args) == ("set", {"on": True, "for_s": 600, "force": False})
    assert first.why == "试机"
    assert (second.action, second.args) == ("clear", {})
    log = await client.get(f"/api/v1/console/commands/{first.id}", headers=owner)
    assert log.json()["state"] == "done"


async def test_without_the_permission_nothing_is_switched(
    db: Database, shop: Shop, clocks: Clocks, now: datetime
):
    async with db.write() as session:
        member = await make_staff(session, shop, now)
    actor = staff(member, frozenset())
    with pytest.raises(Forbidden) as caught:
        async with db.write() as session:
            await service.set_binding(
                session, actor, "any", on=True, for_s=60, why="试机", force=False,
                clocks=clocks, instance="i",
            )  # fmt: skip
    assert caught.value.extra == {"permission": DEVICE_CONTROL}


async def test_devices_are_shown_as_reported(
    cloud: Cloud,
    db: Database,
    client: httpx.AsyncClient,
    shop: Shop,
    owner: dict[str, str],
    wire,
):
    path = f"/api/v1/console/stores/{shop.store.id}/devices"
    fresh = (await client.get(path, headers=owner)).json()
    assert (fresh["online"], fresh["stale"]) == (True, False)
    assert {b["state"] for b in fresh["boards"]} == {"online"}
    table = next(b for b in fresh["bindings"] if b["role"] == "table")
    assert (table["value"], table["quality"]) == (False, "ok")
    lock = next(b for b in fresh["bindings"] if b["role"] == "lock")
    assert (lock["value"], lock["quality"]) == (None, "never")
    wire.pass_time(91)
    old = (await client.get(path, headers=owner)).json()
    assert old["stale"] is True
    table = next(b for b in old["bindings"] if b["role"] == "table")
    assert (table["value"], table["quality"]) == (False, "stale")
    async with db.write() as session:
        await session.exec(update(StoreStatus).values(reported={"v": 2, "who": "knows"}))
    newer = (await client.get(path, headers=owner)).json()
    assert newer["online"] is True
    assert {b["state"] for b in newer["boards"]} == {"unknown"}


async def test_every_outcome_has_its_words():
    for state in (*AckState, "created", "sent", "not_sent"):
        for reason in (*Reason, None):
            text = words(str(state), None if reason is None else reason.value, "unlock")
            assert text
            assert "_" not in text


# ----------------------------------------------------------------------------- enrolment codes


async def test_a_code_works_once(db: Database, shop: Shop, clocks: Clocks):
    async with db.write() as session:
        code = await service.make_enrolment_code(
            session, System(), store_id=shop.store.id, clocks=clocks
        )
    assert len(code) == 14
    async with db.write() as session:
        used = await service.use_enrolment_code(session, code.lower().replace("-", " "), clocks)
        assert used.store_id == shop.store.id
    with pytest.raises(KaimenError) as caught:
        async with db.write() as session:
            await service.use_enrolment_code(session, code, clocks)
    assert caught.value.code == "enrol.bad_code"
    async with db.read() as session:
        row = (await session.exec(select(EnrolmentCode))).one()
    assert code not in (row.code_hash, row.id)


async def test_of_many_who_use_a_code_at_once_one_gets_it(db: Database, shop: Shop, clocks: Clocks):
    async with db.write() as session:
        code = await service.make_enrolment_code(
            session, System(), store_id=shop.store.id, clocks=clocks
        )

    async def use() -> bool:
        try:
            async with db.write() as session:
                await service.use_enrolment_code(session, code, clocks)
        except KaimenError:
            return False
        return True

    assert sum(await asyncio.gather(*(use() for _ in range(10)))) == 1


async def test_a_code_lives_fifteen_minutes_and_until_the_next(
    db: Database, shop: Shop, clocks: Clocks, wire
):
    async def new() -> str:
        async with db.write() as session:
            return await service.make_enrolment_code(
                session, System(), store_id=shop.store.id, clocks=clocks
            )

    first = await new()
    second = await new()
    for code, late in ((first, 0), (second, 900)):
        wire.pass_time(late)
        with pytest.raises(KaimenError):
            async with db.write() as session:
                await service.use_enrolment_code(session, code, clocks)
    third = await new()
    wire.pass_time(899)
    async with db.write() as session:
        await service.use_enrolment_code(session, third, clocks)


async def test_staff_makes_codes(client: httpx.AsyncClient, shop: Shop, owner: dict[str, str]):
    path = f"/api/v1/console/stores/{shop.store.id}/enrolment-codes"
    answer = await client.post(path, headers=owner)
    assert answer.status_code == 201
    assert answer.json()["expires_in_s"] == int(timedelta(minutes=15).total_seconds())
