"""A member of staff logged in with something they never used before: they hear of it at once."""

from __future__ import annotations

from typing import Final

from sqlmodel import col, select

from cloud_api.auth import agents
from cloud_api.auth.models import Login
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import DueJob
from cloud_api.kit.notices import notify
from cloud_api.staff.service import places_of

EVENT: Final = "login.new_device"


async def look(cloud: Cloud, job: DueJob) -> None:
    """Job ``login.made``: tell staff of a device that none of their earlier logins had.

    The first login of an account is no news to whoever made it.
    """
    async with cloud.db.write() as session:
        login = await session.get(Login, job.ref)
        if login is None:
            return
        places = await places_of(session, login.account_id)
        if not places:
            return
        earlier = select(col(Login.device)).where(
            col(Login.account_id) == login.account_id, col(Login.id) < login.id
        )
        known = set((await session.exec(earlier)).all())
        if not known or login.device in known:
            return
        await notify(
            session,
            merchant_id=places[0].merchant.id,
            store_id=None,
            event=EVENT,
            to=f"account:{login.account_id}",
            subject=f"login:{login.id}",
            data={
                "place": agents.words(login.device),
                "at": (login.created_at + (cloud.clocks.now - cloud.clocks.real)).isoformat(),
                "name": places[0].member.name,
            },
            key=login.id,
            at=cloud.clocks.now,
        )
