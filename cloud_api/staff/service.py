"""Staff: whose they are, in which role, and what they may do."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth import phones
from cloud_api.auth import service as auth
from cloud_api.auth.models import Account
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.merchants.models import Merchant
from cloud_api.staff.models import StaffMember
from cloud_api.staff.permissions import ROLES, STAFF_EDIT, STAFF_READ, of_role


async def workplaces(session: AsyncSession, account_id: str) -> list[tuple[StaffMember, Merchant]]:
    """Where an account works now, the oldest first. Asked before there is a staff actor."""
    query = (
        scoped(System(), StaffMember)
        .where(col(StaffMember.account_id) == account_id, col(StaffMember.active))
        .order_by(col(StaffMember.id))
    )
    found = []
    for member in (await session.exec(query)).all():
        merchant = await session.get(Merchant, member.merchant_id)
        if merchant is not None:
            found.append((member, merchant))
    return found


def actor_of(member: StaffMember, *, login_id: str = "", ip: str = "") -> Staff:
    """The actor that a member of staff is."""
    stores = None if member.store_ids is None else frozenset(map(str, member.store_ids))
    return Staff(
        staff_id=member.id,
        account_id=member.account_id,
        merchant_id=member.merchant_id,
        permissions=of_role(member.role),
        store_ids=stores,
        login_id=login_id,
        ip=ip,
        name=member.name,
    )


async def list_staff(session: AsyncSession, actor: Staff) -> list[tuple[StaffMember, Account]]:
    """The merchant's staff with their accounts. Needs staff.read."""
    actor.need(STAFF_READ)
    members = (await session.exec(scoped(actor, StaffMember).order_by(col(StaffMember.id)))).all()
    found = []
    for member in members:
        account = await session.get(Account, member.account_id)
        assert account is not None  # foreign key
        found.append((member, account))
    return found


async def add_staff(
    session: AsyncSession,
    actor: Staff | System,
    *,
    merchant_id: str,
    phone: str,
    name: str,
    role: str,
    store_ids: list[str] | None,
    now: datetime,
) -> StaffMember:
    """Make an account with this phone a member of staff. Needs staff.edit.

    Raises KaimenError: ``staff.bad_role``, ``staff.exists``; nobody gives more than they have.
    """
    if isinstance(actor, Staff):
        actor.need(STAFF_EDIT)
        _within(actor, merchant_id, role, store_ids)
    if role not in ROLES:
        raise KaimenError("staff.bad_role", "没有这个岗位", status=422, field="role")
    number = phones.normal(phone)
    account = await auth.account_of_phone(session, number)
    if account is None:
        account = await auth.make_account(session, number, "zh_Hans", now)
    known = (
        await session.exec(
            scoped(System(), StaffMember).where(
                col(StaffMember.merchant_id) == merchant_id,
                col(StaffMember.account_id) == account.id,
            )
        )
    ).one_or_none()
    if known is not None and known.active:
        raise Conflict("staff.exists", "这个手机号已经是你的员工")
    member = known or StaffMember(
        merchant_id=merchant_id, account_id=account.id, name=name, role=role, created_at=now
    )
    member.name, member.role, member.store_ids, member.active = name, role, store_ids, True
    session.add(member)
    await session.flush()
    return member


async def deactivate(
    session: AsyncSession, actor: Staff, staff_id: str, now: datetime
) -> StaffMember:
    """Take a member's rights away at once; their logins end. Needs staff.edit; not oneself."""
    actor.need(STAFF_EDIT)
    member = (
        await session.exec(scoped(actor, StaffMember).where(col(StaffMember.id) == staff_id))
    ).one_or_none()
    if member is None:
        raise NotFound("staff")
    if member.id == actor.staff_id:
        raise Conflict("staff.self", "不能停用自己，请让另一位店主来做")
    member.active = False
    session.add(member)
    await auth.revoke_all(session, member.account_id, now)
    return member


def _within(actor: Staff, merchant_id: str, role: str, store_ids: list[str] | None) -> None:
    if merchant_id != actor.merchant_id:
        raise NotFound("merchant")
    more = of_role(role) - actor.permissions
    if more:
        actor.need(sorted(more)[0])
    if actor.store_ids is not None and (store_ids is None or not set(store_ids) <= actor.store_ids):
        raise KaimenError("staff.stores", "只能分配你自己管的门店", status=403, field="store_ids")
