"""What staff know of a customer: a name, a note, tags, a level. Figures come from above (orders/guests.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.auth.models import Account
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.members import levels
from cloud_api.members.models import MemberProfile
from cloud_api.staff.permissions import CUSTOMER_EDIT

MOST_TAGS: Final = 10
LONGEST_TAG: Final = 12
_SYSTEM: Final = System()


async def profile_of(
    session: AsyncSession, merchant_id: str, account_id: str
) -> MemberProfile | None:
    """The merchant's profile of a customer, for reading."""
    query = scoped(_SYSTEM, MemberProfile).where(
        col(MemberProfile.merchant_id) == merchant_id, col(MemberProfile.account_id) == account_id
    )
    return (await session.exec(query)).one_or_none()


async def lock_profile(
    session: AsyncSession, merchant_id: str, account_id: str, at: datetime
) -> MemberProfile:
    """The profile, held until the transaction ends; made where there is none. Raises NotFound."""
    query = (
        scoped(_SYSTEM, MemberProfile)
        .where(
            col(MemberProfile.merchant_id) == merchant_id,
            col(MemberProfile.account_id) == account_id,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found = (await session.exec(query)).one_or_none()
    if found is not None:
        return found
    account = await session.get(Account, account_id)
    if account is None:
        raise NotFound("member", "没有这个会员")
    values = {
        **MemberProfile(
            merchant_id=merchant_id,
            account_id=account_id,
            phone_tail=account.phone_tail,
            first_at=at,
            last_at=at,
        ).model_dump(),
        "id": new_id(),
    }
    await insert_or_ignore(session, MemberProfile, values)
    return (await session.exec(query)).one()


async def edit(
    session: AsyncSession,
    staff: Staff,
    account_id: str,
    *,
    name: str,
    note: str,
    tags: Sequence[str],
    clocks: Clocks,
) -> MemberProfile:
    """Write what is known of a customer. Needs customer.edit. Raises KaimenError ``member.tags`` (422)."""
    staff.need(CUSTOMER_EDIT)
    wanted = list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    if len(wanted) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in wanted):
        raise KaimenError(
            "member.tags",
            _("标签最多 {n} 个，每个最长 {k} 个字").format(n=MOST_TAGS, k=LONGEST_TAG),
            status=422,
            field="tags",
        )
    profile = await lock_profile(session, staff.merchant_id, account_id, clocks.now)
    before = {"tags": list(profile.tags)}
    profile.name, profile.note, profile.tags = name.strip() or None, note.strip() or None, wanted
    session.add(profile)
    await session.flush()
    await audit.record(
        session,
        staff,
        "member.edit",
        merchant_id=staff.merchant_id,
        subject=f"account:{account_id}",
        before=before,
        after={"tags": wanted},
        clocks=clocks,
    )
    return profile


async def set_level(
    session: AsyncSession, staff: Staff, account_id: str, level_id: str | None, clocks: Clocks
) -> None:
    """Give a customer a level, or none. Needs customer.edit. Raises NotFound ``member_level.not_found``."""
    staff.need(CUSTOMER_EDIT)
    before = await levels.level_of(session, staff.merchant_id, account_id)
    await levels.set_level(session, staff.merchant_id, account_id, level_id, staff.ref, clocks)
    await session.flush()
    after = await levels.level_of(session, staff.merchant_id, account_id)
    await audit.record(
        session,
        staff,
        "member.level",
        merchant_id=staff.merchant_id,
        subject=f"account:{account_id}",
        before={"name": before.name if before is not None else ""},
        after={"name": after.name if after is not None else ""},
        clocks=clocks,
    )


async def all_tags(session: AsyncSession, staff: Staff) -> list[str]:
    """The tags that are in use, as far as the latest 2000 profiles say; at most 50."""
    query = (
        scoped(staff, MemberProfile)
        .order_by(col(MemberProfile.last_at).desc())
        .limit(2000)
        .with_only_columns(col(MemberProfile.tags))
    )
    found: dict[str, int] = {}
    for (tags,) in await session.execute(query):
        for tag in tags or ():
            found[str(tag)] = found.get(str(tag), 0) + 1
    return sorted(found, key=lambda tag: (-found[tag], tag))[:50]
