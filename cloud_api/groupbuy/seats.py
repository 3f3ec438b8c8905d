"""What is never oversold: stock, a customer's limit, seats of a team. Each is one conditional UPDATE,
so that however many ask at the same time, the database counts.
"""

from __future__ import annotations

from sqlalchemy import or_, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy.models import Bought, Campaign, Team
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.upsert import insert_or_ignore


async def take_stock(session: AsyncSession, campaign: Campaign, count: int) -> bool:
    """``count`` of the stock; False where fewer are left."""
    return await _done(
        session,
        update(Campaign)
        .where(
            col(Campaign.id) == campaign.id,
            or_(
                col(Campaign.stock).is_(None),
                col(Campaign.taken) + count <= col(Campaign.stock),
            ),
        )
        .values(taken=col(Campaign.taken) + count)
        .returning(col(Campaign.id)),
    )


async def take_limit(
    session: AsyncSession, campaign: Campaign, account_id: str, count: int
) -> bool:
    """``count`` of what a customer may have; False where that is too many."""
    key = {"campaign_id": campaign.id, "account_id": account_id}
    await insert_or_ignore(
        session, Bought, {**key, "merchant_id": campaign.merchant_id, "count": 0}
    )
    conditions = [col(Bought.campaign_id) == campaign.id, col(Bought.account_id) == account_id]
    if campaign.most_per_customer is not None:
        conditions.append(col(Bought.count) + count <= campaign.most_per_customer)
    return await _done(
        session,
        update(Bought)
        .where(*conditions)
        .values(count=col(Bought.count) + count)
        .returning(col(Bought.account_id)),
    )


async def take_seat(session: AsyncSession, team_id: str, clocks: Clocks) -> bool:
    """A seat of a team; False where it is full, over, or has its result."""
    return await _done(
        session,
        update(Team)
        .where(
            col(Team.id) == team_id,
            col(Team.state) == "open",
            col(Team.reserved) < col(Team.size),
            col(Team.deadline) > clocks.now,
        )
        .values(reserved=col(Team.reserved) + 1)
        .returning(col(Team.id)),
    )


async def give_up(
    session: AsyncSession, campaign_id: str, account_id: str, team_id: str | None, count: int
) -> None:
    """Give stock, limit and seat of somebody back who did not pay, or whose money went back."""
    await session.exec(
        update(Campaign)
        .where(col(Campaign.id) == campaign_id)
        .values(taken=col(Campaign.taken) - count)
        .execution_options(synchronize_session=False)
    )
    await session.exec(
        update(Bought)
        .where(col(Bought.campaign_id) == campaign_id, col(Bought.account_id) == account_id)
        .values(count=col(Bought.count) - count)
        .execution_options(synchronize_session=False)
    )
    if team_id is not None:
        await session.exec(
            update(Team)
            .where(col(Team.id) == team_id, col(Team.state) == "open")
            .values(reserved=col(Team.reserved) - 1)
            .execution_options(synchronize_session=False)
        )


async def _done(session: AsyncSession, statement: object) -> bool:
    changed = await session.exec(
        statement.execution_options(synchronize_session=False)  # type: ignore[attr-defined]
    )
    return changed.first() is not None
