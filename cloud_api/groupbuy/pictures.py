"""A campaign's photos and films, in its order: ``Campaign.pictures`` names them, the first is the cover.

A copy of a campaign names the same ones; files go when no campaign names them any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.groupbuy.models import Campaign
from cloud_api.groupbuy.transitions import lock_campaign
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.media import service as media
from cloud_api.media.models import Media
from cloud_api.staff.permissions import CAMPAIGN_EDIT


async def of(session: AsyncSession, found: Iterable[Campaign]) -> dict[str, list[Media]]:
    """By campaign, in each one's order."""
    campaigns = list(found)
    wanted = {str(one) for campaign in campaigns for one in campaign.pictures}
    if not wanted:
        return {}
    query = scoped(System(), Media).where(
        col(Media.id).in_(wanted), col(Media.deleted_at).is_(None)
    )
    known = {one.id: one for one in (await session.exec(query)).all()}
    return {
        campaign.id: [known[str(key)] for key in campaign.pictures if key in known]
        for campaign in campaigns
    }


async def add(
    session: AsyncSession,
    staff: Staff,
    campaign_id: str,
    prepared: media.Prepared,
    alt: str,
    clocks: Clocks,
) -> Media:
    """Put what was stored behind the others. Raises NotFound, Conflict ``campaign.ended``, ``media.too_many``."""
    campaign = await editable(session, staff, campaign_id)
    if len(campaign.pictures) >= media.MOST:
        raise Conflict("media.too_many", "照片和视频太多了，先删掉几张旧的")
    made = await media.add(
        session,
        prepared,
        merchant_id=campaign.merchant_id,
        store_id=str(campaign.store_ids[0]),
        room_id=None,
        alt=alt,
        now=clocks.real,
        subject=f"campaign:{campaign.id}",
    )
    _name(session, campaign, [*campaign.pictures, made.id])
    await _record(session, staff, campaign, made, "media.add", clocks)
    return made


async def order(
    session: AsyncSession, staff: Staff, campaign_id: str, wanted: Sequence[str]
) -> Campaign:
    """Put them in the order of ``wanted``. Raises NotFound, Conflict ``campaign.ended``, ``media.order``."""
    campaign = await editable(session, staff, campaign_id)
    known = [one.id for one in (await of(session, [campaign])).get(campaign.id, [])]
    if sorted(known) != sorted(wanted):
        raise Conflict("media.order", "照片刚刚有变化，刷新再排")
    _name(session, campaign, wanted)
    return campaign


async def drop(
    session: AsyncSession, staff: Staff, campaign_id: str, media_id: str, clocks: Clocks
) -> None:
    """Take one off the campaign; its files go where no copy shows it. Raises as ``named``."""
    campaign = await editable(session, staff, campaign_id)
    found = await named(session, campaign, media_id)
    _name(session, campaign, [one for one in campaign.pictures if one != media_id])
    await session.flush()
    query = scoped(System(), Campaign).where(col(Campaign.merchant_id) == campaign.merchant_id)
    if not any(media_id in one.pictures for one in (await session.exec(query)).all()):
        await media.give_up(session, found, clocks.real)
    await _record(session, staff, campaign, found, "media.delete", clocks)


async def named(session: AsyncSession, campaign: Campaign, media_id: str) -> Media:
    """One of a campaign's. Raises NotFound."""
    for one in (await of(session, [campaign])).get(campaign.id, []):
        if one.id == media_id:
            return one
    raise NotFound("media")


async def editable(session: AsyncSession, staff: Staff, campaign_id: str) -> Campaign:
    """A campaign whose pictures may change, locked. Raises NotFound, Conflict ``campaign.ended``."""
    staff.need(CAMPAIGN_EDIT)
    campaign = await lock_campaign(session, staff, campaign_id)
    if campaign.state == "ended":
        raise Conflict("campaign.ended", "活动已经结束，复制一个再改")
    return campaign


def _name(session: AsyncSession, campaign: Campaign, ids: Sequence[Any]) -> None:
    campaign.pictures = [str(one) for one in ids]
    campaign.version += 1
    session.add(campaign)


async def _record(
    session: AsyncSession, staff: Staff, campaign: Campaign, found: Media, act: str, clocks: Clocks
) -> None:
    await audit.record(
        session,
        staff,
        act,
        merchant_id=campaign.merchant_id,
        subject=f"campaign:{campaign.id}",
        after={"kind": found.kind, "name": campaign.name},
        clocks=clocks,
    )
