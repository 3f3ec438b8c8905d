"""What merchants do with campaigns: write, publish, pause, end, copy. What is sold keeps its terms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import nh3
from sqlalchemy import String, cast
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.groupbuy.models import Campaign
from cloud_api.groupbuy.transitions import lock_campaign, move_campaign
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.kit.paging import page_of
from cloud_api.stores.models import Room, Store

_TAGS: Final = {
    "p", "br", "b", "strong", "i", "em", "u", "h3", "h4", "ul", "ol", "li", "blockquote", "a",
    "img",
}  # fmt: skip
_ATTRIBUTES: Final = {"a": {"href"}, "img": {"src", "alt"}}
_AFTER_SALE: Final = frozenset(
    {"price_fen", "list_fen", "team_size", "team_hours", "minutes", "on_fail"}
)
"""What may not change once something was sold: a copy of the campaign may have it otherwise."""
_FACTS: Final = (
    "name",
    "state",
    "price_fen",
    "list_fen",
    "team_size",
    "stock",
    "most_per_customer",
)


async def on_sale(
    session: AsyncSession, store_id: str | None, clocks: Clocks, *, cursor: str | None, limit: int
) -> tuple[list[Campaign], str | None]:
    """A page of what may be bought now, in its merchant's order; with ``store_id`` what is good there."""
    query = scoped(System(), Campaign).where(
        col(Campaign.state) == "published",
        col(Campaign.starts_at) <= clocks.now,
        col(Campaign.ends_at) > clocks.now,
    )
    if store_id is not None:
        places = cast(col(Campaign.store_ids), String)
        query = query.where(places.contains(f'"{store_id}"', autoescape=True))
    return await page_of(
        session, query, by=Campaign.sort, key=Campaign.id, cursor=cursor, limit=limit
    )


async def create(
    session: AsyncSession, staff: Staff, values: dict[str, Any], clocks: Clocks
) -> Campaign:
    """A new draft. Raises KaimenError ``campaign.stores``, ``campaign.rooms`` (422)."""
    campaign = Campaign(merchant_id=staff.merchant_id, created_at=clocks.now, **_clean(values))
    await _check_places(session, staff, campaign)
    session.add(campaign)
    await session.flush()
    await _record(session, staff, campaign, "campaign.create", None, clocks)
    return campaign


async def edit(
    session: AsyncSession, staff: Staff, campaign_id: str, values: dict[str, Any], clocks: Clocks
) -> Campaign:
    """Change a campaign that has not ended.

    Raises NotFound, Conflict ``campaign.ended``, ``campaign.sold`` (with ``field``: what may no longer
    change), ``campaign.stock`` (less than is sold), and as ``create``.
    """
    campaign = await lock_campaign(session, staff, campaign_id)
    if campaign.state == "ended":
        raise Conflict("campaign.ended", "活动已经结束，复制一个再改")
    was = audit.facts(campaign, *_FACTS)
    for name, value in _clean(values).items():
        if campaign.taken and name in _AFTER_SALE and getattr(campaign, name) != value:
            raise Conflict(
                "campaign.sold", "已经有人买了，价格和规则不能再改，复制一个再改", field=name
            )
        setattr(campaign, name, value)
    if campaign.stock is not None and campaign.stock < campaign.taken:
        raise Conflict(
            "campaign.stock",
            _("已经卖出 {taken} 张，库存不能更少").format(taken=campaign.taken),
            field="stock",
        )
    if campaign.list_fen < campaign.price_fen or campaign.ends_at <= campaign.starts_at:
        raise KaimenError(
            "campaign.values", "单买价不能低于团购价，结束要晚于开始", status=422, field="list_fen"
        )
    await _check_places(session, staff, campaign)
    campaign.version += 1
    session.add(campaign)
    await session.flush()
    await _record(session, staff, campaign, "campaign.edit", was, clocks)
    return campaign


async def turn(
    session: AsyncSession, staff: Staff, campaign_id: str, to: str, clocks: Clocks
) -> Campaign:
    """Publish, pause or end; again changes nothing. Teams that are open go on to their deadline.

    Raises NotFound, Conflict ``campaign.wrong_state``, ``campaign.over`` (its period has passed).
    """
    campaign = await lock_campaign(session, staff, campaign_id)
    if campaign.state == to:
        return campaign
    if to == "published" and campaign.ends_at <= clocks.now:
        raise Conflict("campaign.over", "结束时间已经过了，改一下再发布", field="ends_at")
    was = audit.facts(campaign, *_FACTS)
    await move_campaign(session, campaign, to)
    await _record(session, staff, campaign, f"campaign.{to}", was, clocks)
    return campaign


async def copy(session: AsyncSession, staff: Staff, campaign_id: str, clocks: Clocks) -> Campaign:
    """A draft with the same terms; of the same length, from now."""
    old = await lock_campaign(session, staff, campaign_id)
    values = old.model_dump(
        exclude={"id", "state", "taken", "created_at", "version", "starts_at", "ends_at"}
    )
    made = Campaign(
        **{**values, "id": new_id(), "name": _("{name} 副本").format(name=old.name[:56])},
        starts_at=clocks.now,
        ends_at=clocks.now + max(old.ends_at - old.starts_at, timedelta(days=1)),
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    await _record(session, staff, made, "campaign.create", None, clocks)
    return made


def _clean(values: dict[str, Any]) -> dict[str, Any]:
    if "story" not in values:
        return values
    story = nh3.clean(
        str(values["story"]),
        tags=_TAGS,
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        url_schemes={"https"},
        link_rel="noopener nofollow",
    )
    return {**values, "story": story}


async def _check_places(session: AsyncSession, staff: Staff, campaign: Campaign) -> None:
    wanted = [str(one) for one in campaign.store_ids]
    query = scoped(staff, Store).where(col(Store.id).in_(wanted))
    known = {store.id for store in (await session.exec(query)).all()}
    if not wanted or known != set(wanted):
        raise KaimenError(
            "campaign.stores", "请选你的门店，至少一家", status=422, field="store_ids"
        )
    rooms = [str(one) for one in campaign.room_ids]
    query_rooms = scoped(staff, Room).where(col(Room.id).in_(rooms), col(Room.store_id).in_(wanted))
    if {room.id for room in (await session.exec(query_rooms)).all()} != set(rooms):
        raise KaimenError("campaign.rooms", "包间要在选中的门店里", status=422, field="room_ids")


async def _record(
    session: AsyncSession,
    staff: Staff,
    campaign: Campaign,
    act: str,
    was: dict[str, Any] | None,
    clocks: Clocks,
) -> None:
    now = audit.facts(campaign, *_FACTS)
    before, after = ({}, now) if was is None else audit.changes(was, now)
    await audit.record(
        session,
        staff,
        act,
        merchant_id=campaign.merchant_id,
        subject=f"campaign:{campaign.id}",
        before=before,
        after={"name": campaign.name, **after},
        clocks=clocks,
    )
