"""Staff: whose they are, in which role, and what they may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, bindparam, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import Select

from cloud_api.audit.service import changes, facts, record
from cloud_api.auth import phones
from cloud_api.auth import service as auth
from cloud_api.auth.models import Account, Login
from cloud_api.kit.actor import Platform, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import vault
from cloud_api.kit.database import Database
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.paging import page_of
from cloud_api.kit.statements import built
from cloud_api.merchants.models import Merchant
from cloud_api.staff import api_keys, rights, roles
from cloud_api.staff.models import Invitation, Role, StaffMember
from cloud_api.staff.permissions import STAFF_EDIT, STAFF_READ

RIGHTS_CHANGED: Final = (
    "staff.rights_changed"  # the due job: stores hear whose keys still open doors
)
_ROLE = and_(
    col(Role.merchant_id) == col(StaffMember.merchant_id), col(Role.key) == col(StaffMember.role)
)
_FACTS = ("role", "store_ids", "name", "active")


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where an account works, with the merchant's row of the role if there is one."""

    member: StaffMember
    merchant: Merchant
    role: Role | None


async def places_of(session: AsyncSession, account_id: str) -> list[Workplace]:
    """Where an account works now, the oldest first. Asked before there is a staff actor."""
    found = (await session.exec(_places(), params={"account_id": account_id})).all()
    return [Workplace(member, merchant, role) for member, merchant, role in found]


async def login_and_places(
    db: Database, token: str, now: datetime
) -> tuple[Login, Account, list[Workplace]] | None:
    """``auth.find_login`` and ``places_of`` in one round trip; ``now`` is wire time. The rows are for reading."""
    values = {"token_hash": vault().hash_token(token), "now": now}
    found: Sequence[Any]
    if db.is_sqlite:
        async with db.read() as session:
            found = (await session.execute(_login_and_places(), values)).all()
    else:
        found = await db.straight(_login_and_places(), values)
    if not found:
        return None
    places = [Workplace(*row[2:]) for row in found if row[2] is not None]
    return found[0][0], found[0][1], places


def login_with_places() -> Any:
    """The login of ``token_hash`` that is good at ``now``, its account, and a row for each place of work."""
    works = and_(col(StaffMember.account_id) == col(Account.id), col(StaffMember.active))
    return (
        auth.good_login()
        .outerjoin(StaffMember, works)
        .outerjoin(Merchant, col(Merchant.id) == col(StaffMember.merchant_id))
        .outerjoin(Role, _ROLE)
        .add_columns(StaffMember, Merchant, Role)
        .order_by(col(StaffMember.id))
    )


_login_and_places = built(login_with_places)


@built
def _places() -> Select[StaffMember, Merchant, Role]:
    return (
        select(StaffMember, Merchant, Role)
        .join(Merchant, col(Merchant.id) == col(StaffMember.merchant_id))
        .outerjoin(Role, _ROLE)
        .where(col(StaffMember.account_id) == bindparam("account_id"), col(StaffMember.active))
        .order_by(col(StaffMember.id))
    )


async def workplaces(session: AsyncSession, account_id: str) -> list[tuple[StaffMember, Merchant]]:
    """Where an account works now, the oldest first. Asked before there is a staff actor."""
    return [(one.member, one.merchant) for one in await places_of(session, account_id)]


def actor_of(
    member: StaffMember,
    role: Role | None = None,
    *,
    login_id: str = "",
    ip: str = "",
    fresh: bool = True,
) -> Staff:
    """The actor that a member of staff is; ``role`` is the merchant's row of their role."""
    stores = None if member.store_ids is None else frozenset(map(str, member.store_ids))
    return Staff(
        staff_id=member.id,
        account_id=member.account_id,
        merchant_id=member.merchant_id,
        permissions=rights.permissions_of(member.role, role),
        store_ids=stores,
        login_id=login_id,
        ip=ip,
        name=member.name,
        limits=rights.limits_of(member.role, role),
        fresh=fresh,
    )


async def list_staff(session: AsyncSession, actor: Staff) -> list[tuple[StaffMember, Account]]:
    """The staff who work where ``actor`` does, with their accounts. Needs staff.read."""
    actor.need(STAFF_READ)
    query = scoped(actor, StaffMember).order_by(col(StaffMember.id)).add_columns(Account)
    joined = query.join(Account, col(Account.id) == col(StaffMember.account_id))
    found = (await session.execute(joined)).all()
    return [(row[0], row[1]) for row in found if _beside(actor, row[0])]


async def staff_page(
    session: AsyncSession, actor: Staff, *, cursor: str | None, limit: int
) -> tuple[list[tuple[StaffMember, Account]], str | None]:
    """A page of ``list_staff`` and the cursor of the next; those of other branches leave gaps. Needs staff.read."""
    actor.need(STAFF_READ)
    members, following = await page_of(
        session, scoped(actor, StaffMember), by=StaffMember.id, key=StaffMember.id,
        downwards=False, cursor=cursor, limit=limit,
    )  # fmt: skip
    query = scoped(System(), Account).where(
        col(Account.id).in_([member.account_id for member in members])
    )
    accounts = {account.id: account for account in (await session.exec(query)).all()}
    shown = [(one, accounts[one.account_id]) for one in members if _beside(actor, one)]
    return shown, following


async def get_staff(session: AsyncSession, actor: Staff, staff_id: str) -> StaffMember:
    """A member of the merchant's staff. Raises NotFound."""
    query = scoped(actor, StaffMember).where(col(StaffMember.id) == staff_id)
    member = (await session.exec(query)).one_or_none()
    if member is None or not _beside(actor, member):
        raise NotFound("staff")
    return member


def _beside(actor: Staff, member: StaffMember) -> bool:
    """Whether a member works in one of the actor's stores: a branch knows nobody of another."""
    if actor.store_ids is None or member.store_ids is None:
        return True
    return not actor.store_ids.isdisjoint(map(str, member.store_ids))


async def add_staff(
    session: AsyncSession,
    actor: Staff | Platform | System,
    *,
    merchant_id: str,
    phone: str,
    name: str,
    role: str,
    store_ids: list[str] | None,
    clocks: Clocks,
) -> StaffMember:
    """Make an account with this phone a member of staff. Needs staff.edit.

    Raises KaimenError: ``staff.bad_role``, ``staff.exists``; nobody gives more than they have.
    """
    row = await roles.need_role(session, merchant_id, role)
    if isinstance(actor, Staff):
        await may_give(session, actor, merchant_id, role, row, store_ids)
    number = phones.normal(phone)
    account = await auth.account_of_phone(session, number)
    if account is None:
        account = await auth.make_account(session, number, "zh_Hans", clocks.real)
    return await employ(
        session,
        actor,
        merchant_id=merchant_id,
        account=account,
        name=name,
        role=role,
        store_ids=store_ids,
        clocks=clocks,
    )


async def employ(
    session: AsyncSession,
    actor: Any,
    *,
    merchant_id: str,
    account: Account,
    name: str,
    role: str,
    store_ids: list[str] | None,
    clocks: Clocks,
) -> StaffMember:
    """Make ``account`` work here, again or for the first time; whether it may is decided before.

    Raises KaimenError ``staff.exists``.
    """
    await lock_merchant(session, merchant_id)
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
        merchant_id=merchant_id,
        account_id=account.id,
        name=name,
        role=role,
        created_at=clocks.real,
    )
    member.name, member.role, member.store_ids, member.active = name, role, store_ids, True
    session.add(member)
    await session.flush()
    await record(
        session,
        actor,
        "staff.add",
        merchant_id=merchant_id,
        subject=f"staff:{member.id}",
        after=facts(member, *_FACTS),
        clocks=clocks,
    )
    auth.rights_changed(session, account.id)
    return member


async def change_staff(
    session: AsyncSession,
    actor: Staff,
    staff_id: str,
    *,
    name: str,
    role: str,
    store_ids: list[str] | None,
    clocks: Clocks,
) -> StaffMember:
    """Another name, role or set of stores; it holds from the next request on. Needs staff.edit.

    Raises KaimenError: ``staff.bad_role``, ``staff.last_owner``; nobody gives or takes more than
    they have.
    """
    actor.need(STAFF_EDIT)
    await lock_merchant(session, actor.merchant_id)
    member = await _locked(session, actor, staff_id)
    row = await roles.need_role(session, actor.merchant_id, role)
    await _over(session, actor, member)
    await may_give(session, actor, actor.merchant_id, role, row, store_ids)
    before = facts(member, *_FACTS)
    was_owner = rights.is_owner(member)
    member.name, member.role, member.store_ids = name, role, store_ids
    if was_owner and not rights.is_owner(member):
        await _leave_an_owner(session, member)
    session.add(member)
    await session.flush()
    was, now = changes(before, facts(member, *_FACTS))
    if now:
        await _note(session, actor, "staff.change", member, was, now, clocks)
        auth.rights_changed(session, member.account_id)
        await _tell_stores(session, member, clocks)
    return member


async def deactivate(
    session: AsyncSession, actor: Staff, staff_id: str, clocks: Clocks
) -> StaffMember:
    """Take a member's rights away at once; their logins end. Needs staff.edit; not oneself.

    Raises KaimenError: ``staff.self``, ``staff.last_owner``.
    """
    actor.need(STAFF_EDIT)
    await lock_merchant(session, actor.merchant_id)
    member = await _locked(session, actor, staff_id)
    if member.id == actor.staff_id:
        raise Conflict("staff.self", "不能停用自己，请让另一位店主来做")
    if not member.active:
        return member
    await _over(session, actor, member)
    was_owner = rights.is_owner(member)
    member.active = False
    if was_owner:
        await _leave_an_owner(session, member)
    session.add(member)
    await session.flush()
    await auth.revoke_all(session, member.account_id, clocks.real)
    auth.rights_changed(session, member.account_id)
    await _end_invitations(session, member, clocks)
    await api_keys.end_of(session, member.id, clocks.real)
    await _note(
        session, actor, "staff.deactivate", member, {"active": True}, {"active": False}, clocks
    )
    await _tell_stores(session, member, clocks)
    return member


async def _tell_stores(session: AsyncSession, member: StaffMember, clocks: Clocks) -> None:
    await schedule(
        session,
        merchant_id=member.merchant_id,
        kind=RIGHTS_CHANGED,
        ref=member.id,
        run_at=clocks.real,
        clock="wire",
    )


async def _end_invitations(session: AsyncSession, member: StaffMember, clocks: Clocks) -> None:
    """Who left comes back neither by an older invitation of theirs nor by one they sent."""
    account = await session.get_one(Account, member.account_id)
    await session.exec(
        update(Invitation)
        .where(
            col(Invitation.merchant_id) == member.merchant_id,
            or_(
                col(Invitation.invited_by) == f"staff:{member.id}",
                col(Invitation.phone_index) == account.phone_index,
            ),
            col(Invitation.accepted_at).is_(None),
            col(Invitation.revoked_at).is_(None),
        )
        .values(revoked_at=clocks.real)
    )


async def logins_of_staff(
    session: AsyncSession, actor: Staff, clocks: Clocks
) -> list[tuple[StaffMember, Login]]:
    """Where the merchant's staff are logged in, the platform acting for one included. Needs staff.edit."""
    actor.need(STAFF_EDIT)
    found = []
    for member in (await session.exec(scoped(actor, StaffMember))).all():
        if member.active and actor.within(member.store_ids):
            for login in await auth.logins_of(session, member.account_id, clocks.real):
                found.append((member, login))
    return sorted(found, key=lambda one: one[1].last_seen_at or one[1].created_at, reverse=True)


async def end_login(session: AsyncSession, actor: Staff, login_id: str, clocks: Clocks) -> None:
    """End a login of one's staff at once. Needs staff.edit; raises NotFound."""
    login = await session.get(Login, login_id)
    mine = {one.account_id: one for one in (await session.exec(scoped(actor, StaffMember))).all()}
    actor.need(STAFF_EDIT)
    if login is None or login.account_id not in mine:
        raise NotFound("login")
    member = mine[login.account_id]
    await _over(session, actor, member)
    if await auth.revoke(session, login.id, clocks.real):
        await _note(session, actor, "staff.end_login", member, None, {"login": login.id}, clocks)


async def set_second_factor(
    session: AsyncSession, actor: Staff, who: str, clocks: Clocks
) -> Merchant:
    """Who needs a second factor at the console: ``off``, ``owner``, ``all``. Needs staff.edit."""
    actor.need(STAFF_EDIT)
    if actor.store_ids is not None:
        raise KaimenError("role.branch", "这是全部门店共用的，请让店主来改", status=403)
    merchant = await lock_merchant(session, actor.merchant_id)
    before = {"second_factor": merchant.second_factor}
    merchant.second_factor = who
    session.add(merchant)
    await session.flush()
    if before["second_factor"] != who:
        await record(
            session,
            actor,
            "merchant.second_factor",
            merchant_id=merchant.id,
            subject=f"merchant:{merchant.id}",
            before=before,
            after={"second_factor": who},
            clocks=clocks,
        )
        auth.rights_changed(session, merchant.id)
    return merchant


async def lock_merchant(session: AsyncSession, merchant_id: str) -> Merchant:
    """The merchant's row, locked: whoever changes its staff queues here. Raises NotFound."""
    query = (
        select(Merchant)
        .where(col(Merchant.id) == merchant_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    merchant = (await session.exec(query)).one_or_none()
    if merchant is None:
        raise NotFound("merchant")
    return merchant


async def may_give(
    session: AsyncSession,
    actor: Staff,
    merchant_id: str,
    key: str,
    role: Role | None,
    store_ids: list[str] | None,
) -> None:
    """Raise unless ``actor`` may put somebody into this role for these stores."""
    actor.need(STAFF_EDIT)
    if merchant_id != actor.merchant_id:
        raise NotFound("merchant")
    more = rights.permissions_of(key, role) - actor.permissions
    if more:
        actor.need(sorted(more)[0])
    mine, given = actor.limits, rights.limits_of(key, role)
    for own, other in (
        (mine.refund_fen, given.refund_fen),
        (mine.waiver_fen, given.waiver_fen),
    ):
        if own is not None and (other is None or other > own):
            raise KaimenError("role.limit", "这个岗位的额度比你自己的高", status=403, field="role")
    if actor.store_ids is not None and (store_ids is None or not set(store_ids) <= actor.store_ids):
        raise KaimenError("staff.stores", "只能分配你自己管的门店", status=403, field="store_ids")


async def _over(session: AsyncSession, actor: Staff, member: StaffMember) -> None:
    """Raise unless ``actor`` may change this member: nobody does to those who may more."""
    role = await roles.find(session, actor.merchant_id, member.role)
    stores = None if member.store_ids is None else list(map(str, member.store_ids))
    await may_give(session, actor, member.merchant_id, member.role, role, stores)


async def _locked(session: AsyncSession, actor: Staff, staff_id: str) -> StaffMember:
    query = (
        scoped(actor, StaffMember)
        .where(col(StaffMember.id) == staff_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    member = (await session.exec(query)).one_or_none()
    if member is None:
        raise NotFound("staff")
    return member


async def _leave_an_owner(session: AsyncSession, member: StaffMember) -> None:
    """Raise unless somebody else owns the merchant, too. The merchant's row is locked."""
    query = scoped(System(), StaffMember).where(
        col(StaffMember.merchant_id) == member.merchant_id,
        col(StaffMember.id) != member.id,
        col(StaffMember.role) == "owner",
        col(StaffMember.active),
    )
    with session.no_autoflush:
        others = (await session.exec(query)).all()
    if not any(rights.is_owner(one) for one in others):
        raise Conflict("staff.last_owner", "至少要留一位管全部门店的店主，先把另一个人设成店主")


async def _note(
    session: AsyncSession,
    actor: Staff,
    action: str,
    member: StaffMember,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    clocks: Clocks,
) -> None:
    await record(
        session,
        actor,
        action,
        merchant_id=member.merchant_id,
        subject=f"staff:{member.id}",
        before=before,
        after=after,
        clocks=clocks,
    )
