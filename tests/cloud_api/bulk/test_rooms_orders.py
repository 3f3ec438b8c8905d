"""Many rooms, many orders: each by itself, foreseen where money moves, taken back where that can be."""

from __future__ import annotations

from datetime import timedelta

import httpx
from sqlmodel import col, select

from cloud_api.audit.models import AuditEntry
from cloud_api.claims.booking_rules import rules_of
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.models import DueJob
from cloud_api.kit.notices import NOTICE
from cloud_api.orders import desk
from cloud_api.orders.models import Order, OrderExport
from cloud_api.staff.permissions import ALL
from cloud_api.stores.models import Room
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
    make_store,
    staff,
)

HERE = "/api/v1/console/bulk"


async def test_rooms_go_out_come_back_and_are_put_back_as_each_was(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    async with cloud.db.write() as session:
        other = await make_store(session, cloud.clocks.now, name="别人的店")
        room = await session.get_one(Room, shop.rooms[1].id)
        room.kind, room.mode = "小包", "open"
        session.add(room)
    mine, theirs = [room.id for room in shop.rooms], other.room.id

    async def post(**body: object) -> dict[str, object]:
        answer = await client.post(f"{HERE}/rooms", json=body, headers=owner)
        assert answer.status_code == 200, answer.text
        told: dict[str, object] = answer.json()
        return told

    def states(told: dict[str, object]) -> list[str]:
        return [one["state"] for one in told["items"]]  # type: ignore[attr-defined]

    async def rooms() -> list[Room]:
        async with cloud.db.read() as session:
            return [await session.get_one(Room, one) for one in mine]

    # Without a reason each says so; one that is held open is not taken from who is in it; not theirs.
    assert states(await post(ids=mine, act="out")) == ["refused"] * 3
    told = await post(ids=[*mine, theirs], act="out", why="停电检修")
    assert states(told) == ["done", "refused", "done", "refused"]
    assert [one.mode for one in await rooms()] == ["maintenance", "open", "maintenance"]
    undone = await post(**told["undo"])  # type: ignore[arg-type]
    assert states(undone) == ["done", "done"]
    was = {mine[0]: "停电检修", mine[2]: "停电检修"}
    assert undone["undo"] == {"ids": [mine[0], mine[2]], "act": "out", "was": was}
    # Each had its own reason, and has it again after both ways.
    was[mine[2]] = "换麻将机"
    assert states(await post(ids=[mine[0], mine[2]], act="out", was=was)) == ["done", "done"]
    told = await post(ids=[mine[0], mine[2]], act="back")
    await post(**told["undo"])  # type: ignore[arg-type]
    assert [(await rooms())[n].mode_why for n in (0, 2)] == ["停电检修", "换麻将机"]
    assert states(await post(ids=[mine[0], mine[2]], act="back")) == ["done", "done"]
    # What differed before differs again after the undo.
    told = await post(ids=mine, act="kind", kind="大包")
    assert [one.kind for one in await rooms()] == ["大包"] * 3
    await post(**told["undo"])  # type: ignore[arg-type]
    assert [one.kind for one in await rooms()] == ["", "小包", ""]
    await post(ids=mine[:1], act="buffer", minutes=30)
    told = await post(ids=mine, act="buffer", minutes=45)
    async with cloud.db.read() as session:
        assert (await rules_of(session, shop.store, mine[1])).cleaning_s == 45 * 60
    await post(**told["undo"])  # type: ignore[arg-type]
    async with cloud.db.read() as session:
        kept = [(await rules_of(session, shop.store, one)).cleaning_s for one in mine[:2]]
    assert kept == [1800, shop.store.cleaning_s]
    told = await post(ids=mine, act="tag", tag="临窗")
    assert states(await post(ids=mine, act="tag", tag="临窗")) == ["same"] * 3
    await post(**told["undo"])  # type: ignore[arg-type]
    assert [one.tags for one in await rooms()] == [one.tags for one in shop.rooms]
    for body in (
        {"act": "tag"},
        {"act": "kind", "was": {mine[0]: 7}},
        {"act": "buffer", "minutes": 999},
    ):
        answer = await client.post(f"{HERE}/rooms", json={"ids": mine, **body}, headers=owner)
        assert answer.status_code == 422, body
    async with cloud.db.write() as session:
        cleaner = await make_staff(session, shop, cloud.clocks.now, role="cleaner")
        nobody = bearer(await make_login(session, cleaner.account_id, cloud.clocks.real))
    answer = await client.post(
        f"{HERE}/rooms", json={"ids": mine, "act": "kind", "kind": "x"}, headers=nobody
    )
    assert answer.status_code == 403


async def test_orders_are_foreseen_then_cancelled_each_with_its_own_outcome(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    """What is told before is what happens: the sum of the rows, the fee, and the one that cannot go."""
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        guest = await make_customer(session, now, "+8613912344821")
        boss = staff(await make_staff(session, shop, now), ALL)
        made = [
            await make_order(
                session, shop, guest, now + timedelta(hours=hours), now=now, room=room,
                status="in_use" if hours == 0 else "pending_payment",
            )
            for hours, room in zip((1, 30, 0, 50), (*shop.rooms, shop.rooms[0]), strict=True)
        ]  # fmt: skip
        for one in (made[0], made[1], made[3]):
            await desk.take_cash(session, boss, one.id, "在店里付", cloud.clocks)
    while await run_due(cloud):
        pass
    ids = [one.id for one in made]

    async def post(path: str, **body: object) -> httpx.Response:
        return await client.post(f"{HERE}/orders{path}", json=body, headers=owner)

    seen = (await post("/foresee", ids=ids)).json()["items"]
    assert [one["id"] for one in seen] == ids
    assert [bool(one["code"]) for one in seen] == [False, False, True, False]
    half = seen[0]["back_fen"] // 2  # an hour before, the rules keep half
    assert (seen[0]["rule_back_fen"], seen[0]["rule_fee_fen"]) == (half, half)
    assert seen[2]["rule_message"]
    assert (seen[3]["rule_back_fen"], seen[3]["rule_fee_fen"]) == (seen[3]["back_fen"], 0)
    async with cloud.db.read() as session:
        before = [(await session.get_one(Order, one)).status for one in ids]
    assert before == ["ready", "ready", "in_use", "ready"]

    assert (await post("", ids=ids, act="cancel")).json()["field"] == "why"
    told = (await post("", ids=ids[:3], act="cancel", why="客人要求取消", by_rules=True)).json()
    assert [one["state"] for one in told["items"]] == ["done", "done", "refused"]
    assert told["items"][2]["code"] == "cancel.started"
    told = (await post("", ids=ids, act="cancel", why="停电停水")).json()
    assert [one["state"] for one in told["items"]] == ["same", "same", "refused", "done"]
    assert told["undo"] is None
    async with cloud.db.read() as session:
        rows = [await session.get_one(Order, one) for one in ids]
        acts = (
            await session.exec(select(AuditEntry).where(col(AuditEntry.action) == "order.cancel"))
        ).all()
    assert [one.status for one in rows] == ["cancelled", "cancelled", "in_use", "cancelled"]
    assert [one.cancel_fee_fen for one in rows] == [half, 0, 0, 0]
    assert len(acts) == 3
    async with cloud.db.write() as session:
        other = await make_store(session, now, name="别人的店")
        theirs = await make_order(session, other, guest, now + timedelta(hours=9), now=now)
    assert (await post("/foresee", ids=[theirs.id])).status_code == 404


async def test_guests_are_written_to_orders_confirmed_and_taken_along(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        guest = await make_customer(session, now, "+8613912344821")
        made = [
            await make_order(session, shop, guest, now + timedelta(hours=n), now=now, status=status)
            for n, status in ((2, "paid"), (20, "ready"), (-30, "completed"))
        ]
    ids = [one.id for one in made]
    answer = await client.post(
        f"{HERE}/orders", json={"ids": ids, "act": "message", "text": " "}, headers=owner
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "text")
    body = {"ids": ids, "act": "message", "text": "今晚停水到八点，茶水照常"}
    told = (await client.post(f"{HERE}/orders", json=body, headers=owner)).json()
    assert [one["state"] for one in told["items"]] == ["done", "done", "refused"]
    async with cloud.db.read() as session:
        jobs = (await session.exec(select(DueJob).where(col(DueJob.kind) == NOTICE))).all()
    said = [job.body["data"]["reason"] for job in jobs if job.body["event"] == "order.message"]
    assert said == ["今晚停水到八点，茶水照常"] * 2
    yes = {"ids": ids, "act": "confirm"}
    told = (await client.post(f"{HERE}/orders", json=yes, headers=owner)).json()
    assert [one["state"] for one in told["items"]] == ["done", "same", "refused"]
    asked = await client.post("/api/v1/console/order-exports", json={"ids": ids[:2]}, headers=owner)
    assert asked.json()["total"] == 2
    async with cloud.db.read() as session:
        assert (await session.get_one(OrderExport, asked.json()["id"])).wanted["ids"] == ids[:2]
