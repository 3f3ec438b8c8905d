"""Who may log in as an account by an app at WeChat or Alipay: linked by somebody who proved both.

A member is known by phone: the first time somebody comes by WeChat they prove a number by SMS, and the two
are linked. Between the two steps what the provider said is sealed into a cookie of that browser.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.csrf import DEVICE_COOKIE, set_cookie
from cloud_api.auth.models import Account, Identity, Login
from cloud_api.auth.outside import Person
from cloud_api.auth.service import revoke
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import NotFound
from cloud_api.kit.ids import new_id
from cloud_api.kit.upsert import insert_or_ignore

COOKIE: Final = "kaimen_outside"
LIFE: Final = timedelta(minutes=15)
_CONTEXT: Final = "cookie.outside"
Linked = Literal["yes", "taken", "other"]


async def account_of(session: AsyncSession, person: Person, now: datetime) -> Account | None:
    """Whose it is, if anybody's; notes that it was used. ``now`` is wire time."""
    used = await session.exec(
        update(Identity)
        .where(col(Identity.subject_index) == _index(person))
        .values(used_at=now)
        .returning(col(Identity.account_id))
    )
    account_id = used.scalar_one_or_none()
    return None if account_id is None else await session.get(Account, account_id)


async def link(session: AsyncSession, account_id: str, person: Person, now: datetime) -> Linked:
    """Let ``person`` log in as the account from now on.

    ``taken``: they are somebody else's already. ``other``: the account has another there. Neither is
    replaced: a number that changed hands must not take another's way in along.
    """
    await insert_or_ignore(
        session,
        Identity,
        {
            "id": new_id(),
            "account_id": account_id,
            "provider": person.provider,
            "app": person.app,
            "subject": person.subject,
            "subject_index": _index(person),
            "created_at": now,
            "used_at": now,
        },
    )
    owner = (
        await session.exec(
            select(Identity.account_id).where(col(Identity.subject_index) == _index(person))
        )
    ).one_or_none()
    if owner is None:
        return "other"
    return "yes" if owner == account_id else "taken"


async def of(session: AsyncSession, account_id: str) -> list[Identity]:
    """An account's own, the oldest first."""
    query = select(Identity).where(col(Identity.account_id) == account_id)
    return list((await session.exec(query.order_by(col(Identity.id)))).all())


async def unlink(
    session: AsyncSession, account_id: str, identity_id: str, now: datetime, *, but: str = ""
) -> None:
    """End it, and every login that began by it ``but`` the one that asks. Raises NotFound."""
    gone = await session.exec(
        delete(Identity)
        .where(col(Identity.id) == identity_id, col(Identity.account_id) == account_id)
        .returning(col(Identity.provider))
    )
    provider = gone.scalar_one_or_none()
    if provider is None:
        raise NotFound("identity", "这个登录方式已经解开了")
    query = select(Login.id).where(
        col(Login.account_id) == account_id,
        col(Login.kind) == provider,
        col(Login.revoked_at).is_(None),
        col(Login.id) != but,
    )
    for login_id in (await session.exec(query)).all():
        await revoke(session, login_id, now)


def keep(person: Person, cookies: Mapping[str, str], now: datetime, *, secure: bool) -> str:
    """The Set-Cookie value that remembers who came until they have proved a number."""
    held = {
        "provider": person.provider,
        "app": person.app,
        "subject": person.subject,
        "device": cookies.get(DEVICE_COOKIE, ""),
        "until": (now + LIFE).isoformat(),
    }
    sealed = vault().seal(json.dumps(held), _CONTEXT)
    return set_cookie(COOKIE, sealed, max_age_s=int(LIFE.total_seconds()), secure=secure)


def waiting(cookies: Mapping[str, str], now: datetime) -> Person | None:
    """Who came and has proved no number yet, if the cookie is this browser's and not too old."""
    try:
        held = json.loads(vault().open(cookies.get(COOKIE, ""), _CONTEXT))
        mine = held["device"] == cookies.get(DEVICE_COOKIE, "") != ""
        if not mine or datetime.fromisoformat(held["until"]) <= now:
            return None
        return Person(held["provider"], held["app"], held["subject"])
    except (ValueError, KeyError, TypeError):
        return None


def forgotten(*, secure: bool) -> str:
    """The Set-Cookie value that takes it away."""
    return set_cookie(COOKIE, "", max_age_s=0, secure=secure)


def index(provider: str, app: str, subject: str) -> str:
    """What finds an identity; nothing of it can be read back."""
    return vault().index(f"{provider}\n{app}\n{subject}")


def _index(person: Person) -> str:
    return index(person.provider, person.app, person.subject)
