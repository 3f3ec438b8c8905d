"""What an account's safety has to do with merchants: where somebody works, it is written down."""

from __future__ import annotations

from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import record
from cloud_api.auth import changes
from cloud_api.kit.actor import Customer
from cloud_api.kit.clocks import Clocks
from cloud_api.staff.service import actor_of, places_of


async def write_down(
    session: AsyncSession, who: Customer, action: str, after: dict[str, Any], clocks: Clocks
) -> None:
    """A password, a second factor or a login of staff changed: each merchant of theirs knows."""
    for place in await places_of(session, who.account_id):
        await record(
            session,
            actor_of(place.member, place.role, login_id=who.login_id, ip=who.ip),
            action,
            merchant_id=place.merchant.id,
            subject=f"staff:{place.member.id}",
            after=after or None,
            clocks=clocks,
        )


changes.register(write_down)
