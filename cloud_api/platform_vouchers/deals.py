"""What a platform's deals open here: written by the merchant, looked up when a code comes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.platform_vouchers.models import PlatformAccount, PlatformDeal
from cloud_api.stores.models import Room, Store
from cloud_api.vouchers.judge import Refusal, in_window, when

MOST: Final = 200  # deals of an access
_FACTS: Final = ("deal", "name", "minutes", "worth_fen", "active")


async def deals_of(session: AsyncSession, account: PlatformAccount) -> list[PlatformDeal]:
    """The deals of an access whose reading was allowed already, oldest first."""
    query = scoped(System(), PlatformDeal).where(
        col(PlatformDeal.platform_account_id) == account.id
    )
    return list((await session.exec(query.order_by(col(PlatformDeal.id)))).all())


async def find(
    session: AsyncSession, account: PlatformAccount, deal: str, store_id: str
) -> PlatformDeal | None:
    """The deal by the platform's own number, where it is used here at that store."""
    for one in await deals_of(session, account):
        if one.deal == deal and one.active and fits_store(one, store_id):
            return one
    return None


async def chosen(
    session: AsyncSession, account: PlatformAccount, deal_id: str | None, store_id: str
) -> PlatformDeal:
    """The deal that somebody says it is. Raises KaimenError ``platform.deal_wanted`` (422)."""
    for one in await deals_of(session, account):
        if one.id == deal_id and one.active and fits_store(one, store_id):
            return one
    raise KaimenError("platform.deal_wanted", "选一下你买的是哪个套餐", status=422, field="deal_id")


def fits_store(deal: PlatformDeal, store_id: str) -> bool:
    """Whether the deal is good in a store."""
    return not deal.store_ids or store_id in deal.store_ids


def refuse(deal: PlatformDeal, *, room_id: str, starts_at: datetime, tz: str) -> Refusal | None:
    """None where the deal opens the room for a stay that begins at ``starts_at``."""
    if deal.room_ids and room_id not in deal.room_ids:
        return Refusal("voucher.other_room", _("这张券不能用在这个包间，换一间试试"))
    if not in_window(deal, starts_at, tz):
        return Refusal("voucher.other_time", _("这张券 {when} 可用").format(when=when(deal)))
    return None


async def save(
    session: AsyncSession,
    staff: Staff,
    account: PlatformAccount,
    deal_id: str | None,
    values: dict[str, Any],
    clocks: Clocks,
) -> PlatformDeal:
    """A new deal, or another one's terms; what was used keeps what it was used for.

    Raises NotFound, Conflict ``platform.deal_twice``, KaimenError ``platform.deal_rooms`` (422).
    """
    await _check(session, staff, values)
    twin = scoped(System(), PlatformDeal).where(
        col(PlatformDeal.platform_account_id) == account.id,
        col(PlatformDeal.deal) == values["deal"],
        col(PlatformDeal.id) != (deal_id or ""),
    )
    if (await session.exec(twin)).first() is not None:
        raise Conflict("platform.deal_twice", "这个平台商品已经对应过了，改那一条", field="deal")
    was = None
    if deal_id is None:
        if len(await deals_of(session, account)) >= MOST:
            raise Conflict(
                "platform.too_many", _("一个账号最多对应 {n} 个商品，改用不着的那条").format(n=MOST)
            )
        found = PlatformDeal(
            merchant_id=account.merchant_id,
            platform_account_id=account.id,
            created_at=clocks.now,
            **values,
        )
    else:
        query = scoped(staff, PlatformDeal).where(
            col(PlatformDeal.id) == deal_id, col(PlatformDeal.platform_account_id) == account.id
        )
        known = (await session.exec(query)).first()
        if known is None:
            raise NotFound("platform_deal", "没有这条对应，可能删掉了")
        found, was = known, audit.facts(known, *_FACTS)
        for name, value in values.items():
            setattr(found, name, value)
    session.add(found)
    await session.flush()
    await audit.record(
        session,
        staff,
        "platform_deal.save",
        merchant_id=account.merchant_id,
        store_id=account.store_id,
        subject=f"platform_deal:{found.id}",
        before=was,
        after=audit.facts(found, *_FACTS),
        clocks=clocks,
    )
    return found


async def _check(session: AsyncSession, staff: Staff, values: dict[str, Any]) -> None:
    stores = list(values["store_ids"])
    known = await session.exec(scoped(staff, Store).where(col(Store.id).in_(stores)))
    if {one.id for one in known.all()} != set(stores):
        raise KaimenError("platform.deal_stores", "请选你的门店", status=422, field="store_ids")
    rooms = list(values["room_ids"])
    query = select(Room).where(col(Room.id).in_(rooms), col(Room.merchant_id) == staff.merchant_id)
    if stores:
        query = query.where(col(Room.store_id).in_(stores))
    if {one.id for one in (await session.exec(query)).all()} != set(rooms):
        raise KaimenError(
            "platform.deal_rooms", "请选这些门店里的包间", status=422, field="room_ids"
        )
