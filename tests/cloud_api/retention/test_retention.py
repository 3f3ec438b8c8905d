"""What is old goes by night, in batches, never less than the law wants, never twice counted; money stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import SQLModel, col, func, select

from cloud_api.audit.models import AuditEntry
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due, schedule
from cloud_api.members.models import MemberProfile
from cloud_api.orders.models import Order
from cloud_api.retention import jobs, kinds, service
from cloud_api.retention.models import RetentionRun
from cloud_api.store_channel.models import StoreEvent
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
    make_store,
)

HERE = "/api/v1/console/retention"


async def _number(cloud: Cloud, model: type[SQLModel], *where: Any) -> int:
    async with cloud.db.read() as session:
        query = select(func.count()).select_from(model).where(*where)
        return int((await session.exec(query)).one())


async def _events(cloud: Cloud, shop: Shop, *days: int) -> None:
    async with cloud.db.write() as session:
        for n, old in enumerate(days):
            session.add(
                StoreEvent(
                    id=f"{shop.store.id}{n}", merchant_id=shop.merchant.id, store_id=shop.store.id,
                    journal=shop.store.id, seq=n, at=cloud.clocks.real - timedelta(days=old),
                    clock="synced", kind="x", body={},
                    received_at=cloud.clocks.real - timedelta(days=old),
                )
            )  # fmt: skip


async def _night(cloud: Cloud, night: str) -> None:
    async with cloud.db.write() as session:
        await schedule(
            session, merchant_id="installation", kind=jobs.NIGHT, ref=night,
            run_at=cloud.clocks.real, clock="wire",
        )  # fmt: skip
    while await run_due(cloud):
        cloud.clocks.wire.pass_time(1)  # type: ignore[attr-defined]


async def test_a_night_takes_what_was_shown_and_no_more(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(service, "BATCH", 2)  # seven rows are several batches and runs of the job
    monkeypatch.setattr(service, "BATCHES", 2)
    await _events(cloud, shop, *range(394, 401), 300)
    async with cloud.db.write() as session:
        other = await make_store(session, cloud.clocks.now, name="别人的店")
    await _events(cloud, other, 400)
    for days in (36_501, -1):
        refused = await client.put(HERE, json={"events": days}, headers=owner)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid"), days
    short = (await client.put(HERE, json={"events": 179}, headers=owner)).json()
    assert (short["code"], short["field"]) == ("retention.days", "events")
    seen = (await client.post(f"{HERE}/preview", json={"events": 365}, headers=owner)).json()
    assert next(one["old"] for one in seen["items"] if one["kind"] == "events") == 7
    # looking changes nothing: by our own choice two years are kept
    await _night(cloud, "2026-01-01")
    assert await _number(cloud, StoreEvent) == 9
    assert (await client.put(HERE, json={"events": 365}, headers=owner)).status_code == 200
    await _night(cloud, "2026-01-02")
    await _night(cloud, "2026-01-02")  # again takes nothing and counts nothing twice
    assert await _number(cloud, StoreEvent, col(StoreEvent.merchant_id) == shop.merchant.id) == 1
    assert await _number(cloud, StoreEvent) == 2  # another merchant keeps theirs
    async with cloud.db.read() as session:
        run = await session.get_one(RetentionRun, (shop.merchant.id, "2026-01-02", "events"))
        query = select(AuditEntry).where(col(AuditEntry.action).like("retention.%"))
        told = (await session.exec(query.order_by(col(AuditEntry.seq)))).all()
    assert (run.rows, run.done_at is not None) == (7, True)
    assert [one.action for one in told] == ["retention.change", "retention.clear"]
    assert told[1].after is not None
    assert (told[1].after["kind"], told[1].after["rows"]) == ("events", 7)
    again = (await client.get(HERE, headers=owner)).json()["items"]
    assert next(one for one in again if one["kind"] == "events")["cleared"] == 7


async def test_a_guest_long_gone_loses_what_staff_wrote_and_keeps_the_orders(
    cloud: Cloud, shop: Shop
) -> None:
    async with cloud.db.write() as session:
        now = cloud.clocks.now
        for phone, days in (("+8613912344821", 400), ("+8613912344822", 10)):
            guest = await make_customer(session, now, phone)
            at = now - timedelta(days=days)
            order = await make_order(session, shop, guest, at, now=at, status="completed")
            order.staff_note = "爱喝茶"
            session.add(
                MemberProfile(
                    merchant_id=shop.merchant.id, account_id=guest.id, name="王", note="x",
                    tags=["常客"], first_at=at, last_at=at,
                )
            )  # fmt: skip
    async with cloud.db.write() as session:
        cut = cloud.clocks.real - timedelta(days=365)
        guests = kinds.BY_KEY["guests"]
        assert await guests.count(session, shop.merchant.id, cut) == 1
        assert await guests.drop(cloud, session, shop.merchant.id, cut, 500) == 1
        assert await guests.count(session, shop.merchant.id, cut) == 0
    async with cloud.db.read() as session:
        left = (
            await session.exec(select(MemberProfile).order_by(col(MemberProfile.last_at)))
        ).all()
        notes = (await session.exec(select(Order).order_by(col(Order.starts_at)))).all()
    assert [(one.name, one.tags) for one in left] == [(None, []), ("王", ["常客"])]
    assert [one.staff_note for one in notes] == ["", "爱喝茶"]


async def test_every_kind_counts_what_it_takes_and_no_kind_is_money(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    long_ago = cloud.clocks.real - timedelta(days=36_000)
    async with cloud.db.write() as session:
        for kind in kinds.KINDS:
            assert await kind.count(session, shop.merchant.id, long_ago) == 0, kind.key
            assert await kind.drop(cloud, session, shop.merchant.id, long_ago, 5) == 0, kind.key
    branch = await _branch(cloud, shop)
    refused = await client.put(HERE, json={"events": 365}, headers=branch)
    assert (refused.status_code, refused.json()["code"]) == (403, "role.branch")
    money = await client.put(HERE, json={"orders": 1}, headers=owner)
    assert money.status_code == 422


async def _branch(cloud: Cloud, shop: Shop) -> dict[str, str]:
    async with cloud.db.write() as session:
        head = await make_staff(session, shop, cloud.clocks.now, store_ids=[shop.store.id])
        return bearer(await make_login(session, head.account_id, cloud.clocks.real))
