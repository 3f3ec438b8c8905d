"""Who runs the installation: makes and suspends merchants, and helps at a console, seen by its owner.

What is done to a merchant stands in that merchant's audit; what is done to administrators in the
installation's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import INSTALLATION, record
from cloud_api.auth import phones
from cloud_api.auth import service as auth
from cloud_api.auth.models import Account
from cloud_api.kit.actor import Platform, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.paging import page_of
from cloud_api.merchants.models import Merchant
from cloud_api.staff import rights
from cloud_api.staff.models import Impersonation, PlatformAdmin, StaffMember
from cloud_api.staff.service import add_staff, lock_merchant

LONGEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class MerchantView:
    """A merchant as the platform sees it: how many work there, none of what they do."""

    merchant: Merchant
    staff: int
    owners: tuple[str, ...]  # names


@dataclass(frozen=True, slots=True)
class Acting:
    """An administrator at a merchant's console. ``token`` exists only here and with them."""

    token: str
    impersonation: Impersonation
    merchant: str


async def admin_of(session: AsyncSession, account_id: str) -> PlatformAdmin | None:
    """The administrator that an account is, if it is one."""
    query = select(PlatformAdmin).where(
        col(PlatformAdmin.account_id) == account_id, col(PlatformAdmin.removed_at).is_(None)
    )
    return (await session.exec(query)).one_or_none()


async def add_admin(
    session: AsyncSession, phone: str, name: str, clocks: Clocks
) -> tuple[PlatformAdmin, Account]:
    """Make the account of ``phone`` an administrator; from the command line only."""
    number = phones.normal(phone)
    account = await auth.account_of_phone(session, number)
    if account is None:
        account = await auth.make_account(session, number, "zh_Hans", clocks.real)
    query = select(PlatformAdmin).where(col(PlatformAdmin.account_id) == account.id)
    known = (await session.exec(query)).one_or_none()
    if known is not None and known.removed_at is None:
        raise Conflict("platform.exists", "这个手机号已经是平台管理员")
    admin = known or PlatformAdmin(account_id=account.id, name=name, created_at=clocks.real)
    admin.name, admin.removed_at = name, None
    session.add(admin)
    await session.flush()
    await record(
        session,
        System(),
        "platform_admin.add",
        merchant_id=INSTALLATION,
        subject=f"platform_admin:{admin.id}",
        after={"name": name},
        clocks=clocks,
    )
    return admin, account


async def remove_admin(session: AsyncSession, phone: str, clocks: Clocks) -> PlatformAdmin:
    """No administrator any more, at once; from the command line only. Raises NotFound."""
    account = await auth.account_of_phone(session, phones.normal(phone))
    admin = None if account is None else await admin_of(session, account.id)
    if admin is None:
        raise NotFound("platform_admin", "没有这个平台管理员")
    admin.removed_at = clocks.real
    session.add(admin)
    await auth.revoke_all(session, admin.account_id, clocks.real)
    mine = select(Impersonation).where(
        col(Impersonation.admin_id) == admin.id, col(Impersonation.expires_at) > clocks.real
    )
    for one in (await session.exec(mine)).all():
        await auth.revoke(session, one.login_id, clocks.real)
    await record(
        session,
        System(),
        "platform_admin.remove",
        merchant_id=INSTALLATION,
        subject=f"platform_admin:{admin.id}",
        before={"name": admin.name},
        clocks=clocks,
    )
    return admin


async def list_merchants(session: AsyncSession) -> list[MerchantView]:
    """Every merchant, the oldest first."""
    found = (await session.exec(scoped(System(), Merchant).order_by(col(Merchant.id)))).all()
    return await _views(session, found)


async def merchants_page(
    session: AsyncSession, *, cursor: str | None, limit: int
) -> tuple[list[MerchantView], str | None]:
    """A page of ``list_merchants`` and the cursor of the next."""
    found, following = await page_of(
        session, scoped(System(), Merchant), by=Merchant.id, key=Merchant.id, downwards=False,
        cursor=cursor, limit=limit,
    )  # fmt: skip
    return await _views(session, found), following


async def _views(session: AsyncSession, found: Sequence[Merchant]) -> list[MerchantView]:
    ids = [one.id for one in found]
    counted = dict(
        (
            await session.exec(
                select(StaffMember.merchant_id, func.count())
                .where(col(StaffMember.active), col(StaffMember.merchant_id).in_(ids))
                .group_by(col(StaffMember.merchant_id))
            )
        ).all()
    )
    query = scoped(System(), StaffMember).where(
        col(StaffMember.role) == "owner",
        col(StaffMember.active),
        col(StaffMember.merchant_id).in_(ids),
    )
    owners: dict[str, list[str]] = {}
    for member in (await session.exec(query)).all():
        if rights.is_owner(member):
            owners.setdefault(member.merchant_id, []).append(member.name)
    return [
        MerchantView(one, counted.get(one.id, 0), tuple(owners.get(one.id, ()))) for one in found
    ]


async def make_merchant(
    session: AsyncSession,
    actor: Platform | System,
    *,
    name: str,
    phone: str,
    owner: str,
    clocks: Clocks,
) -> tuple[Merchant, StaffMember]:
    """A merchant with its owner. Raises KaimenError ``merchant.exists`` (409)."""
    known = scoped(System(), Merchant).where(col(Merchant.name) == name)
    if (await session.exec(known)).first() is not None:
        raise Conflict("merchant.exists", "已经有叫这个名字的商家")
    merchant = Merchant(name=name, created_at=clocks.real)
    session.add(merchant)
    await session.flush()
    await record(
        session,
        actor,
        "merchant.make",
        merchant_id=merchant.id,
        subject=f"merchant:{merchant.id}",
        after={"name": name},
        clocks=clocks,
    )
    member = await add_staff(
        session,
        actor,
        merchant_id=merchant.id,
        phone=phone,
        name=owner,
        role="owner",
        store_ids=None,
        clocks=clocks,
    )
    return merchant, member


async def suspend(
    session: AsyncSession, actor: Platform, merchant_id: str, why: str, clocks: Clocks
) -> Merchant:
    """Close a merchant's console at once; what was booked still runs. Doing it twice is fine."""
    actor.need_fresh()
    merchant = await lock_merchant(session, merchant_id)
    if merchant.suspended_at is None:
        merchant.suspended_at, merchant.suspended_why = clocks.real, why
        await _note(session, actor, "merchant.suspend", merchant, why, clocks)
    return merchant


async def resume(
    session: AsyncSession, actor: Platform, merchant_id: str, why: str, clocks: Clocks
) -> Merchant:
    """Open a suspended merchant's console again. Doing it twice is fine."""
    actor.need_fresh()
    merchant = await lock_merchant(session, merchant_id)
    if merchant.suspended_at is not None:
        merchant.suspended_at, merchant.suspended_why = None, ""
        await _note(session, actor, "merchant.resume", merchant, why, clocks)
    return merchant


async def impersonate(
    session: AsyncSession,
    actor: Platform,
    merchant_id: str,
    *,
    read_only: bool,
    why: str,
    minutes: int,
    device: str,
    clocks: Clocks,
) -> Acting:
    """Act as the merchant's oldest owner at its console, for a reason and for ``minutes`` (≤ 60).

    It stands in the owner's logins, who can end it, and in the merchant's audit. Raises KaimenError
    ``impersonation.no_owner`` (409).
    """
    actor.need_fresh()
    if not 1 <= minutes <= LONGEST // timedelta(minutes=1):
        raise KaimenError("impersonation.minutes", "最多 60 分钟", status=422, field="minutes")
    merchant = await lock_merchant(session, merchant_id)
    query = (
        scoped(System(), StaffMember)
        .where(
            col(StaffMember.merchant_id) == merchant_id,
            col(StaffMember.role) == "owner",
            col(StaffMember.active),
        )
        .order_by(col(StaffMember.id))
    )
    owners = [one for one in (await session.exec(query)).all() if rights.is_owner(one)]
    if not owners:
        raise Conflict("impersonation.no_owner", "这个商家还没有店主")
    owner = owners[0]
    account = await session.get_one(Account, owner.account_id)
    made = await auth.make_login(
        session,
        account,
        kind="platform",
        ip=actor.ip,
        device=_("平台 · {name}").format(name=actor.name)[:80],
        now=clocks.real,
        life=timedelta(minutes=minutes),
        strong=True,
    )
    acting = Impersonation(
        merchant_id=merchant_id,
        staff_id=owner.id,
        admin_id=actor.admin_id,
        login_id=made.login.id,
        read_only=read_only,
        why=why,
        started_at=clocks.real,
        expires_at=made.login.expires_at,
    )
    session.add(acting)
    await session.flush()
    after = {"minutes": minutes, "read_only": read_only, "device": device}
    await record(
        session,
        actor,
        "impersonation.begin",
        merchant_id=merchant_id,
        subject=f"impersonation:{acting.id}",
        after=after,
        why=why,
        clocks=clocks,
    )
    return Acting(made.token, acting, merchant.name)


async def find_impersonation(session: AsyncSession, login_id: str) -> Impersonation | None:
    """The impersonation that a login of kind ``platform`` is, with its administrator still one."""
    query = (
        select(Impersonation)
        .join(PlatformAdmin, col(PlatformAdmin.id) == col(Impersonation.admin_id))
        .where(col(Impersonation.login_id) == login_id, col(PlatformAdmin.removed_at).is_(None))
    )
    return (await session.exec(query)).one_or_none()


async def end_impersonation(
    session: AsyncSession, actor: Platform, impersonation_id: str, clocks: Clocks
) -> None:
    """Stop acting. Raises NotFound for what is not one's own; fine where it is over already."""
    found = await session.get(Impersonation, impersonation_id)
    if found is None or found.admin_id != actor.admin_id:
        raise NotFound("impersonation")
    await _stop(session, actor, found, clocks)


async def leave(session: AsyncSession, found: Impersonation, ip: str, clocks: Clocks) -> None:
    """Stop acting by its own token, from the banner of the console. Fine where it is over already."""
    admin = await session.get_one(PlatformAdmin, found.admin_id)
    actor = Platform(
        admin_id=admin.id,
        account_id=admin.account_id,
        login_id=found.login_id,
        ip=ip,
        name=admin.name,
        fresh=False,
    )
    await _stop(session, actor, found, clocks)


async def _stop(
    session: AsyncSession, actor: Platform, found: Impersonation, clocks: Clocks
) -> None:
    """End the borrowed login and write it down, once."""
    if await auth.revoke(session, found.login_id, clocks.real):
        await record(
            session,
            actor,
            "impersonation.end",
            merchant_id=found.merchant_id,
            subject=f"impersonation:{found.id}",
            clocks=clocks,
        )


async def _note(
    session: AsyncSession,
    actor: Platform,
    action: str,
    merchant: Merchant,
    why: str,
    clocks: Clocks,
) -> None:
    session.add(merchant)
    await session.flush()
    await record(
        session,
        actor,
        action,
        merchant_id=merchant.id,
        subject=f"merchant:{merchant.id}",
        why=why,
        clocks=clocks,
    )
    auth.rights_changed(session, merchant.id)
