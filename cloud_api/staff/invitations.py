"""Asking somebody by SMS to work here: the link is good once, for seven days, for that phone alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import record
from cloud_api.auth import phones
from cloud_api.auth.models import Account
from cloud_api.kit.actor import Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id, new_token
from cloud_api.merchants.models import Merchant
from cloud_api.staff import rights, roles
from cloud_api.staff.models import Invitation, PlatformAdmin, Role, StaffMember
from cloud_api.staff.permissions import STAFF_EDIT, STAFF_READ
from cloud_api.staff.service import actor_of, employ, may_give

LIFE = timedelta(days=7)


class BadInvitation(KaimenError):
    """Unknown, used, taken back or too old: one answer for all."""

    def __init__(self) -> None:
        super().__init__(
            "invitation.not_found",
            _("这个邀请用过、撤回或过期了，请店主再发一次"),
            status=404,
        )


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation just made. ``token`` exists only here and in the message."""

    token: str
    phone: str
    merchant: str
    invitation: Invitation


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    """What somebody with the link sees."""

    invitation: Invitation
    merchant: str
    role: str


async def invite(
    session: AsyncSession,
    actor: Staff,
    *,
    phone: str,
    name: str,
    role: str,
    store_ids: list[str] | None,
    clocks: Clocks,
) -> NewInvitation:
    """Ask a phone to work here; an earlier open invitation of it ends. Needs staff.edit.

    Raises KaimenError: ``staff.bad_role``, ``staff.exists``, ``auth.bad_phone``; nobody gives more
    than they have.
    """
    row = await roles.need_role(session, actor.merchant_id, role)
    await may_give(session, actor, actor.merchant_id, role, row, store_ids)
    number = phones.normal(phone)
    index = vault().index(number)
    working = (
        select(StaffMember.id)
        .join(Account, col(Account.id) == col(StaffMember.account_id))
        .where(
            col(Account.phone_index) == index,
            col(StaffMember.merchant_id) == actor.merchant_id,
            col(StaffMember.active),
        )
    )
    if (await session.exec(working)).first() is not None:
        raise Conflict("staff.exists", "这个手机号已经是你的员工")
    await session.exec(
        update(Invitation)
        .where(
            col(Invitation.merchant_id) == actor.merchant_id,
            col(Invitation.phone_index) == index,
            *_open(),
        )
        .values(revoked_at=clocks.real)
    )
    token = new_token(128)
    made = Invitation(
        id=new_id(),
        merchant_id=actor.merchant_id,
        token_hash=_hash(token),
        phone=number,
        phone_index=index,
        phone_tail=number[-4:],
        name=name,
        role=role,
        store_ids=store_ids,
        invited_by=actor.ref,
        created_at=clocks.real,
        expires_at=clocks.real + LIFE,
    )
    session.add(made)
    await session.flush()
    after = {"name": name, "role": role, "store_ids": store_ids, "phone_tail": made.phone_tail}
    await _note(session, actor, "staff.invite", made, after, clocks)
    merchant = await session.get_one(Merchant, actor.merchant_id)
    return NewInvitation(token, number, merchant.name, made)


async def list_open(session: AsyncSession, actor: Staff, clocks: Clocks) -> list[Invitation]:
    """Invitations that nobody took yet, the newest first. Needs staff.read."""
    actor.need(STAFF_READ)
    query = scoped(actor, Invitation).where(*_open(), col(Invitation.expires_at) > clocks.real)
    found = (await session.exec(query.order_by(col(Invitation.id).desc()))).all()
    return [one for one in found if actor.within(one.store_ids)]


async def revoke(session: AsyncSession, actor: Staff, invitation_id: str, clocks: Clocks) -> None:
    """Take an invitation back. Needs staff.edit; raises NotFound, also where it was accepted."""
    actor.need(STAFF_EDIT)
    query = scoped(actor, Invitation).where(col(Invitation.id) == invitation_id)
    found = (await session.exec(query)).one_or_none()
    if found is None or not actor.within(found.store_ids):
        raise NotFound("invitation")
    ended = await session.exec(
        update(Invitation)
        .where(col(Invitation.id) == found.id, *_open())
        .values(revoked_at=clocks.real)
        .returning(col(Invitation.id))
    )
    if ended.scalar_one_or_none() is None:
        raise NotFound("invitation", "这个邀请已经用过或撤回了")
    await _note(session, actor, "staff.uninvite", found, {"name": found.name}, clocks)


async def look(session: AsyncSession, token: str, clocks: Clocks) -> OpenInvitation:
    """What a link invites to. Raises BadInvitation."""
    found = (
        await session.exec(
            scoped(System(), Invitation).where(
                col(Invitation.token_hash) == _hash(token),
                col(Invitation.expires_at) > clocks.real,
                *_open(),
            )
        )
    ).one_or_none()
    merchant = None if found is None else await session.get(Merchant, found.merchant_id)
    if found is None or merchant is None or merchant.suspended_at is not None:
        raise BadInvitation
    row = await roles.find(session, found.merchant_id, found.role)
    return OpenInvitation(found, merchant.name, rights.name_of(found.role, row))


async def accept(
    session: AsyncSession, who: Customer, token: str, clocks: Clocks
) -> tuple[StaffMember, str]:
    """Begin to work where the link invites to: the member and the merchant's name.

    Raises BadInvitation, also where who invited left or may no longer give this; KaimenError
    ``invitation.other_phone`` and ``staff.exists``. Of two who accept at once one does.
    """
    seen = await look(session, token, clocks)
    invitation = seen.invitation
    account = await session.get_one(Account, who.account_id)
    if account.phone_index != invitation.phone_index:
        raise KaimenError(
            "invitation.other_phone",
            _("这个邀请是发给尾号 {phone_tail} 的，请用那个手机号登录").format(
                phone_tail=invitation.phone_tail
            ),
            status=403,
        )
    row = await roles.need_role(session, invitation.merchant_id, invitation.role)
    await _still_given(session, invitation, row)
    taken = await session.exec(
        update(Invitation)
        .where(
            col(Invitation.id) == invitation.id,
            col(Invitation.expires_at) > clocks.real,
            *_open(),
        )
        .values(accepted_at=clocks.real)
        .returning(col(Invitation.id))
    )
    if taken.scalar_one_or_none() is None:
        raise BadInvitation
    member = await employ(
        session,
        who,
        merchant_id=invitation.merchant_id,
        account=account,
        name=invitation.name,
        role=invitation.role,
        store_ids=None if invitation.store_ids is None else list(map(str, invitation.store_ids)),
        clocks=clocks,
    )
    return member, seen.merchant


async def _still_given(session: AsyncSession, invitation: Invitation, row: Role | None) -> None:
    """Raise BadInvitation unless who invited is still there and may still give what they gave.

    Or somebody who is dismissed comes back by an invitation they sent to another phone of theirs.
    """
    kind, _, who = invitation.invited_by.partition(":")
    if kind == "platform":
        admin = await session.get(PlatformAdmin, who)
        if admin is None or admin.removed_at is not None:
            raise BadInvitation
        return
    inviter = await session.get(StaffMember, who)
    if inviter is None or not inviter.active:
        raise BadInvitation
    own = await roles.find(session, invitation.merchant_id, inviter.role)
    stores = None if invitation.store_ids is None else list(map(str, invitation.store_ids))
    try:
        actor = actor_of(inviter, own)
        await may_give(session, actor, invitation.merchant_id, invitation.role, row, stores)
    except KaimenError:
        raise BadInvitation from None


def _open() -> tuple[Any, Any]:
    return col(Invitation.accepted_at).is_(None), col(Invitation.revoked_at).is_(None)


def _hash(token: str) -> str:
    return vault().hash_token(f"invitation\n{token}")


async def _note(
    session: AsyncSession,
    actor: Staff,
    action: str,
    invitation: Invitation,
    after: dict[str, Any],
    clocks: Clocks,
) -> None:
    await record(
        session,
        actor,
        action,
        merchant_id=invitation.merchant_id,
        subject=f"invitation:{invitation.id}",
        after=after,
        clocks=clocks,
    )
