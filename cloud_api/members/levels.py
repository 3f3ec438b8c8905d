"""Levels of a merchant's members: what they are called, what members pay, who has which."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, bindparam
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.paging import MOST
from cloud_api.kit.statements import Bound, built
from cloud_api.members.models import MemberLevel, Membership
from cloud_api.merchants.models import Merchant
from cloud_api.staff.permissions import PRICE_EDIT

MOST_LEVELS = 10


async def level_of(session: AsyncSession, merchant_id: str, account_id: str) -> MemberLevel | None:
    """The customer's level at a merchant; None for who is no member there."""
    values = {"merchant_id": merchant_id, "account_id": account_id}
    return (await session.exec(_level_of(), params=values)).first()


@built
def _level_of() -> SelectOfScalar[MemberLevel]:
    return (
        scoped(System(), MemberLevel)
        .join(Membership, col(Membership.level_id) == col(MemberLevel.id))
        .where(
            col(Membership.merchant_id) == bindparam("merchant_id"),
            col(Membership.account_id) == bindparam("account_id"),
        )
    )


def beside(query: Any, merchant_id: Bound[str], account_id: Bound[str]) -> Any:
    """``query`` with one more column: the customer's level at a merchant, or None."""
    theirs = and_(
        col(Membership.merchant_id) == merchant_id, col(Membership.account_id) == account_id
    )
    return (
        query.outerjoin(Membership, theirs)
        .outerjoin(MemberLevel, col(MemberLevel.id) == col(Membership.level_id))
        .add_columns(MemberLevel)
    )


async def of_customer(session: AsyncSession, customer: Customer) -> list[tuple[str, MemberLevel]]:
    """The customer's levels with the names of the merchants where they have them, by these names."""
    query = (
        select(col(Merchant.name), MemberLevel)
        .join(Membership, col(Membership.level_id) == col(MemberLevel.id))
        .join(Merchant, col(Merchant.id) == col(Membership.merchant_id))
        .where(col(Membership.account_id) == customer.account_id)
        .order_by(col(Merchant.name), col(Merchant.id))
        .limit(MOST)
    )
    return [(name, level) for name, level in (await session.exec(query)).all()]


async def levels(session: AsyncSession, actor: Staff) -> list[MemberLevel]:
    """The merchant's levels, the lowest first."""
    query = scoped(actor, MemberLevel).order_by(col(MemberLevel.sort), col(MemberLevel.id))
    return list((await session.exec(query)).all())


async def save_level(
    session: AsyncSession,
    actor: Staff,
    level_id: str | None,
    name: str,
    per_cent: int,
    sort: int,
    clocks: Clocks,
) -> MemberLevel:
    """Make or change a level. Needs price.edit. Raises NotFound, Conflict ``member_level.name_taken``."""
    actor.need(PRICE_EDIT)
    known = await levels(session, actor)
    if any(one.name == name and one.id != level_id for one in known):
        raise Conflict("member_level.name_taken", "已经有叫这个名字的等级，换个名字")
    before = None
    if level_id is None:
        if len(known) >= MOST_LEVELS:
            raise Conflict(
                "member_level.too_many",
                _("最多 {most_levels} 个等级").format(most_levels=MOST_LEVELS),
            )
        level = MemberLevel(
            merchant_id=actor.merchant_id, name=name, per_cent=per_cent, sort=sort,
            created_at=clocks.real,
        )  # fmt: skip
    else:
        found = next((one for one in known if one.id == level_id), None)
        if found is None:
            raise NotFound("member_level")
        level = found
        before = {"name": level.name, "per_cent": level.per_cent}
        level.name, level.per_cent, level.sort = name, per_cent, sort
    session.add(level)
    await session.flush()
    await audit.record(
        session,
        actor,
        "member_level.save",
        merchant_id=actor.merchant_id,
        subject=f"member_level:{level.id}",
        before=before,
        after={"name": name, "per_cent": per_cent},
        clocks=clocks,
    )
    return level


async def set_level(
    session: AsyncSession,
    merchant_id: str,
    account_id: str,
    level_id: str | None,
    by: str,
    clocks: Clocks,
) -> None:
    """Give a customer a level of the merchant, or none. Raises NotFound ``member_level.not_found``."""
    query = scoped(System(), Membership).where(
        col(Membership.merchant_id) == merchant_id, col(Membership.account_id) == account_id
    )
    known = (await session.exec(query.with_for_update())).first()
    if level_id is None:
        if known is not None:
            await session.delete(known)
        return
    level = await session.get(MemberLevel, level_id)
    if level is None or level.merchant_id != merchant_id:
        raise NotFound("member_level")
    if known is None:
        known = Membership(
            merchant_id=merchant_id, account_id=account_id, level_id=level_id, by=by,
            created_at=clocks.real,
        )  # fmt: skip
    known.level_id, known.by = level_id, by
    session.add(known)
