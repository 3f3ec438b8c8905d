"""What sharing brings: how often a shared page was opened, counted by campaign and day."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy.models import Campaign, ShareVisit
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.stores.models import Store


async def opened(session: AsyncSession, campaign: Campaign, clocks: Clocks) -> None:
    """Somebody who is not in the team opened its page."""
    store = await session.get_one(Store, str(campaign.store_ids[0]))
    day = clocks.now.astimezone(ZoneInfo(store.tz)).date()
    fresh = {
        "campaign_id": campaign.id,
        "day": day,
        "merchant_id": campaign.merchant_id,
        "visits": 0,
    }
    await insert_or_ignore(session, ShareVisit, fresh)
    await session.exec(
        update(ShareVisit)
        .where(col(ShareVisit.campaign_id) == campaign.id, col(ShareVisit.day) == day)
        .values(visits=col(ShareVisit.visits) + 1)
        .execution_options(synchronize_session=False)
    )
