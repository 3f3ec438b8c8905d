"""The log over HTTP: who may read what, by filters and pages; and acts that leave their entry."""

from __future__ import annotations

from typing import Any

import httpx
from sqlmodel import col, select

from cloud_api.audit.models import AuditEntry
from cloud_api.audit.service import record
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from tests.cloud_api.answers import answering
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
    make_store,
)


async def entries(cloud: Cloud, action: str) -> list[AuditEntry]:
    async with cloud.db.read() as session:
        query = select(AuditEntry).where(col(AuditEntry.action) == action)
        return list((await session.exec(query)).all())


async def acts(client: httpx.AsyncClient, headers: dict[str, str], **params: Any) -> dict[str, Any]:
    answer = await client.get("/api/v1/console/audit", headers=headers, params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_what_was_done_is_found(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
):
    async with cloud.db.write() as session:
        guest = await make_customer(session, cloud.clocks.now)
        order = await make_order(session, shop, guest, cloud.clocks.now, now=cloud.clocks.now)
        order.total_fen = order.paid_fen = 0  # no payment stands behind it, so nothing goes back
        session.add(order)
        far = await make_store(
            session, cloud.clocks.now, merchant=shop.merchant, name="远店", rooms=1
        )
        foreign = await make_store(session, cloud.clocks.now, name="别家", rooms=1)
        cashier = await make_staff(session, shop, cloud.clocks.now, role="cashier")
        finance = await make_staff(
            session, shop, cloud.clocks.now, role="finance", store_ids=[shop.store.id]
        )
        for store in (far.store, foreign.store):
            await record(
                session,
                System(),
                "room.mode",
                merchant_id=store.merchant_id,
                store_id=store.id,
                subject="room:1",
                clocks=cloud.clocks,
            )
        logins = {
            who.role: bearer(await make_login(session, who.account_id, cloud.clocks.now))
            for who in (cashier, finance)
        }
    answer = answering(cloud, "done")
    door = await client.post(
        f"/api/v1/console/doors/{shop.door.id}/unlock", headers=owner, json={"why": "客人忘带手机"}
    )
    assert door.status_code == 200, door.text
    await answer
    cancelled = await client.post(
        f"/api/v1/console/orders/{order.id}/cancel", headers=owner, json={"why": "空调坏了"}
    )
    assert cancelled.status_code == 200, cancelled.text
    code = await client.post(
        f"/api/v1/console/stores/{shop.store.id}/enrolment-codes", headers=owner
    )
    assert code.status_code == 201, code.text
    found = await acts(client, owner)
    assert [one["action"] for one in found["items"]] == [
        "enrolment.code",
        "order.cancel",
        "door.unlock",
        "room.mode",
    ]
    assert foreign.store.id not in str(found)
    unlocked = (await acts(client, owner, action="door"))["items"][0]
    assert (unlocked["why"], unlocked["by_name"], unlocked["action_name"], unlocked["ip"]) == (
        "客人忘带手机",
        "陈店长",
        "远程开门",
        "203.0.113.7",
    )
    assert unlocked["subject"] == f"door:{shop.door.id}"
    refused = (await acts(client, owner, action="order.cancel"))["items"][0]
    assert (refused["before"]["status"], refused["after"]["status"]) == ("ready", "cancelled")
    first = await acts(client, owner, limit=3)
    rest = await acts(client, owner, limit=3, cursor=first["next_cursor"])
    assert [one["seq"] for one in (*first["items"], *rest["items"])] == [4, 3, 2, 1]
    assert (await acts(client, owner, day="2026-11-22"))["items"] == []
    assert len((await acts(client, owner, day="2026-11-23", by="system"))["items"]) == 1
    # Who works in one store sees what happened there, and not what happened elsewhere.
    mine = await acts(client, logins["finance"])
    assert [one["action"] for one in mine["items"]] == [
        "enrolment.code",
        "order.cancel",
        "door.unlock",
    ]
    no = await client.get("/api/v1/console/audit", headers=logins["cashier"])
    assert no.status_code == 403
    out = await client.get("/api/v1/console/audit/export", headers=owner)
    assert out.status_code == 200
    assert len(out.text.splitlines()) == 6  # head, four, and the export itself
    assert await entries(cloud, "audit.export") != []


async def test_a_door_is_not_opened_from_afar_without_a_reason(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
):
    for why in ("", " ", "x"):
        answer = await client.post(
            f"/api/v1/console/doors/{shop.door.id}/unlock", headers=owner, json={"why": why}
        )
        assert answer.status_code == 422, answer.text
    assert await entries(cloud, "door.unlock") == []
