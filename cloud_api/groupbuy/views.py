"""Rows as people read them: campaigns with names of stores, orders with their words, vouchers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import func
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy import pictures
from cloud_api.groupbuy.buy import pays
from cloud_api.groupbuy.models import Campaign, GroupOrder, Team
from cloud_api.groupbuy.schemas import (
    CampaignOut,
    ConsoleCampaignOut,
    GroupOrderOut,
    TeamOut,
    VoucherFullOut,
    VoucherOut,
)
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.i18n import gettext as _
from cloud_api.media.models import Media
from cloud_api.media.schemas import MediaOut
from cloud_api.orders.models import Order
from cloud_api.stores.models import Room, Store
from cloud_api.vouchers import codes, judge
from cloud_api.vouchers.models import Redemption, Voucher

VOUCHER_WORDS: Final = {
    "issued": "待使用",
    "redeemed": "已核销",
    "used": "已使用",
    "expired": "已过期",
    "refunding": "退款中",
    "refunded": "已退款",
}
_ORDER_WORDS: Final = {
    "pending_payment": "待支付",
    "paid": "已支付",  # the team is forming
    "issued": "待使用",
    "cancelled": "已取消",
    "refunding": "退款中",
    "refunded": "已退款",
}
_SYSTEM: Final = System()


async def names_of(
    session: AsyncSession, model: type[Store] | type[Room], ids: set[str]
) -> dict[str, str]:
    """Names by id."""
    query = select(col(model.id), col(model.name)).where(col(model.id).in_(ids))
    return dict((await session.exec(query)).all())


async def campaigns(session: AsyncSession, found: Sequence[Campaign]) -> list[CampaignOut]:
    """Campaigns as everybody sees them."""
    stores = await names_of(session, Store, _all(found, "store_ids"))
    rooms = await names_of(session, Room, _all(found, "room_ids"))
    shown = await pictures.of(session, found)
    return [CampaignOut(**_campaign(one, stores, rooms, shown)) for one in found]


async def for_merchant(
    session: AsyncSession, found: Sequence[Campaign]
) -> list[ConsoleCampaignOut]:
    """Campaigns with what came of them."""
    stores = await names_of(session, Store, _all(found, "store_ids"))
    rooms = await names_of(session, Room, _all(found, "room_ids"))
    media = await pictures.of(session, found)
    ids = [one.id for one in found]
    sold = select(
        col(GroupOrder.campaign_id),
        func.count(col(GroupOrder.id)),
        func.sum(col(GroupOrder.total_fen) - col(GroupOrder.refunded_fen)),
    ).where(
        col(GroupOrder.campaign_id).in_(ids),
        col(GroupOrder.status).in_(("paid", "issued", "refunding", "refunded")),
    )
    orders = {
        campaign: (count, int(fen or 0))
        for campaign, count, fen in (
            await session.exec(sold.group_by(col(GroupOrder.campaign_id)))
        ).all()
    }
    states = (
        select(col(Voucher.campaign_id), col(Voucher.state), func.count(col(Voucher.id)))
        .where(col(Voucher.campaign_id).in_(ids))
        .group_by(col(Voucher.campaign_id), col(Voucher.state))
    )
    counted: dict[tuple[str, str], int] = {
        (campaign, state): count for campaign, state, count in (await session.exec(states)).all()
    }
    shown = []
    for one in found:
        count, fen = orders.get(one.id, (0, 0))
        shown.append(
            ConsoleCampaignOut(
                **_campaign(one, stores, rooms, media),
                taken=one.taken,
                stock=one.stock,
                orders=count,
                paid_fen=fen,
                redeemed=counted.get((one.id, "redeemed"), 0),
                expired=counted.get((one.id, "expired"), 0),
                refunded=counted.get((one.id, "refunded"), 0)
                + counted.get((one.id, "refunding"), 0),
            )
        )
    return shown


def team(found: Team, mine: bool = False) -> TeamOut:
    """A team."""
    return TeamOut(
        token=found.token,
        campaign_id=found.campaign_id,
        state=found.state,
        size=found.size,
        paid=found.paid,
        missing=found.size - found.paid,
        seats_left=found.size - found.reserved,
        deadline=found.deadline,
        mine=mine,
    )


async def open_teams(
    session: AsyncSession, campaign: Campaign, clocks: Clocks, limit: int = 5
) -> list[TeamOut]:
    """Teams that somebody paid in and that may be joined, the fullest first."""
    query = (
        scoped(_SYSTEM, Team)
        .where(
            col(Team.campaign_id) == campaign.id,
            col(Team.state) == "open",
            col(Team.deadline) > clocks.now,
            col(Team.paid) > 0,
            col(Team.reserved) < col(Team.size),
        )
        .order_by((col(Team.size) - col(Team.paid)).asc(), col(Team.deadline))
        .limit(limit)
    )
    return [team(one) for one in (await session.exec(query)).all()]


async def orders(
    session: AsyncSession, found: Sequence[GroupOrder], who: Customer | None = None
) -> list[GroupOrderOut]:
    """Group orders with their words, their team and the ids of their vouchers."""
    by_source: dict[str, list[Voucher]] = {}
    query = scoped(_SYSTEM, Voucher).where(col(Voucher.source).in_([pays(one.id) for one in found]))
    for voucher in (await session.exec(query.order_by(col(Voucher.id)))).all():
        by_source.setdefault(voucher.source, []).append(voucher)
    finished = await _finished(session, [v for many in by_source.values() for v in many])
    names = {
        one.id: one.name
        for one in (
            await session.exec(
                scoped(_SYSTEM, Campaign).where(
                    col(Campaign.id).in_([one.campaign_id for one in found])
                )
            )
        ).all()
    }
    teams = {
        one.id: one
        for one in (
            await session.exec(
                scoped(_SYSTEM, Team).where(col(Team.id).in_([one.team_id for one in found]))
            )
        ).all()
    }
    shown = []
    for one in found:
        mine = by_source.get(pays(one.id), [])
        shown.append(
            GroupOrderOut(
                **one.model_dump(
                    include={
                        "id", "number", "campaign_id", "store_id", "status", "quantity",
                        "price_fen", "total_fen", "refunded_fen", "hold_expires_at",
                        "created_at", "paid_at",
                    }
                ),
                name=names[one.campaign_id],
                state=_order_state(one, [_state(v, finished) for v in mine]),
                team=team(teams[one.team_id], mine=True) if one.team_id in teams else None,
                vouchers=[v.id for v in mine if who is None or v.account_id == who.account_id],
            )
        )  # fmt: skip
    return shown


async def vouchers(session: AsyncSession, found: Sequence[Voucher]) -> list[VoucherOut]:
    """Vouchers without their secrets."""
    return [VoucherOut(**one) for one in await _vouchers(session, found)]


async def voucher(session: AsyncSession, found: Voucher, clocks: Clocks) -> VoucherFullOut:
    """A voucher of one's own, with its code and QR."""
    (shown,) = await _vouchers(session, [found])
    return VoucherFullOut(
        **shown,
        code=codes.grouped(found.code),
        qr=codes.qr_text(found.id, clocks.real.timestamp()),
        qr_refresh_s=codes.WINDOW_S,
    )


async def _vouchers(session: AsyncSession, found: Sequence[Voucher]) -> list[dict[str, Any]]:
    stores = await names_of(session, Store, _all(found, "store_ids"))
    rooms = await names_of(session, Room, _all(found, "room_ids"))
    finished = await _finished(session, found)
    query = scoped(_SYSTEM, Redemption).where(
        col(Redemption.id).in_([one.redemption_id for one in found])
    )
    uses = {one.id: one for one in (await session.exec(query)).all()}
    shown = []
    for one in found:
        use = uses.get(one.redemption_id or "")
        shown.append(
            {
                **one.model_dump(
                    include={
                        "id", "name", "minutes", "people", "value_fen", "rules", "store_ids",
                        "room_ids", "valid_from", "valid_until", "source",
                    }
                ),
                "status": one.state,
                "state": _(VOUCHER_WORDS[_state(one, finished)]),
                "when": judge.when(one),
                "stores": [stores[str(key)] for key in one.store_ids if key in stores],
                "rooms": [rooms[str(key)] for key in one.room_ids if key in rooms],
                "order_id": None if use is None else use.order_id,
                "redeemed_at": None if use is None else use.at,
                "on_offer": one.gift_hash is not None,
            }
        )  # fmt: skip
    return shown


async def _finished(session: AsyncSession, found: Sequence[Voucher]) -> set[str]:
    """Redemptions whose stay is over, or was cancelled too late for the voucher to be whole again."""
    query = (
        select(col(Redemption.id))
        .join(Order, col(Order.id) == col(Redemption.order_id))
        .where(
            col(Redemption.id).in_([one.redemption_id for one in found]),
            col(Order.status).in_(("completed", "cancelled")),
        )
    )
    return set((await session.exec(query)).all())


def _state(voucher: Voucher, finished: set[str]) -> str:
    if voucher.state == "redeemed" and voucher.redemption_id in finished:
        return "used"
    return voucher.state


def _order_state(order: GroupOrder, states: list[str]) -> str:
    """One word for an order of several vouchers: what is still open comes first."""
    if order.status != "issued" or not states:
        return _(_ORDER_WORDS[order.status])
    for state in ("issued", "redeemed", "used", "refunding", "expired", "refunded"):
        if state in states:
            return _(VOUCHER_WORDS[state])
    return _(_ORDER_WORDS[order.status])


def _campaign(
    one: Campaign,
    stores: dict[str, str],
    rooms: dict[str, str],
    media: dict[str, list[Media]],
) -> dict[str, Any]:
    hidden = {"merchant_id", "taken", "stock", "version", "created_at", "pictures"}
    return {
        **one.model_dump(exclude=hidden),
        "media": [MediaOut.of(shot) for shot in media.get(one.id, [])],
        "left": None if one.stock is None else max(0, one.stock - one.taken),
        "stores": [stores[str(key)] for key in one.store_ids if key in stores],
        "rooms": [rooms[str(key)] for key in one.room_ids if key in rooms],
        "when": judge.when(one),
    }


def _all(found: Sequence[SQLModel], name: str) -> set[str]:
    return {str(key) for one in found for key in getattr(one, name)}
