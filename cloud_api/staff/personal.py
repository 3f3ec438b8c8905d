"""Who works for somebody cannot vanish from under them: the owner lets them go first."""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register
from cloud_api.staff.models import StaffMember


class _Staff:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        query = scoped(System(), StaffMember).where(col(StaffMember.account_id) == account_id)
        found = (await session.exec(query.order_by(col(StaffMember.id)))).all()
        return [
            Section(
                "staff",
                "在商家的岗位",
                [
                    {
                        "名字": one.name,
                        "岗位": one.role,
                        "在职": one.active,
                        "加入时间": one.created_at,
                    }
                    for one in found
                ],
            )
        ]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        query = scoped(System(), StaffMember).where(
            col(StaffMember.account_id) == account_id, col(StaffMember.active)
        )
        if (await session.exec(query)).first() is None:
            return []
        return [Blocker("staff.active", "你还是商家的员工，先让店主停用你的员工身份")]

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        query = scoped(System(), StaffMember).where(col(StaffMember.account_id) == account_id)
        for member in (await session.exec(query)).all():
            member.name = "已注销"
            session.add(member)
        del clocks


register("staff", _Staff())
