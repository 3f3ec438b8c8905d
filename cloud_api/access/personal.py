"""What doors keep of a person: when they opened which, and the PINs of their bookings."""

from __future__ import annotations

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access.models import Grant
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit import merging
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register
from cloud_api.stores.models import Door


class _Access:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        doors = dict((await session.exec(select(col(Door.id), col(Door.name)))).all())
        query = scoped(System(), DeviceCommand).where(
            col(DeviceCommand.by) == f"customer:{account_id}"
        )
        found = (await session.exec(query.order_by(col(DeviceCommand.id)))).all()
        return [
            Section(
                "doors",
                "开门记录",
                [
                    {
                        "门": doors.get(one.target, one.target),
                        "动作": one.action,
                        "结果": one.state,
                        "时间": one.created_at,
                    }
                    for one in found
                ],
            )
        ]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        del session, account_id
        return []

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        query = scoped(Customer(account_id), Grant)
        for grant in (await session.exec(query)).all():
            grant.pin = ""
            session.add(grant)
        del clocks


register("access", _Access())


async def _merge(session: AsyncSession, merge: merging.Merge) -> None:
    """Whoever keeps the orders opens their doors."""
    await merge.rows(session, Grant)


merging.register("access", _merge)
