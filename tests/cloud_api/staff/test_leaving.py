"""Who is dismissed stays out, whatever they prepared while they could."""

from __future__ import annotations

import asyncio
from datetime import datetime

import httpx

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.staff import service
from cloud_api.staff.models import Role, StaffMember
from cloud_api.staff.permissions import ALL, ROLES, STAFF_EDIT, STAFF_READ
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff, staff
from tests.cloud_api.staff.test_people import API, GUEST, accept, invited, login


async def test_an_invitation_is_worth_no_more_than_who_sent_it(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime
) -> None:
    """A dismissed manager comes back neither by a second phone nor by an old link; nor one demoted."""
    path = f"{API}/console/staff"
    async with db.write() as session:
        role = Role(
            merchant_id=shop.merchant.id,
            key="deputy",
            name="副店长",
            permissions=sorted(ROLES["manager"] | {STAFF_EDIT, STAFF_READ}),
            created_at=now,
            updated_at=now,
        )
        session.add(role)
        owner = await make_staff(session, shop, now)
        boss = bearer(await make_login(session, owner.account_id, now))
        deputy = await make_staff(session, shop, now, role="deputy")
        me = bearer(await make_login(session, deputy.account_id, now))
    second = await login(db, now, GUEST)
    sent = await invited(client, me)
    change = {"name": "副店长", "role": "cleaner", "store_ids": None}
    demoted = await client.patch(f"{path}/{deputy.id}", json=change, headers=boss)
    assert demoted.status_code == 200, demoted.text
    assert (await accept(client, sent["link"], second)).status_code == 404
    back = change | {"role": "deputy"}
    assert (await client.patch(f"{path}/{deputy.id}", json=back, headers=boss)).status_code == 200
    gone = await client.post(f"{path}/{deputy.id}/deactivate", headers=boss)
    assert gone.status_code < 300, gone.text
    assert (await accept(client, sent["link"], second)).status_code == 404
    listed = await client.get(f"{path}/invitations", headers=boss)
    assert listed.json()["items"] == []


async def test_a_new_name_brings_no_store_back_that_is_taken_away_meanwhile(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime, clocks: Clocks
) -> None:
    """Two owners at once: one takes stores away, the other only corrects a name."""
    async with db.write() as session:
        owner = await make_staff(session, shop, now)
        boss = bearer(await make_login(session, owner.account_id, now))
        cashier = await make_staff(session, shop, now, role="cashier")
    path = f"{API}/console/staff/{cashier.id}"
    async with db.write() as session:
        await service.change_staff(
            session,
            staff(owner, ALL),
            cashier.id,
            name="小王",
            role="cashier",
            store_ids=[shop.store.id],
            clocks=clocks,
        )
        other = asyncio.create_task(client.patch(path, json={"name": "小汪"}, headers=boss))
        await asyncio.wait([other], timeout=0.5)
    answer = await other
    assert answer.status_code == 200, answer.text
    async with db.read() as session:
        kept = await session.get_one(StaffMember, cashier.id)
    assert (kept.name, kept.store_ids) == ("小汪", [shop.store.id])


async def test_a_branch_manager_deletes_no_role_of_all_branches(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime
) -> None:
    async with db.write() as session:
        for key, name in (("deputy", "副店长"), ("night", "夜班")):
            may = sorted({STAFF_EDIT, STAFF_READ})
            role = Role(
                merchant_id=shop.merchant.id,
                key=key,
                name=name,
                permissions=may,
                created_at=now,
                updated_at=now,
            )
            session.add(role)
        deputy = await make_staff(session, shop, now, role="deputy")
        deputy.store_ids = [shop.store.id]
        session.add(deputy)
        me = bearer(await make_login(session, deputy.account_id, now))
    refused = await client.delete(f"{API}/console/roles/night", headers=me)
    assert (refused.status_code, refused.json()["code"]) == (403, "role.branch")
