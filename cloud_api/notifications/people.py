"""Who ``to`` is: an account, or everybody of a store with a permission or a role."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.models import Account
from cloud_api.kit.actor import System, scoped
from cloud_api.staff import rights
from cloud_api.staff.models import Role, StaffMember


@dataclass(frozen=True, slots=True)
class Person:
    """One recipient."""

    account_id: str
    language: str
    phone: str
    phone_tail: str


async def recipients(
    session: AsyncSession, merchant_id: str, store_id: str | None, to: str
) -> list[Person]:
    """The people behind ``to``, each once."""
    kind, _, who = to.partition(":")
    if kind == "account":
        account = await session.get(Account, who)
        return [] if account is None else [_person(account)]
    roles = scoped(System(), Role).where(col(Role.merchant_id) == merchant_id)
    own = {role.key: role for role in (await session.exec(roles)).all()}
    query = scoped(System(), StaffMember).where(
        col(StaffMember.merchant_id) == merchant_id, col(StaffMember.active).is_(True)
    )
    found = []
    for member in (await session.exec(query.order_by(col(StaffMember.id)))).all():
        limited = store_id is not None and member.store_ids is not None
        if limited and store_id not in [str(one) for one in member.store_ids or ()]:
            continue
        if kind == "role":
            chosen = member.role == who
        else:
            chosen = who in rights.permissions_of(member.role, own.get(member.role))
        if chosen:
            found.append(member.account_id)
    accounts = scoped(System(), Account).where(col(Account.id).in_(found))
    known = {account.id: account for account in (await session.exec(accounts)).all()}
    return [_person(known[key]) for key in dict.fromkeys(found) if key in known]


def _person(account: Account) -> Person:
    return Person(account.id, account.locale, account.phone, account.phone_tail)
