"""Changing the secret that makes indexes: numbers and identities are indexed anew, everybody logs in again."""

from __future__ import annotations

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth import identities
from cloud_api.auth.models import Account, Identity, Login
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import vault


async def is_right(session: AsyncSession) -> bool:
    """Whether the present secret made the indexes that are there (asked of the newest account).

    True as well where the account's number cannot be opened: that is another trouble.
    """
    query = select(Account).where(col(Account.phone_index).not_like("deleted:%"))
    try:
        account = (await session.exec(query.order_by(col(Account.id).desc()).limit(1))).first()
    except ValueError:
        return True
    return account is None or account.phone_index == vault().index(account.phone)


async def reindex(session: AsyncSession, clocks: Clocks) -> int:
    """Index every account's phone with the present secret, in one transaction; how many changed.

    Stop serve and worker before: a login in between would not find its account and make another.
    Tokens are hashed with the same secret, so those that are out are void; their logins are ended.
    """
    changed = 0
    query = select(Account).where(col(Account.phone_index).not_like("deleted:%"))
    for account in (await session.exec(query)).all():
        index = vault().index(account.phone)
        if account.phone_index != index:
            account.phone_index = index
            session.add(account)
            changed += 1
    for one in (await session.exec(select(Identity))).all():
        one.subject_index = identities.index(one.provider, one.app, one.subject)
        session.add(one)
    if changed:
        await session.exec(
            update(Login).where(col(Login.revoked_at).is_(None)).values(revoked_at=clocks.real)
        )
    return changed
