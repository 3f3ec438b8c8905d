"""Many at once: each row by itself, nobody else's rows, and back again where it can be."""

from __future__ import annotations

import httpx
from sqlmodel import col, select

from cloud_api.audit.models import AuditEntry
from cloud_api.kit.cloud import Cloud
from cloud_api.members.models import MemberProfile
from cloud_api.support.models import Ticket
from tests.cloud_api.factories import (
    Shop,
    make_customer,
    make_order,
    make_staff,
    make_store,
)

HERE = "/api/v1/console/bulk"


async def _profiles(cloud: Cloud, shop: Shop, *phones: str) -> list[str]:
    async with cloud.db.write() as session:
        now, ids = cloud.clocks.now, []
        for phone in phones:
            guest = await make_customer(session, now, phone)
            await make_order(session, shop, guest, now, now=now, status="completed")
            session.add(
                MemberProfile(
                    merchant_id=shop.merchant.id, account_id=guest.id, name="王", note="爱喝茶",
                    first_at=now, last_at=now,
                )
            )  # fmt: skip
            ids.append(guest.id)
    return ids


async def _tags(cloud: Cloud, ids: list[str]) -> list[list[str]]:
    async with cloud.db.read() as session:
        query = select(MemberProfile).where(col(MemberProfile.account_id).in_(ids))
        found = (await session.exec(query.order_by(col(MemberProfile.id)))).all()
        assert all((one.name, one.note) == ("王", "爱喝茶") for one in found)
        return [one.tags for one in found]


async def test_members_are_tagged_one_by_one_and_untagged_again(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    async with cloud.db.write() as session:
        other = await make_store(session, cloud.clocks.now, name="别人的店")
    mine = await _profiles(cloud, shop, "+8613912344821", "+8613912344822")
    (theirs,) = await _profiles(cloud, other, "+8613912344823")
    first = {"ids": mine[:1], "act": "tag", "tag": "常客"}
    assert (await client.post(f"{HERE}/members", json=first, headers=owner)).status_code == 200
    body = {"ids": [*mine, theirs], "act": "tag", "tag": "常客"}
    told = (await client.post(f"{HERE}/members", json=body, headers=owner)).json()
    assert [one["state"] for one in told["items"]] == ["same", "done", "refused"]
    assert told["items"][2]["code"] == "member.not_found"
    assert told["message"].startswith("做好 1 项，1 项本来就是，1 项没做成：没有这个会员")
    assert await _tags(cloud, mine) == [["常客"], ["常客"]]
    assert await _tags(cloud, [theirs]) == [[]]
    # back: only what this act changed
    assert told["undo"] == {"ids": [mine[1]], "act": "untag", "tag": "常客"}
    await client.post(f"{HERE}/members", json=told["undo"], headers=owner)
    assert await _tags(cloud, mine) == [["常客"], []]
    for bad, field in (({"act": "tag"}, "tag"), ({"act": "coupon"}, "coupon_id")):
        answer = await client.post(f"{HERE}/members", json={"ids": mine, **bad}, headers=owner)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    level = {"ids": mine, "act": "level", "level_id": "none of mine"}
    told = (await client.post(f"{HERE}/members", json=level, headers=owner)).json()
    assert {one["state"] for one in told["items"]} == {"refused"}
    assert told["undo"] is None


async def test_tickets_go_to_who_answers_there_and_are_settled(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, owner: dict[str, str]
) -> None:
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        helper = await make_staff(session, shop, now, role="customer_service")
        cleaner = await make_staff(session, shop, now, role="cleaner")
        guest = await make_customer(session, now, "+8613912344821")
        tickets = [
            Ticket(
                merchant_id=shop.merchant.id, store_id=shop.store.id, account_id=guest.id,
                kind="complaint", subject="茶凉了", last_at=now, created_at=now,
            )
            for _ in range(2)
        ]  # fmt: skip
        session.add_all(tickets)
    ids = [one.id for one in tickets]
    wrong = {"ids": ids, "act": "assign", "staff_id": cleaner.id}
    told = (await client.post(f"{HERE}/tickets", json=wrong, headers=owner)).json()
    assert {one["code"] for one in told["items"]} == {"ticket.not_theirs"}
    right = {**wrong, "staff_id": helper.id}
    told = (await client.post(f"{HERE}/tickets", json=right, headers=owner)).json()
    assert told["undo"] == {"ids": ids, "act": "assign", "staff_id": None}
    done = await client.post(f"{HERE}/tickets", json={"ids": ids, "act": "close"}, headers=owner)
    assert done.json()["message"] == "做好 2 项"
    async with cloud.db.read() as session:
        found = (await session.exec(select(Ticket))).all()
        acts = (await session.exec(select(AuditEntry.action).order_by(col(AuditEntry.seq)))).all()
    assert {(one.state, one.assigned_to) for one in found} == {("closed", helper.id)}
    assert list(acts)[-4:] == ["ticket.assign"] * 2 + ["ticket.close"] * 2
    pause = {"ids": ["none"], "act": "pause"}
    told = (await client.post(f"{HERE}/campaigns", json=pause, headers=owner)).json()
    assert [one["code"] for one in told["items"]] == ["campaign.not_found"]
