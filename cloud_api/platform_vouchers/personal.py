"""What platform vouchers keep of a person: which were used, when and where."""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit import merging
from cloud_api.kit.actor import Customer, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register
from cloud_api.platform_vouchers.models import PlatformUse
from cloud_api.platform_vouchers.service import WORDS
from cloud_api.platform_vouchers.transitions import WAITING


class _PlatformVouchers:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        found = await self._mine(session, account_id)
        return [
            Section(
                "platform_vouchers",
                "平台券",
                [
                    {
                        "名称": one.name,
                        "券码后四位": one.code_tail,
                        "状态": WORDS[one.state],
                        "用的时间": one.created_at,
                        "开始": one.starts_at,
                        "结束": one.ends_at,
                    }
                    for one in found
                ],
            )
        ]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        waiting = [one for one in await self._mine(session, account_id) if one.state in WAITING]
        if not waiting:
            return []
        return [
            Blocker(
                "platform_use.open",
                "你有平台券正在核销，等它有结果再注销",
                [one.name for one in waiting],
            )
        ]

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        """The rows stay with the money; there is nothing in them but what was used."""

    async def _mine(self, session: AsyncSession, account_id: str) -> list[PlatformUse]:
        query = scoped(Customer(account_id), PlatformUse).order_by(col(PlatformUse.id))
        return list((await session.exec(query)).all())


register("platform_vouchers", _PlatformVouchers())


async def _merge(session: AsyncSession, merge: merging.Merge) -> None:
    await merge.rows(session, PlatformUse)


merging.register("platform_vouchers", _merge)
