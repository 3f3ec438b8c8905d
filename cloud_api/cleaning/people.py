"""Who cleans where: the members of staff whose role may take cleaning tasks."""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.errors import KaimenError
from cloud_api.staff import rights
from cloud_api.staff.models import Role, StaffMember
from cloud_api.staff.permissions import CLEANING_DO

_SYSTEM = System()


async def cleaners(session: AsyncSession, merchant_id: str) -> list[StaffMember]:
    """The merchant's active staff who may clean; cleaners before those who may do it as well."""
    roles = scoped(_SYSTEM, Role).where(col(Role.merchant_id) == merchant_id)
    own = {role.key: role for role in (await session.exec(roles)).all()}
    query = scoped(_SYSTEM, StaffMember).where(
        col(StaffMember.merchant_id) == merchant_id, col(StaffMember.active).is_(True)
    )
    found = [
        member
        for member in (await session.exec(query.order_by(col(StaffMember.id)))).all()
        if CLEANING_DO in rights.permissions_of(member.role, own.get(member.role))
    ]
    return sorted(found, key=lambda member: member.role != "cleaner")


def works_at(member: StaffMember, store_id: str) -> bool:
    """Whether a member works in a store."""
    return member.store_ids is None or store_id in member.store_ids


async def cleaner_for(
    session: AsyncSession, merchant_id: str, store_id: str, staff_id: str
) -> StaffMember:
    """The member, if they clean in this store. Raises KaimenError ``cleaning.not_a_cleaner`` (422)."""
    for member in await cleaners(session, merchant_id):
        if member.id == staff_id and works_at(member, store_id):
            return member
    raise KaimenError(
        "cleaning.not_a_cleaner",
        "这位员工不在这家店做保洁，换一位，或先在员工里给他岗位",
        status=422,
        field="staff_id",
    )


async def names(session: AsyncSession, merchant_id: str) -> dict[str, str]:
    """The names of the merchant's staff, also of those who left, by id."""
    query = scoped(_SYSTEM, StaffMember).where(col(StaffMember.merchant_id) == merchant_id)
    return {member.id: member.name for member in (await session.exec(query)).all()}
