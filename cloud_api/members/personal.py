"""What members keep of a person: their level at each merchant."""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit import merging
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register
from cloud_api.members.merging import profiles_follow
from cloud_api.members.models import MemberLevel, MemberProfile, Membership


class _Memberships:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        query = (
            scoped(System(), MemberLevel)
            .join(Membership, col(Membership.level_id) == col(MemberLevel.id))
            .where(col(Membership.account_id) == account_id)
        )
        rows = [
            {"等级": one.name, "折扣_百分比": one.per_cent}
            for one in (await session.exec(query)).all()
        ]
        known = scoped(System(), MemberProfile).where(col(MemberProfile.account_id) == account_id)
        profiles = [
            {"称呼": one.name, "标签": [str(tag) for tag in one.tags]}
            for one in (await session.exec(known)).all()
            if one.name or one.tags
        ]
        return [
            Section("memberships", "会员等级", rows),
            Section("member_profiles", "店家给你的称呼和标签", profiles),
        ]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        del session, account_id
        return []

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        del clocks
        query = scoped(System(), Membership).where(col(Membership.account_id) == account_id)
        for one in (await session.exec(query)).all():
            await session.delete(one)
        known = scoped(System(), MemberProfile).where(col(MemberProfile.account_id) == account_id)
        for profile in (await session.exec(known)).all():
            profile.name, profile.note, profile.tags, profile.phone_tail = None, None, [], ""
            session.add(profile)


register("memberships", _Memberships())


merging.register("members", profiles_follow)
