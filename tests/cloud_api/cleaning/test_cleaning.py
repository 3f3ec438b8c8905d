"""Cleaning from the end of a stay to the month's pay: room time, doors, who may what."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from cloud_api.claims import service as claims
from cloud_api.claims.models import RoomClaim
from cloud_api.cleaning import jobs, office, rules, service, sheet, work
from cloud_api.cleaning.models import CleaningEvent, CleaningTask
from cloud_api.cleaning.schemas import RuleIn
from cloud_api.cleaning.transitions import TABLE, move
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError, NotFound
from cloud_api.kit.models import DueJob
from cloud_api.orders.models import Order
from cloud_api.orders.transitions import move as move_order
from cloud_api.staff.models import StaffMember
from cloud_api.staff.service import actor_of
from cloud_api.stores.models import Room
from store_link.clock import ManualClock
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
)
from tests.cloud_api.media.files import photo

assert jobs.LEFT  # the import registers who follows an order


@dataclass
class Crew:
    """A store's owner, two cleaners, a cashier, and a stay that is about to end."""

    owner: Staff
    liu: Staff
    wang: Staff
    cashier: Staff
    order: Order
    token: str  # liu's login
    cashier_token: str


@pytest.fixture
async def crew(db: Database, shop: Shop, now: datetime, clocks: Clocks) -> Crew:
    async with db.write() as session:
        people: list[StaffMember] = []
        for role, name in (
            ("owner", "陈店长"),
            ("cleaner", "刘姐"),
            ("cleaner", "王姐"),
            ("cashier", "周收银"),
        ):
            member = await make_staff(session, shop, now, role=role)
            member.name = name
            session.add(member)
            people.append(member)
        guest = await make_customer(session, now)
        starts = now - timedelta(hours=2)
        order = await make_order(
            session, shop, guest, starts, now=now, minutes=120, status="in_use"
        )
        owner, liu, wang, cashier = (actor_of(one) for one in people)
        return Crew(
            owner,
            liu,
            wang,
            cashier,
            order=order,
            token=await make_login(session, people[1].account_id, clocks.real),
            cashier_token=await make_login(session, people[3].account_id, clocks.real),
        )


async def leave(cloud: Cloud, order_id: str) -> CleaningTask | None:
    """The guests go, as a store reports it; then the jobs that follow run."""
    async with cloud.db.write() as session:
        order = await session.get_one(Order, order_id)
        claim = await claims.get(session, order.claim_id)
        await claims.end_at(session, claim, cloud.clocks.now, cloud.clocks)
        await move_order(session, order, "completed", by="store", clocks=cloud.clocks)
    while await run_due(cloud):
        pass
    async with cloud.db.read() as session:
        query = select(CleaningTask).where(col(CleaningTask.order_id) == order_id)
        return (await session.exec(query)).one_or_none()


async def rule(cloud: Cloud, crew: Crew, shop: Shop, **values: object) -> None:
    async with cloud.db.write() as session:
        body = RuleIn.model_validate(values)
        await rules.set_rule(session, crew.owner, shop.store.id, body, cloud.clocks)


async def kept_until(db: Database, room: Room, now: datetime) -> datetime | None:
    """Until when the room's time is kept for cleaning now."""
    async with db.read() as session:
        query = select(col(RoomClaim.block_until)).where(
            col(RoomClaim.room_id) == room.id,
            col(RoomClaim.kind) == "cleaning",
            col(RoomClaim.state) != "released",
            col(RoomClaim.block_from) <= now,
            col(RoomClaim.block_until) > now,
        )
        return (await session.exec(query)).one_or_none()


async def test_a_stay_ends_somebody_takes_the_task_cleans_is_sent_back_and_paid_once(
    cloud: Cloud, crew: Crew, shop: Shop, business: ManualClock, client: httpx.AsyncClient
) -> None:
    db, clocks = cloud.db, cloud.clocks
    await rule(cloud, crew, shop, pay_fen=2500, minutes=20, check_done=True, photos=1, keep=True)
    task = await leave(cloud, crew.order.id)
    assert task is not None
    assert (task.state, task.pay_fen, task.room_id) == ("open", 2500, shop.room.id)
    until = await kept_until(db, shop.room, clocks.now)
    assert until == clocks.now + service.KEEP_AT_MOST  # not sold before it is clean
    async with db.write() as session:
        assert await service.after_stay(session, crew.order.id, clocks) is None  # once
        assert await service.count_waiting(session, crew.liu) == 1
        with pytest.raises(NotFound):
            await work.start(session, crew.liu, task.id, clocks)  # not before it is hers
        await work.grab(session, crew.liu, task.id, clocks)
        with pytest.raises(Conflict) as refused:
            await work.grab(session, crew.wang, task.id, clocks)
        assert refused.value.code == "cleaning.taken"
        assert [one.id for one in await service.live(session, crew.liu)] == [task.id]
        assert await service.live(session, crew.wang) == []
        with pytest.raises(NotFound):
            await service.read(session, crew.wang, task.id)
        with pytest.raises(NotFound):
            await work.finish(session, crew.wang, task.id, clocks)
        with pytest.raises(Forbidden):
            await work.grab(session, crew.cashier, task.id, clocks)
    base = f"/api/v1/console/cleaning/tasks/{task.id}"
    hers = bearer(crew.token)
    # The answer waits for the store, which is not there in this test: what counts is the command.
    async with db.write() as session:
        asked = await work.unlock(session, crew.liu, task.id, shop.door.id, clocks, "test")
        assert (asked.action, asked.target, asked.by) == ("unlock", shop.door.id, crew.liu.ref)
        with pytest.raises(NotFound):  # another room's door
            await work.unlock(session, crew.liu, task.id, shop.doors[1].id, clocks, "test")
    async with db.read() as session:
        room = await session.get_one(Room, shop.room.id)
        assert (room.mode, room.mode_until) == ("cleaning", clocks.now + timedelta(minutes=20))
    business.pass_time(900)
    early = await client.post(f"{base}/finish", headers=hers)
    assert (early.status_code, early.json()["code"]) == (422, "cleaning.photos")
    shown = await client.post(f"{base}/photos", headers=hers, content=photo(640, 480))
    assert shown.status_code == 201, shown.text
    (picture,) = shown.json()["photos"]
    gallery = await client.get(f"/api/v1/stores/{shop.store.id}/media?room_id={shop.room.id}")
    assert gallery.json()["items"] == []  # guests never see it among the room's pictures
    done = await client.post(f"{base}/finish", headers=hers)
    assert done.json()["state"] == "to_check"
    assert await kept_until(db, shop.room, clocks.now) is None  # the room is free at once
    async with db.write() as session:
        assert (await session.get_one(Room, shop.room.id)).mode == "normal"
        with pytest.raises(Conflict):  # handed in: the door is hers no more
            await work.unlock(session, crew.liu, task.id, shop.door.id, clocks, "test")
        with pytest.raises(KaimenError):
            await office.reject(session, crew.owner, task.id, "", clocks)
        await office.reject(session, crew.owner, task.id, "垃圾没倒", clocks)
        assert await service.count_waiting(session, crew.liu) == 1
    business.pass_time(300)
    async with db.write() as session:
        await work.start(session, crew.liu, task.id, clocks)
        await work.finish(session, crew.liu, task.id, clocks)
        await office.approve(session, crew.owner, task.id, clocks)
        await office.approve(session, crew.owner, task.id, clocks)  # again changes nothing
    async with db.read() as session:
        events = (await session.exec(select(CleaningEvent).order_by(col(CleaningEvent.id)))).all()
        walked = [event.now for event in events]
        assert walked == ["open", "taken", "cleaning", "to_check", "rejected", "cleaning",
                          "to_check", "done"]  # fmt: skip
        (liu,) = await sheet.month(session, crew.owner, "2026-11", shop.store.tz)
        assert (liu.name, liu.pay_fen, len(liu.tasks)) == ("刘姐", 2500, 1)
        assert await sheet.month(session, crew.wang, "2026-11", shop.store.tz) == []
        assert await sheet.month(session, crew.owner, "2026-12", shop.store.tz) == []
        told = {job.body["event"] for job in (await session.exec(
            select(DueJob).where(col(DueJob.kind) == "notice"))).all()}  # fmt: skip
        assert {"cleaning.wanted", "cleaning.to_check", "cleaning.rejected"} <= told
        assert (await session.exec(select(DeviceCommand))).one().why == work.WHY
    table = await client.get("/api/v1/console/cleaning/sheet.csv?month=2026-11", headers=hers)
    assert "刘姐" in table.text
    assert ",25.00," in table.text
    bad = await client.get("/api/v1/console/cleaning/sheet?month=2026-13", headers=hers)
    assert (bad.status_code, bad.json()["code"]) == (422, "cleaning.month")
    no = await client.get("/api/v1/console/cleaning/tasks", headers=bearer(crew.cashier_token))
    assert no.status_code == 403
    assert picture


async def test_the_next_guests_end_what_nobody_began_and_are_never_disturbed(
    cloud: Cloud, crew: Crew, shop: Shop, business: ManualClock
) -> None:
    db, clocks = cloud.db, cloud.clocks
    await rule(cloud, crew, shop, keep=True)
    async with db.write() as session:
        guest = await make_customer(session, clocks.now)
        following = await make_order(
            session, shop, guest, clocks.now + timedelta(minutes=40), now=clocks.now
        )
    task = await leave(cloud, crew.order.id)
    assert task is not None
    assert await kept_until(db, shop.room, clocks.now) == following.starts_at  # no minute of theirs
    async with db.write() as session:
        await office.assign(session, crew.owner, task.id, crew.liu.staff_id, clocks)
        await office.assign(session, crew.owner, task.id, crew.wang.staff_id, clocks)
        with pytest.raises(KaimenError) as refused:
            await office.assign(session, crew.owner, task.id, crew.cashier.staff_id, clocks)
        assert refused.value.code == "cleaning.not_a_cleaner"
    business.pass_time(26 * 60)  # a quarter of an hour before they come
    while await run_due(cloud):
        pass
    async with db.read() as session:
        notices = (await session.exec(select(DueJob).where(col(DueJob.kind) == "notice"))).all()
        late = [job for job in notices if job.body["event"] == "cleaning.late"]
        assert len(late) == 1
        assert late[0].body["data"]["starts_at"] == following.starts_at.isoformat()
    business.pass_time(15 * 60)
    async with db.write() as session:
        order = await session.get_one(Order, following.id)
        await claims.enter(session, order.claim_id)
        await move_order(session, order, "in_use", by="store", clocks=clocks, entered_at=clocks.now)
        with pytest.raises(Conflict) as refused:
            await work.unlock(session, crew.wang, task.id, shop.door.id, clocks, "test")
        assert refused.value.code == "cleaning.guests_in"
    while await run_due(cloud):
        pass
    async with db.read() as session:
        ended = await session.get_one(CleaningTask, task.id)
        assert (ended.state, ended.why) == ("cancelled", "下一位客人已经进去了")
        assert await sheet.month(session, crew.owner, "2026-11", shop.store.tz) == []


async def test_rules_say_which_stays_count_and_tasks_are_made_and_called_off_by_hand(
    cloud: Cloud, crew: Crew, shop: Shop
) -> None:
    db, clocks = cloud.db, cloud.clocks
    await rule(cloud, crew, shop, least_minutes=180)
    assert await leave(cloud, crew.order.id) is None  # too short to dirty anything
    async with db.write() as session:
        with pytest.raises(Forbidden):
            await service.by_hand(session, crew.liu, shop.room.id, "", None, clocks)
        made = await service.by_hand(
            session, crew.owner, shop.room.id, "地毯洒了茶", crew.liu.staff_id, clocks
        )
        assert (made.state, made.staff_id, made.note) == ("taken", crew.liu.staff_id, "地毯洒了茶")
        with pytest.raises(Conflict) as refused:
            await service.by_hand(session, crew.owner, shop.room.id, "", None, clocks)
        assert refused.value.code == "cleaning.there"
        await work.start(session, crew.liu, made.id, clocks)
        await work.give_up(session, crew.liu, made.id, clocks)
        assert (await session.get_one(Room, shop.room.id)).mode == "normal"
        await office.call_off(session, crew.owner, made.id, "不用了", clocks)
        with pytest.raises(Conflict) as moved:
            await office.reject(session, crew.owner, made.id, "不干净", clocks)
        assert moved.value.code == "cleaning.wrong_state"


async def test_two_cleaners_race_for_a_task_and_one_has_it(
    cloud: Cloud, crew: Crew, shop: Shop
) -> None:
    db, clocks = cloud.db, cloud.clocks
    async with db.write() as session:
        task = await service.by_hand(session, crew.owner, shop.room.id, "", None, clocks)

    async def grab(who: Staff) -> str:
        try:
            async with db.write() as session:
                return (await work.grab(session, who, task.id, clocks)).staff_id or ""
        except Conflict as refused:
            return refused.code

    got = await asyncio.gather(grab(crew.liu), grab(crew.wang))
    assert sorted(got)[1] == "cleaning.taken" or sorted(got)[0] == "cleaning.taken"
    assert set(got) & {crew.liu.staff_id, crew.wang.staff_id}
    async with db.write() as session:  # without the lock a stale copy is refused all the same
        fresh = await session.get_one(CleaningTask, task.id)
        stale = CleaningTask(**{**fresh.model_dump(), "version": fresh.version - 1})
        with pytest.raises(Conflict) as moved:
            await move(session, stale, "taken", by="x", clocks=clocks, staff_id=crew.wang.staff_id)
        assert moved.value.code == "cleaning.moved"


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(sorted(TABLE)), max_size=12))
def test_no_walk_through_the_table_pays_twice_or_leaves_an_end(walk: list[str]) -> None:
    """``done`` and ``cancelled`` are ends, and every other state can still reach ``done``."""
    state, done = "open", 0
    for wanted in walk:
        if wanted in TABLE[state]:
            state = wanted
            done += wanted == "done"
    assert done <= 1
    reach = {state}
    while more := {n for one in reach for n in TABLE[one]} - reach:
        reach |= more
    assert state == "cancelled" or "done" in reach
