"""Who works where: invitations, roles and limits, the last owner, the platform in the owner's sight."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pyotp
import pytest
from sqlmodel import col, select

from cloud_api.audit.models import AuditEntry
from cloud_api.auth.models import Account, Login, Totp
from cloud_api.kit.actor import Limits, Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.errors import KaimenError
from cloud_api.staff import invitations, platform, service
from cloud_api.staff.models import StaffMember
from cloud_api.staff.permissions import ALL, ORDER_READ, STAFF_EDIT
from simulators.sms.app import Gateway, create_app
from tests.cloud_api.factories import (
    Shop,
    bearer,
    customer,
    make_customer,
    make_login,
    make_staff,
    make_store,
    staff,
)

API = "/api/v1"
GUEST = "+8613800000031"


@pytest.fixture
async def gateway(cloud: Cloud) -> AsyncIterator[Gateway]:
    made = Gateway(key="k", time=lambda: cloud.clocks.real.timestamp())  # noqa: PLW0108  it moves
    old = cloud.http
    cloud.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(made)))
    cloud.settings.sms_url, cloud.settings.sms_key = "http://sms.test/send", "k"
    yield made
    await cloud.http.aclose()
    cloud.http = old


@pytest.fixture
async def owner(db: Database, shop: Shop, now: datetime) -> StaffMember:
    async with db.write() as session:
        return await make_staff(session, shop, now)


@pytest.fixture
async def boss(db: Database, owner: StaffMember, now: datetime) -> dict[str, str]:
    async with db.write() as session:
        return bearer(await make_login(session, owner.account_id, now))


async def audited(db: Database, merchant_id: str) -> list[str]:
    async with db.read() as session:
        query = select(AuditEntry.action).where(col(AuditEntry.merchant_id) == merchant_id)
        return list((await session.exec(query.order_by(col(AuditEntry.seq)))).all())


async def invited(client: httpx.AsyncClient, boss: dict[str, str], **more: Any) -> dict[str, Any]:
    body = {"phone": GUEST, "name": "小王", "role": "cashier"} | more
    answer = await client.post(f"{API}/console/staff/invitations", json=body, headers=boss)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def login(db: Database, now: datetime, phone: str | None = None) -> dict[str, str]:
    async with db.write() as session:
        account = await make_customer(session, now, phone)
        return bearer(await make_login(session, account.id, now))


async def accept(client: httpx.AsyncClient, link: str, who: dict[str, str]) -> httpx.Response:
    token = link.partition("#")[2]
    return await client.post(f"{API}/invitations/accept", json={"token": token}, headers=who)


async def test_an_invitation_by_sms_is_accepted_once(
    client: httpx.AsyncClient, gateway: Gateway, db: Database, shop: Shop, boss: dict[str, str],
    now: datetime,
) -> None:  # fmt: skip
    made = await invited(client, boss, store_ids=[shop.store.id])
    assert made["sms_sent"] is True
    text = gateway.of(GUEST)[0].text
    found = re.search(r"http://kaimen.test/invite#[\w-]+", text)
    assert found is not None
    link = found[0]
    look = await client.post(f"{API}/invitations/look", json={"token": link.partition("#")[2]})
    assert (look.json()["merchant"], look.json()["role"]) == ("雀友会", "收银员")
    stranger = await login(db, now)
    refused = await accept(client, link, stranger)
    assert (refused.status_code, refused.json()["code"]) == (403, "invitation.other_phone")
    mine = await login(db, now, GUEST)
    assert (await client.get(f"{API}/console/me", headers=mine)).status_code == 403
    assert (await accept(client, link, mine)).status_code == 200
    me = (await client.get(f"{API}/console/me", headers=mine)).json()
    assert (me["name"], me["store_ids"], me["refund_fen"]) == ("小王", [shop.store.id], 10_000)
    assert (await accept(client, link, mine)).status_code == 404
    assert await audited(db, shop.merchant.id) == ["staff.invite", "staff.add"]


async def test_invitations_end(
    client: httpx.AsyncClient, db: Database, boss: dict[str, str], now: datetime, wire: Any
) -> None:
    """Without a gateway the owner has the link; a later one ends it; it can be taken back; it ages."""
    mine = await login(db, now, GUEST)
    first = await invited(client, boss)
    assert first["sms_sent"] is False
    second = await invited(client, boss, role="manager")
    assert (await accept(client, first["link"], mine)).status_code == 404
    path = f"{API}/console/staff/invitations"
    listed = (await client.get(path, headers=boss)).json()["items"]
    assert [one["id"] for one in listed] == [second["id"]]
    assert "link" not in listed[0]
    gone = await client.post(f"{path}/{second['id']}/revoke", headers=boss)
    assert gone.status_code == 204
    assert (await accept(client, second["link"], mine)).status_code == 404
    third = await invited(client, boss)
    wire.pass_time(7 * 86400)
    async with db.write() as session:
        account = (
            await session.exec(select(Account).where(col(Account.phone_tail) == "0031"))
        ).one()
        mine = bearer(await make_login(session, account.id, wire.now()))
    assert (await accept(client, third["link"], mine)).status_code == 404


async def test_two_who_accept_at_once_are_one(
    db: Database, shop: Shop, owner: StaffMember, clocks: Clocks, now: datetime
) -> None:
    async with db.write() as session:
        account = await make_customer(session, now, GUEST)
        made = await invitations.invite(
            session, staff(owner, ALL), phone=GUEST, name="小王", role="cashier", store_ids=None,
            clocks=clocks,
        )  # fmt: skip

    async def take() -> str:
        try:
            async with db.write() as session:
                await invitations.accept(session, customer(account), made.token, clocks)
        except KaimenError as error:
            return error.code
        return "in"

    said = await asyncio.gather(*(take() for _ in range(4)))
    assert sorted(said) == ["in"] + ["invitation.not_found"] * 3
    async with db.read() as session:
        mine = select(StaffMember).where(col(StaffMember.account_id) == account.id)
        assert len((await session.exec(mine)).all()) == 1


async def test_the_last_two_owners_cannot_both_go(
    db: Database, shop: Shop, owner: StaffMember, clocks: Clocks, now: datetime
) -> None:
    """Each demotes the other in the same instant: one owner remains."""
    async with db.write() as session:
        second = await make_staff(session, shop, now)
    started = asyncio.Event()

    async def demote(actor: StaffMember, whom: StaffMember) -> str:
        await started.wait()
        try:
            async with db.write() as session:
                await service.change_staff(
                    session, staff(actor, ALL), whom.id, name="x", role="manager", store_ids=None,
                    clocks=clocks,
                )  # fmt: skip
        except KaimenError as error:
            return error.code
        return "done"

    both = [
        asyncio.create_task(demote(owner, second)),
        asyncio.create_task(demote(second, owner)),
    ]
    started.set()
    assert sorted(await asyncio.gather(*both)) == ["done", "staff.last_owner"]
    async with db.read() as session:
        members = (await session.exec(select(StaffMember.role))).all()
    assert sorted(members) == ["manager", "owner"]


async def test_the_last_owner_stays(
    client: httpx.AsyncClient, db: Database, shop: Shop, owner: StaffMember, boss: dict[str, str],
    now: datetime,
) -> None:  # fmt: skip
    async with db.write() as session:
        branch = await make_staff(session, shop, now, store_ids=[shop.store.id])
    path = f"{API}/console/staff/{owner.id}"
    for change in ({"role": "manager"}, {"store_ids": [shop.store.id]}):
        refused = await client.patch(path, json=change, headers=boss)
        assert refused.json()["code"] == "staff.last_owner", change
    # another name is fine, and with a second owner of everything so is another role
    assert (await client.patch(path, json={"name": "老陈"}, headers=boss)).status_code == 200
    made = await client.patch(
        f"{API}/console/staff/{branch.id}", json={"store_ids": None}, headers=boss
    )
    assert made.json()["store_ids"] is None
    assert (await client.patch(path, json={"role": "manager"}, headers=boss)).status_code == 200
    assert (await client.patch(path, json={"role": "owner"}, headers=boss)).status_code == 403
    assert (await audited(db, shop.merchant.id)) == ["staff.change"] * 3


async def test_own_roles_and_limits_hold_at_once(
    client: httpx.AsyncClient, db: Database, shop: Shop, boss: dict[str, str], now: datetime
) -> None:
    body = {"name": "夜班", "permissions": [ORDER_READ], "refund_fen": 5000, "waiver_fen": 0}
    made = await client.post(f"{API}/console/roles", json=body, headers=boss)
    assert made.status_code == 201, made.text
    key = made.json()["key"]
    taken = await client.post(f"{API}/console/roles", json=body | {"name": "店长"}, headers=boss)
    assert taken.json()["code"] == "role.name_taken"
    bad = await client.post(
        f"{API}/console/roles", json=body | {"name": "乱", "permissions": ["x.y"]}, headers=boss
    )
    assert bad.json()["code"] == "role.bad_permission"
    async with db.write() as session:
        member = await make_staff(session, shop, now, role=key)
        night = bearer(await make_login(session, member.account_id, now))
    me = (await client.get(f"{API}/console/me", headers=night)).json()
    assert (me["permissions"], me["refund_fen"]) == ([ORDER_READ], 5000)
    assert (await client.get(f"{API}/console/orders", headers=night)).status_code == 200
    path = f"{API}/console/roles/{key}"
    await client.patch(path, json={"permissions": []}, headers=boss)
    assert (await client.get(f"{API}/console/orders", headers=night)).status_code == 403
    assert (await client.delete(path, headers=boss)).json()["code"] == "role.in_use"
    await client.patch(f"{API}/console/staff/{member.id}", json={"role": "cleaner"}, headers=boss)
    assert (await client.delete(path, headers=boss)).status_code == 204
    preset = f"{API}/console/roles/manager"
    refused = await client.patch(preset, json={"permissions": []}, headers=boss)
    assert refused.json()["code"] == "role.preset"
    kept = await client.patch(preset, json={"refund_fen": 30_000, "waiver_fen": None}, headers=boss)
    assert (kept.json()["refund_fen"], kept.json()["waiver_fen"]) == (30_000, None)
    assert await audited(db, shop.merchant.id) == [
        "role.make", "role.change", "staff.change", "role.delete", "role.change",
    ]  # fmt: skip


async def test_nobody_gives_more_than_they_have(
    client: httpx.AsyncClient, db: Database, shop: Shop, owner: StaffMember, boss: dict[str, str],
    now: datetime,
) -> None:  # fmt: skip
    body = {"name": "人事", "permissions": [STAFF_EDIT, "staff.read"], "refund_fen": 100}
    key = (await client.post(f"{API}/console/roles", json=body, headers=boss)).json()["key"]
    async with db.write() as session:
        member = await make_staff(session, shop, now, role=key)
        clerk = bearer(await make_login(session, member.account_id, now))
    for path, change in (
        (f"/console/staff/{member.id}", {"role": "owner"}),
        (f"/console/staff/{owner.id}", {"name": "x"}),
        (f"/console/roles/{key}", {"permissions": [STAFF_EDIT, ORDER_READ]}),
        (f"/console/roles/{key}", {"refund_fen": None, "waiver_fen": None}),
        ("/console/roles/manager", {"refund_fen": 1, "waiver_fen": 1}),
    ):
        refused = await client.patch(f"{API}{path}", json=change, headers=clerk)
        assert refused.status_code == 403, (path, refused.text)
    gone = await client.post(f"{API}/console/staff/{owner.id}/deactivate", headers=clerk)
    assert gone.status_code == 403


def test_limits_and_a_fresh_second_factor_of_the_actor() -> None:
    who = Staff("s", "a", "m", ALL, limits=Limits(refund_fen=5000, waiver_fen=0), fresh=False)
    who.need_refund(5000)
    with pytest.raises(KaimenError, match=r"staff\.limit") as refused:
        who.need_refund(5001)
    assert refused.value.message == "你的岗位最多退 ¥50，超过的交给店长"
    with pytest.raises(KaimenError, match=r"staff\.limit"):
        who.need_waiver(1)
    free = Staff("s", "a", "m", ALL, fresh=False)
    free.need_refund(49_999)
    with pytest.raises(KaimenError, match="fresh_needed"):
        free.need_refund(50_000)


async def test_the_console_wants_the_second_factor_where_there_is_one(
    client: httpx.AsyncClient, db: Database, shop: Shop, owner: StaffMember, boss: dict[str, str],
    now: datetime, wire: Any,
) -> None:  # fmt: skip
    secret = await _enrolled(db, owner.account_id, now)
    refused = await client.get(f"{API}/console/me", headers=boss)
    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor.needed")
    await _prove(client, boss, secret, wire)
    assert (await client.get(f"{API}/console/me", headers=boss)).json()["fresh"] is True
    wire.pass_time(600)
    assert (await client.get(f"{API}/console/me", headers=boss)).json()["fresh"] is False
    code = f"{API}/console/stores/{shop.store.id}/enrolment-codes"
    refused = await client.post(code, headers=boss)
    assert refused.json()["code"] == "second_factor.fresh_needed"
    await _prove(client, boss, secret, wire)
    assert (await client.post(code, headers=boss)).status_code in (200, 201)


async def test_a_merchant_may_demand_it(
    client: httpx.AsyncClient, db: Database, shop: Shop, boss: dict[str, str], now: datetime
) -> None:
    async with db.write() as session:
        member = await make_staff(session, shop, now, role="cashier")
        cashier = bearer(await make_login(session, member.account_id, now))
    path = f"{API}/console/second-factor"

    async def codes() -> list[str]:
        answers = [await client.get(f"{API}/console/me", headers=h) for h in (boss, cashier)]
        return [one.json().get("code", "in") for one in answers]

    assert await codes() == ["in", "in"]
    await client.patch(f"{API}/console/roles/cashier", json={"second_factor": True}, headers=boss)
    assert await codes() == ["in", "second_factor.enrol_needed"]
    await client.patch(f"{API}/console/roles/cashier", json={"second_factor": False}, headers=boss)
    assert (await client.put(path, json={"who": "owner"}, headers=boss)).status_code == 200
    assert await codes() == ["second_factor.enrol_needed", "in"]
    # what they need to set one up stays open
    assert (await client.get(f"{API}/auth/security", headers=boss)).status_code == 200


async def test_staff_s_logins_are_seen_and_ended_by_the_owner(
    client: httpx.AsyncClient, db: Database, shop: Shop, boss: dict[str, str], now: datetime
) -> None:
    async with db.write() as session:
        member = await make_staff(session, shop, now, role="cashier")
        cashier = bearer(await make_login(session, member.account_id, now))
        rival = await make_store(session, now, name="别家")
        other = await make_staff(session, rival, now)
        foreign = bearer(await make_login(session, other.account_id, now))
    listed = (await client.get(f"{API}/console/logins", headers=boss)).json()["items"]
    mine = next(one for one in listed if one["staff_id"] == member.id)
    assert len(listed) == 2
    path = f"{API}/console/logins/{mine['id']}/revoke"
    assert (await client.post(path, headers=foreign)).status_code == 404
    assert (await client.post(path, headers=boss)).status_code == 204
    assert (await client.get(f"{API}/console/me", headers=cashier)).status_code == 401


# ------------------------------------------------------------------------------ the platform


@pytest.fixture
async def admin(db: Database, clocks: Clocks, now: datetime) -> dict[str, str]:
    async with db.write() as session:
        _, account = await platform.add_admin(session, "13800000041", "平台小李", clocks)
        token = await make_login(session, account.id, now)
    await _enrolled(db, account.id, now)
    async with db.write() as session:
        row = (await session.exec(select(Login).where(col(Login.account_id) == account.id))).one()
        row.strong_at = now
        session.add(row)
    return bearer(token)


async def test_an_administrator_acts_in_the_owner_s_sight(
    client: httpx.AsyncClient, db: Database, shop: Shop, owner: StaffMember, boss: dict[str, str],
    admin: dict[str, str], wire: Any,
) -> None:  # fmt: skip
    path = f"{API}/platform/merchants/{shop.merchant.id}/impersonate"
    assert (await client.post(path, json={"why": "看看"}, headers=boss)).status_code == 403
    long = {"why": "帮忙看看", "minutes": 61}
    assert (await client.post(path, json=long, headers=admin)).status_code == 422
    made = await client.post(path, json={"why": "帮忙看看门锁"}, headers=admin)
    client.cookies.clear()
    assert made.status_code == 201, made.text
    lent = bearer(made.json()["token"])
    me = (await client.get(f"{API}/console/me", headers=lent)).json()
    assert (me["merchant_id"], me["acting"], me["name"]) == (
        shop.merchant.id, True, "平台 · 平台小李",
    )  # fmt: skip
    # to look only, at the console only
    room = f"{API}/console/rooms/{shop.room.id}/mode"
    refused = await client.post(room, json={"mode": "maintenance"}, headers=lent)
    assert refused.json()["code"] == "impersonation.read_only"
    for mine in ("/auth/me", "/auth/logins", "/orders", "/platform/me"):
        assert (await client.get(f"{API}{mine}", headers=lent)).status_code == 401, mine
    # the owner sees it, and ends it
    seen = (await client.get(f"{API}/auth/logins", headers=boss)).json()["items"]
    theirs = next(one for one in seen if one["kind"] == "platform")
    assert theirs["device"] == "平台 · 平台小李"
    await client.post(f"{API}/auth/logins/{theirs['id']}/revoke", headers=boss)
    assert (await client.get(f"{API}/console/me", headers=lent)).status_code == 401
    async with db.read() as session:
        entry = (
            await session.exec(
                select(AuditEntry).where(col(AuditEntry.action) == "impersonation.begin")
            )
        ).one()
    assert entry.by.startswith("platform:")
    assert (entry.merchant_id, entry.why) == (shop.merchant.id, "帮忙看看门锁")


async def test_what_is_done_under_a_borrowed_role_says_so(
    client: httpx.AsyncClient, db: Database, shop: Shop, owner: StaffMember,
    admin: dict[str, str], wire: Any,
) -> None:  # fmt: skip
    path = f"{API}/platform/merchants/{shop.merchant.id}/impersonate"
    body = {"why": "帮忙改岗位", "read_only": False, "minutes": 60}
    made = (await client.post(path, json=body, headers=admin)).json()
    # the browser keeps its own login and has this one beside it; the other way round it is nothing
    client.cookies.clear()
    client.cookies.set("kaimen_acting", made["token"])
    assert (await client.get(f"{API}/console/me")).status_code == 401
    client.cookies.set("kaimen_login", admin["Authorization"].removeprefix("Bearer "))
    assert (await client.get(f"{API}/console/me")).json()["acting"] is True
    client.cookies.clear()
    lent = bearer(made["token"])
    role = {"name": "夜班", "permissions": [ORDER_READ]}
    assert (await client.post(f"{API}/console/roles", json=role, headers=lent)).status_code == 201
    async with db.read() as session:
        entry = (
            await session.exec(select(AuditEntry).where(col(AuditEntry.action) == "role.make"))
        ).one()
    assert entry.by.startswith("platform:")
    assert entry.via == f"staff:{owner.id}"
    key = {"name": "x", "permissions": [ORDER_READ]}
    refused = await client.post(f"{API}/console/api-keys", json=key, headers=lent)
    assert refused.json()["code"] == "impersonation.not_this"
    end = f"{API}/platform/impersonations/{made['id']}/end"
    wire.pass_time(3599)
    assert (await client.get(f"{API}/console/me", headers=lent)).status_code == 200
    wire.pass_time(1)
    assert (await client.get(f"{API}/console/me", headers=lent)).status_code == 401
    assert (await client.post(end, headers=admin)).status_code == 204


async def test_a_suspended_merchant_is_closed_and_comes_back(
    client: httpx.AsyncClient, db: Database, shop: Shop, boss: dict[str, str],
    admin: dict[str, str], wire: Any,
) -> None:  # fmt: skip
    path = f"{API}/platform/merchants/{shop.merchant.id}"
    done = await client.post(f"{path}/suspend", json={"why": "欠费"}, headers=admin)
    assert done.status_code == 204
    refused = await client.get(f"{API}/console/me", headers=boss)
    assert (refused.status_code, refused.json()["code"]) == (403, "merchant.suspended")
    listed = (await client.get(f"{API}/platform/merchants", headers=admin)).json()["items"]
    assert (listed[0]["suspended_why"], listed[0]["owners"]) == ("欠费", ["陈店长"])
    await client.post(f"{path}/resume", json={"why": "交了"}, headers=admin)
    assert (await client.get(f"{API}/console/me", headers=boss)).status_code == 200
    assert await audited(db, shop.merchant.id) == ["merchant.suspend", "merchant.resume"]
    wire.pass_time(600)
    late = await client.post(f"{path}/suspend", json={"why": "欠费"}, headers=admin)
    assert late.json()["code"] == "second_factor.fresh_needed"


async def test_a_removed_administrator_is_out_of_every_console(
    client: httpx.AsyncClient, db: Database, shop: Shop, owner: StaffMember,
    admin: dict[str, str], clocks: Clocks,
) -> None:  # fmt: skip
    path = f"{API}/platform/merchants/{shop.merchant.id}/impersonate"
    made = (await client.post(path, json={"why": "帮忙"}, headers=admin)).json()
    client.cookies.clear()
    async with db.write() as session:
        await platform.remove_admin(session, "13800000041", clocks)
    assert (await client.get(f"{API}/platform/me", headers=admin)).status_code == 401
    lent = bearer(made["token"])
    assert (await client.get(f"{API}/console/me", headers=lent)).status_code == 401


async def test_an_administrator_makes_merchants_but_needs_a_second_factor(
    client: httpx.AsyncClient, db: Database, clocks: Clocks, admin: dict[str, str], now: datetime
) -> None:
    body = {"name": "新商家", "phone": "13800000051", "owner": "老王"}
    made = await client.post(f"{API}/platform/merchants", json=body, headers=admin)
    assert made.json()["owners"] == ["老王"]
    again = await client.post(f"{API}/platform/merchants", json=body, headers=admin)
    assert again.json()["code"] == "merchant.exists"
    async with db.write() as session:
        _, account = await platform.add_admin(session, "13800000042", "新来的", clocks)
        bare = bearer(await make_login(session, account.id, now))
    refused = await client.get(f"{API}/platform/merchants", headers=bare)
    assert refused.json()["code"] == "second_factor.enrol_needed"


async def _enrolled(db: Database, account_id: str, now: datetime) -> str:
    secret = pyotp.random_base32()
    async with db.write() as session:
        account = await session.get_one(Account, account_id)
        account.second_factor_at = now
        session.add_all(
            [
                account,
                Totp(account_id=account_id, secret=secret, created_at=now, confirmed_at=now),
            ]
        )
    return secret


async def _prove(client: httpx.AsyncClient, who: dict[str, str], secret: str, wire: Any) -> None:
    code = pyotp.TOTP(secret).at(wire.now())
    done = await client.post(f"{API}/auth/second-factor", json={"code": code}, headers=who)
    assert done.status_code == 200, done.text
