"""Cards and codes of staff: given, shown once more to who manages staff, taken away.

The store gets a verifier alone (store_link.staff_keys), so that a key works while the store is offline
and whoever reads the store's disk finds no number.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Final, Literal

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.devices.models import StaffKey
from cloud_api.kit import outbox
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff.models import StaffMember
from cloud_api.staff.permissions import STAFF_EDIT, STAFF_READ
from cloud_api.stores.models import Door, Store
from store_link import rules as wire
from store_link.clock import ms
from store_link.signing import MacKey
from store_link.staff_keys import CODE_DIGITS, plain_card, staff_hmac

MOST: Final = 8  # of one member of staff


async def keys_of(session: AsyncSession, actor: Staff) -> list[StaffKey]:
    """All keys in force that an actor may see, the newest first. Needs staff.read."""
    actor.need(STAFF_READ)
    query = scoped(actor, StaffKey).where(col(StaffKey.revoked_at).is_(None))
    return list((await session.exec(query.order_by(col(StaffKey.id).desc()))).all())


async def get(session: AsyncSession, actor: Staff, key_id: str) -> StaffKey:
    """One in force, with its number. Needs staff.edit. Raises NotFound."""
    actor.need(STAFF_EDIT)
    query = scoped(actor, StaffKey).where(
        col(StaffKey.id) == key_id, col(StaffKey.revoked_at).is_(None)
    )
    found = (await session.exec(query)).one_or_none()
    if found is None:
        raise NotFound("staff_key", "没有这张卡或这个码，或已经收回")
    return found


async def give(
    session: AsyncSession,
    actor: Staff,
    *,
    staff_id: str,
    kind: Literal["card", "code"],
    card: str,
    doors: list[str] | None,
    begins: str | None,
    ends: str | None,
    until: datetime | None,
    clocks: Clocks,
) -> StaffKey:
    """Give somebody a card (its number as printed or read) or a code (made here). Needs staff.edit.

    Raises NotFound, Conflict ``staff_key.taken``, ``staff_key.too_many``, KaimenError
    ``staff_key.bad_card``, ``staff_key.bad_door``, ``staff_key.half_hours``, ``staff_key.past`` (422).
    """
    actor.need(STAFF_EDIT)
    query = scoped(actor, StaffMember).where(
        col(StaffMember.id) == staff_id, col(StaffMember.active)
    )
    member = (await session.exec(query)).one_or_none()
    if member is None:
        raise NotFound("staff", "没有这位员工，或已停用")
    if (begins is None) != (ends is None):
        raise KaimenError("staff_key.half_hours", "几点到几点要一起填", status=422, field="begins")
    if until is not None and until <= clocks.now:
        raise KaimenError("staff_key.past", "有效期已经过了", status=422, field="until")
    if doors is not None:
        known = scoped(actor, Door).where(col(Door.id).in_(doors))
        if {door.id for door in await session.exec(known)} != set(doors):
            raise KaimenError("staff_key.bad_door", "没有这扇门", status=422, field="doors")
    live = await keys_of_merchant(session, member.merchant_id)
    if sum(1 for key in live if key.staff_id == member.id) >= MOST:
        raise Conflict(
            "staff_key.too_many", _("一个人最多 {most} 张卡或码，先收回不用的").format(most=MOST)
        )
    taken = {(key.kind, key.secret) for key in live}
    secret = _number(card) if kind == "card" else _code(taken)
    if (kind, secret) in taken:
        raise Conflict("staff_key.taken", "这张卡已经给了别人，先收回那一张")
    row = StaffKey(
        merchant_id=member.merchant_id,
        staff_id=member.id,
        kind=kind,
        secret=secret,
        tail=secret[-2:],
        doors=doors,
        begins=begins,
        ends=ends,
        until=until,
        made_by=actor.ref,
        created_at=clocks.real,
    )
    session.add(row)
    await session.flush()
    await _told(session, actor, row, "staff_key.give", clocks)
    return row


async def take(session: AsyncSession, actor: Staff, key_id: str, clocks: Clocks) -> None:
    """Take a key away: the store refuses it as soon as it has heard. Needs staff.edit."""
    row = await get(session, actor, key_id)
    row.revoked_at = clocks.real
    session.add(row)
    await _told(session, actor, row, "staff_key.take", clocks)


async def keys_of_merchant(session: AsyncSession, merchant_id: str) -> list[StaffKey]:
    """All keys in force."""
    query = scoped(System(), StaffKey).where(
        col(StaffKey.merchant_id) == merchant_id, col(StaffKey.revoked_at).is_(None)
    )
    return list((await session.exec(query.order_by(col(StaffKey.id)))).all())


async def verifiers(
    session: AsyncSession, store: Store, doors: frozenset[str], mac: MacKey, now: datetime
) -> tuple[wire.StaffKey, ...]:
    """What a store's document carries: keys of those who work there now, that open one of ``doors``."""
    query = scoped(System(), StaffMember).where(
        col(StaffMember.merchant_id) == store.merchant_id, col(StaffMember.active)
    )
    here = {
        member.id
        for member in await session.exec(query)
        if member.store_ids is None or store.id in member.store_ids
    }
    found = []
    for key in await keys_of_merchant(session, store.merchant_id):
        some = None if key.doors is None else tuple(sorted(doors.intersection(key.doors)))
        if key.staff_id not in here or some == () or (key.until is not None and key.until <= now):
            continue
        kind: Literal["card", "code"] = "card" if key.kind == "card" else "code"
        found.append(
            wire.StaffKey(
                staff=key.staff_id,
                kind=kind,
                hmac=staff_hmac(mac.secret, kind, key.staff_id, key.secret),
                doors=some,
                until=None if key.until is None else ms(key.until),
                begins=key.begins,
                ends=key.ends,
            )
        )
    return tuple(found)


async def changed(session: AsyncSession, merchant_id: str, clocks: Clocks) -> None:
    """Somebody's keys or right to work changed: every store of the merchant hears of it."""
    query = scoped(System(), Store).where(col(Store.merchant_id) == merchant_id)
    for store in await session.exec(query):
        await outbox.desired_changed(
            session, merchant_id=merchant_id, store_id=store.id, now=clocks.real
        )


def _number(card: str) -> str:
    try:
        return plain_card(card)
    except ValueError:
        raise KaimenError(
            "staff_key.bad_card", "卡号是 4 到 32 位数字或字母", status=422, field="card"
        ) from None


def _code(taken: set[tuple[str, str]]) -> str:
    while True:
        code = "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))
        if ("code", code) not in taken and len(set(code)) > 2:
            return code


async def _told(
    session: AsyncSession, actor: Staff, row: StaffKey, action: str, clocks: Clocks
) -> None:
    await audit.record(
        session,
        actor,
        action,
        merchant_id=row.merchant_id,
        subject=f"staff:{row.staff_id}",
        after={"kind": row.kind, "tail": row.tail, "doors": row.doors, "until": row.until},
        clocks=clocks,
    )
    await changed(session, row.merchant_id, clocks)
