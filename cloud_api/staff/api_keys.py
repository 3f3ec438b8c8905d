"""Keys with which other software uses the console's API: made once shown, scoped, revoked at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import record
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_token
from cloud_api.merchants.models import Merchant
from cloud_api.staff import rights
from cloud_api.staff.models import ApiKey, Role, StaffMember
from cloud_api.staff.permissions import (
    ALL,
    AUDIT_EXPORT,
    BACKUP_READ,
    BACKUP_RUN,
    BALANCE_EDIT,
    CUSTOMER_DELETE,
    CUSTOMER_EXPORT,
    NOTHING,
    ORDER_REFUND,
    ORDER_WAIVE,
    PAYMENT_ACCOUNTS,
    STAFF_EDIT,
    STAFF_READ,
)

PREFIX: Final = "kmk_"
MOST: Final = 20
NEVER: Final = frozenset(
    {STAFF_EDIT, PAYMENT_ACCOUNTS, CUSTOMER_DELETE, CUSTOMER_EXPORT, AUDIT_EXPORT}
    | {BACKUP_READ, BACKUP_RUN, ORDER_REFUND, ORDER_WAIVE, BALANCE_EDIT}
)
"""What no key may do: people do that, with their second factor, and within their limits of money."""
MAY: Final = ALL - NEVER
_NOTE_EVERY: Final = timedelta(minutes=10)


async def make(
    session: AsyncSession,
    actor: Staff,
    *,
    name: str,
    permissions: list[str],
    store_ids: list[str] | None,
    clocks: Clocks,
) -> tuple[ApiKey, str]:
    """A new key and its text, which is nowhere kept. Needs staff.edit; nobody gives more than they have.

    Raises KaimenError ``api_key.permissions``, ``api_key.stores`` (422), Conflict ``api_key.too_many``.
    """
    actor.need(STAFF_EDIT)
    actor.need_own()
    wanted = frozenset(permissions)
    if not wanted or wanted - MAY or wanted - actor.permissions:
        raise KaimenError(
            "api_key.permissions",
            "选至少一项你自己有、密钥也能有的权限",
            status=422,
            field="permissions",
        )
    if store_ids is not None and not store_ids:
        raise KaimenError("api_key.stores", "选至少一个门店", status=422, field="store_ids")
    if actor.store_ids is not None and not set(store_ids or ()) <= actor.store_ids:
        raise KaimenError("api_key.stores", "只能给你管的门店", status=422, field="store_ids")
    if actor.store_ids is not None and store_ids is None:
        store_ids = sorted(actor.store_ids)
    if len([one for one in await listed(session, actor) if one.revoked_at is None]) >= MOST:
        raise Conflict("api_key.too_many", _("最多 {most} 把，先停掉不用的").format(most=MOST))
    token = PREFIX + new_token()
    made = ApiKey(
        merchant_id=actor.merchant_id,
        name=name,
        start=token[:12],
        token_hash=vault().hash_token(token),
        permissions=sorted(wanted),
        store_ids=store_ids,
        created_by=actor.ref,
        created_at=clocks.real,
    )
    session.add(made)
    await session.flush()
    told: dict[str, Any] = {"name": name, "permissions": made.permissions, "store_ids": store_ids}
    await _note(session, actor, "api_key.make", made, told, clocks)
    return made, token


async def listed(session: AsyncSession, actor: Staff) -> list[ApiKey]:
    """The merchant's keys, newest first; who works in some stores sees those of these. Needs staff.read."""
    actor.need(STAFF_READ)
    query = scoped(actor, ApiKey).order_by(col(ApiKey.id).desc()).limit(200)
    return [key for key in (await session.exec(query)).all() if actor.within(key.store_ids)]


async def revoke(session: AsyncSession, actor: Staff, key_id: str, clocks: Clocks) -> ApiKey:
    """The key opens nothing any more, from the next request on. Needs staff.edit; raises NotFound."""
    actor.need(STAFF_EDIT)
    found = (await session.exec(scoped(actor, ApiKey).where(col(ApiKey.id) == key_id))).first()
    if found is None or not actor.within(found.store_ids):
        raise NotFound("api_key", "没有这把密钥")
    if found.revoked_at is None:
        found.revoked_at = clocks.real
        session.add(found)
        await _note(session, actor, "api_key.revoke", found, {"name": found.name}, clocks)
    return found


async def holder(
    session: AsyncSession, token: str
) -> tuple[ApiKey, Merchant, frozenset[str]] | None:
    """Whose key this is, if it is good, and what its maker may today. Asked before there is an actor.

    Who made it knows its text: it opens nothing that they may not, and nothing once they left.
    """
    query = scoped(System(), ApiKey).where(
        col(ApiKey.token_hash) == vault().hash_token(token), col(ApiKey.revoked_at).is_(None)
    )
    found = (await session.exec(query)).first()
    if found is None:
        return None
    query_maker = (
        select(StaffMember, Role)
        .join(
            Role,
            and_(
                col(Role.merchant_id) == col(StaffMember.merchant_id),
                col(Role.key) == col(StaffMember.role),
            ),
            isouter=True,
        )
        .where(
            col(StaffMember.id) == found.created_by.removeprefix("staff:"),
            col(StaffMember.merchant_id) == found.merchant_id,
            col(StaffMember.active),
        )
    )
    maker = (await session.exec(query_maker)).first()
    if maker is None:
        return None
    may = rights.permissions_of(maker[0].role, maker[1])
    return found, await session.get_one(Merchant, found.merchant_id), may


async def end_of(session: AsyncSession, staff_id: str, now: datetime) -> None:
    """Who left made these and knows their text: they stop."""
    await session.exec(
        update(ApiKey)
        .where(col(ApiKey.created_by) == f"staff:{staff_id}", col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=now)
    )


def actor_of(key: ApiKey, may: frozenset[str], ip: str) -> Staff:
    """The actor that a key is, within what its maker ``may``: never with a second factor, and with no money to give away."""
    return Staff(
        staff_id=f"key-{key.id}",
        account_id="",
        merchant_id=key.merchant_id,
        permissions=frozenset(map(str, key.permissions)) & MAY & may,
        store_ids=None if key.store_ids is None else frozenset(map(str, key.store_ids)),
        ip=ip,
        name=f"API · {key.name}",
        limits=NOTHING,
        fresh=False,
    )


def stale(key: ApiKey, now: datetime) -> bool:
    """Whether its last use should be written down again."""
    return key.last_used_at is None or now - key.last_used_at >= _NOTE_EVERY


async def used(session: AsyncSession, key_id: str, now: datetime) -> None:
    """Write down that it is in use."""
    await session.exec(update(ApiKey).where(col(ApiKey.id) == key_id).values(last_used_at=now))


async def _note(
    session: AsyncSession,
    actor: Staff,
    act: str,
    key: ApiKey,
    after: dict[str, Any],
    clocks: Clocks,
) -> None:
    await record(
        session,
        actor,
        act,
        merchant_id=key.merchant_id,
        subject=f"api_key:{key.id}",
        after=after,
        clocks=clocks,
    )
