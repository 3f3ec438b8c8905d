"""Every status of a campaign, a team and a group order, in one place, and what changes them.

Locks are always taken in this order: campaign, team, group order, payment, voucher.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from sqlalchemy import update
from sqlmodel import SQLModel, col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy.models import Campaign, GroupOrder, Team
from cloud_api.kit import feed
from cloud_api.kit.actor import Actor, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.i18n import gettext as _

Row = TypeVar("Row", bound=SQLModel)

CAMPAIGN: Final[dict[str, frozenset[str]]] = {
    "draft": frozenset({"published", "ended"}),
    "published": frozenset({"paused", "ended"}),
    "paused": frozenset({"published", "ended"}),
    "ended": frozenset(),
}
TEAM: Final[dict[str, frozenset[str]]] = {
    "open": frozenset({"full", "failed"}),
    "full": frozenset(),
    "failed": frozenset(),
}
ORDER: Final[dict[str, frozenset[str]]] = {
    "pending_payment": frozenset({"paid", "cancelled"}),
    "paid": frozenset({"issued", "refunding"}),  # the team is full; it never became so
    "issued": frozenset(),
    "cancelled": frozenset({"paid"}),  # money came late, and there was still room
    "refunding": frozenset({"refunded"}),
    "refunded": frozenset(),
}


async def lock_campaign(session: AsyncSession, actor: Actor, campaign_id: str) -> Campaign:
    """The campaign, held until the transaction ends. Raises NotFound."""
    return await _lock(session, actor, Campaign, campaign_id, "campaign", _("没有这个团购活动"))


async def lock_team(session: AsyncSession, actor: Actor, team_id: str) -> Team:
    """The team, held until the transaction ends. Raises NotFound."""
    return await _lock(session, actor, Team, team_id, "team", _("没有这个团"))


async def lock_order(session: AsyncSession, actor: Actor, order_id: str) -> GroupOrder:
    """The group order, held until the transaction ends. Raises NotFound."""
    return await _lock(session, actor, GroupOrder, order_id, "group_order", _("没有这个团购订单"))


async def move_order(
    session: AsyncSession, order: GroupOrder, to: str, clocks: Clocks, **values: Any
) -> None:
    """Change the status of an order that is locked. Raises Conflict ``group_order.wrong_state``."""
    if to not in ORDER[order.status]:
        raise Conflict(
            "group_order.wrong_state", "订单的状态已经变了，请刷新再看", status_now=order.status
        )
    await _change(session, order, status=to, version=order.version + 1, **values)
    await feed.tell(
        session,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        account_id=order.account_id,
        topic="order",
        body={"order": order.id, "number": order.number, "status": to, "groupbuy": True},
        now=clocks.real,
    )


async def move_team(session: AsyncSession, team: Team, to: str, clocks: Clocks) -> None:
    """Change the state of a team that is locked. Raises Conflict ``team.wrong_state``."""
    if to not in TEAM[team.state]:
        raise Conflict("team.wrong_state", "这个团已经有结果了，请刷新再看", state=team.state)
    await _change(session, team, state=to, ended_at=clocks.now)


async def move_campaign(session: AsyncSession, campaign: Campaign, to: str) -> None:
    """Change the state of a campaign that is locked. Raises Conflict ``campaign.wrong_state``."""
    if to not in CAMPAIGN[campaign.state]:
        raise Conflict("campaign.wrong_state", "活动已经结束，不能再改状态", state=campaign.state)
    await _change(session, campaign, state=to, version=campaign.version + 1)


async def _change(session: AsyncSession, row: Any, **values: Any) -> None:
    model = type(row)
    state = "status" if model is GroupOrder else "state"
    changed = await session.exec(
        update(model)
        .where(col(model.id) == row.id, col(getattr(model, state)) == getattr(row, state))
        .values(**values)
        .returning(col(model.id))
        .execution_options(synchronize_session=False)
    )
    if changed.first() is None:
        raise Conflict("moved", "刚刚有变化，请刷新再试")
    await session.refresh(row)


async def _lock(
    session: AsyncSession, actor: Actor, model: type[Row], key: str, what: str, words: str
) -> Row:
    columns: Any = model
    query = scoped(actor, model).where(col(columns.id) == key).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound(what, words)
    return found
