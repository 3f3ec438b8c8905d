"""Who is dismissed stays out, whatever they prepared while they could."""

from __future__ import annotations

from datetime import datetime

import httpx

from cloud_api.kit.database import Database
from cloud_api.staff.models import Role
from cloud_api.staff.permissions import ROLES, STAFF_EDIT, STAFF_READ
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff
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
