"""Two accounts of one person become one for a merchant: a look at what would move, then for good.

Money moves in the books, orders follow, the log of acts tells it. It is not undone: who merges types the
last digits of the number that vanishes, after the second factor, and says why.
"""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.auth.models import Account
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.merging import Merge, carry_out, hindrances, hold
from cloud_api.kit.personal import Blocker
from cloud_api.members.models import MemberLevel, MemberProfile, Membership
from cloud_api.members.profiles import lock_profile, profile_of
from cloud_api.staff.permissions import CUSTOMER_MERGE


async def look(
    session: AsyncSession, staff: Staff, old: str, new: str, clocks: Clocks
) -> list[Blocker]:
    """What stands in the way. Needs customer.merge. Raises NotFound, KaimenError ``member.same`` (422)."""
    return await hindrances(session, await _merge(session, staff, old, new, clocks))


async def merge(
    session: AsyncSession,
    staff: Staff,
    old: str,
    new: str,
    *,
    confirm: str,
    why: str,
    clocks: Clocks,
) -> Merge:
    """Let everything of ``old`` at this merchant be of ``new``.

    Raises KaimenError ``member.confirm`` (422) unless ``confirm`` are the last four digits of the number
    that vanishes, Conflict ``member.merged_away`` where the one to stay went into another meanwhile,
    ``member.merge_blocked`` with the reasons.
    """
    made = await _merge(session, staff, old, new, clocks)
    staff.need_fresh()
    held = {
        account_id: await lock_profile(session, staff.merchant_id, account_id, clocks.now)
        for account_id in sorted((old, new))  # always in the same order
    }
    if held[new].merged_into is not None:  # two who merge at once would hide both
        raise Conflict("member.merged_away", "要留的这位已经并到别的号了，刷新后选那一位")
    gone = await session.get_one(Account, old)
    if confirm.strip() != gone.phone_tail:
        raise KaimenError(
            "member.confirm", "和要并掉的手机号后四位不一样", status=422, field="confirm"
        )
    if len(why.strip()) < 2:
        raise KaimenError("why.missing", "写一句为什么合并，之后查得到", status=422, field="why")
    await hold(session, made)
    blockers = await hindrances(session, made)
    if blockers:
        raise Conflict(
            "member.merge_blocked",
            "；".join(one.message for one in blockers),
            reasons=[{"code": one.code, "message": one.message} for one in blockers],
        )
    await carry_out(session, made)
    kept = await session.get_one(Account, new)
    await audit.record(
        session,
        staff,
        "member.merge",
        merchant_id=staff.merchant_id,
        subject=f"account:{new}",
        before={"tail": gone.phone_tail},
        after={"tail": kept.phone_tail, **made.moved},
        why=why.strip(),
        clocks=clocks,
    )
    return made


async def _merge(session: AsyncSession, staff: Staff, old: str, new: str, clocks: Clocks) -> Merge:
    staff.need(CUSTOMER_MERGE)
    if staff.store_ids is not None:
        raise KaimenError("member.all_stores", "合并会员要能管全部门店的人来做", status=403)
    if old == new:
        raise KaimenError("member.same", "选另一个会员，不能和自己合并", status=422, field="into")
    for account_id in (old, new):
        if await profile_of(session, staff.merchant_id, account_id) is None:
            raise NotFound("member", "没有这个会员")
    return Merge(staff.merchant_id, old, new, staff.ref, clocks)


async def profiles_follow(session: AsyncSession, merge: Merge) -> None:
    """What staff wrote of both stands at the one that stays; the better level counts."""
    old = await lock_profile(session, merge.merchant_id, merge.old, merge.clocks.now)
    new = await lock_profile(session, merge.merchant_id, merge.new, merge.clocks.now)
    new.name = new.name or old.name
    new.note = "\n".join(part for part in (new.note, old.note) if part) or None
    new.tags = list(dict.fromkeys([*new.tags, *old.tags]))
    new.first_at = min(new.first_at, old.first_at)
    old.name, old.note, old.tags, old.merged_into = None, None, [], merge.new
    session.add_all([old, new])
    await session.flush()
    query = scoped(System(), Membership).where(
        col(Membership.merchant_id) == merge.merchant_id,
        col(Membership.account_id).in_([merge.old, merge.new]),
    )
    known = {one.account_id: one for one in (await session.exec(query)).all()}
    before = known.get(merge.old)
    if before is None:
        return
    beside = known.get(merge.new)
    if beside is None:
        before.account_id = merge.new
        session.add(before)
    else:
        levels = [await session.get_one(MemberLevel, x.level_id) for x in (before, beside)]
        beside.level_id = max(levels, key=lambda level: level.sort).id
        session.add(beside)
        await session.delete(before)
    await session.flush()


async def merged_from(session: AsyncSession, merchant_id: str, account_id: str) -> list[str]:
    """The last digits of the numbers that went into this one."""
    query = scoped(System(), MemberProfile).where(
        col(MemberProfile.merchant_id) == merchant_id,
        col(MemberProfile.merged_into) == account_id,
    )
    return [one.phone_tail for one in (await session.exec(query)).all()]
