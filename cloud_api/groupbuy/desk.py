"""The desk: what a voucher is worth, which rooms it opens now, and the log of what was redeemed."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.models import RoomClaim
from cloud_api.groupbuy import views
from cloud_api.groupbuy.redeem import used
from cloud_api.groupbuy.schemas import LookOut, RedemptionOut, RedemptionsOut, RoomChoice
from cloud_api.kit.actor import Actor, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.paging import page_of
from cloud_api.orders.models import Order, RefundWait
from cloud_api.stores.models import Room, Store
from cloud_api.vouchers import judge
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Redemption, Voucher


async def look(
    session: AsyncSession, staff: Staff, text: str, store_id: str | None, clocks: Clocks
) -> LookOut:
    """A voucher by its code or QR, with the rooms of one's stores and whether it opens them now."""
    voucher = await vouchers.find(session, staff, text, clocks)
    (shown,) = await views.vouchers(session, [voucher])
    told = (await used(session, voucher)).extra if voucher.state == "redeemed" else None
    rooms = await rooms_for(session, staff, voucher, store_id, clocks) if told is None else []
    return LookOut(voucher=shown, used=told, rooms=rooms)


async def log_of(
    session: AsyncSession,
    staff: Staff,
    *,
    store_id: str | None,
    campaign_id: str | None,
    day: date | None,
    cursor: str | None,
    limit: int,
) -> RedemptionsOut:
    """The log of redemptions; ``day`` is local to the store of ``store_id``, else to the first one."""
    query = scoped(staff, Redemption)
    if store_id is not None:
        query = query.where(col(Redemption.store_id) == store_id)
    if campaign_id is not None:
        query = query.where(col(Redemption.campaign_id) == campaign_id)
    if day is not None:
        begins, ends = bounds(day, day, await zone_of(session, staff, store_id))
        query = query.where(col(Redemption.at) >= begins, col(Redemption.at) < ends)
    found, following = await page_of(
        session, query, by=Redemption.at, key=Redemption.id, cursor=cursor, limit=limit
    )
    stores = await views.names_of(session, Store, {one.store_id for one in found})
    rooms = await views.names_of(session, Room, {one.room_id for one in found})
    orders = await _orders(session, [one.order_id for one in found])
    names = await _names(session, [one.voucher_id for one in found])
    undone = await _undone(session, [one.id for one in found])
    waiting = await _waiting(session, [one.order_id for one in found])
    items = [
        RedemptionOut(
            **one.model_dump(
                include={
                    "id",
                    "kind",
                    "at",
                    "voucher_id",
                    "order_id",
                    "way",
                    "by_name",
                    "why",
                    "amount_fen",
                }
            ),
            name=names.get(one.voucher_id, ""),
            store=stores.get(one.store_id, ""),
            room=rooms.get(one.room_id, ""),
            order_number=orders.get(one.order_id, ""),
            undone=one.id in undone,
            waits=one.kind == "redeem" and one.order_id in waiting,
        )
        for one in found
    ]
    return RedemptionsOut(items=items, next_cursor=following)


async def zone_of(session: AsyncSession, staff: Staff, store_id: str | None) -> ZoneInfo:
    """The zone of a store, or of one's first; China's where there is none."""
    query = scoped(staff, Store).order_by(col(Store.created_at)).limit(1)
    if store_id is not None:
        query = query.where(col(Store.id) == store_id)
    store = (await session.exec(query)).first()
    return ZoneInfo("Asia/Shanghai" if store is None else store.tz)


def bounds(first: date, last: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The instants at which the first of local days begins and the last one ends."""
    begins = datetime.combine(first, time(), zone)
    return begins, datetime.combine(last + timedelta(days=1), time(), zone)


async def rooms_for(
    session: AsyncSession, who: Actor, voucher: Voucher, store_id: str | None, clocks: Clocks
) -> list[RoomChoice]:
    """The rooms of the voucher's stores that ``who`` sees, and whether it opens each of them now."""
    stores = {
        store.id: store
        for store in (
            await session.exec(scoped(who, Store).where(col(Store.id).in_(voucher.store_ids)))
        ).all()
        if store_id is None or store.id == store_id
    }
    query = scoped(who, Room).where(col(Room.store_id).in_(stores))
    rooms = (await session.exec(query.order_by(col(Room.store_id), col(Room.sort)))).all()
    now = clocks.now
    until = now + timedelta(minutes=voucher.minutes)
    busy = select(col(RoomClaim.room_id)).where(
        col(RoomClaim.room_id).in_([room.id for room in rooms]),
        col(RoomClaim.state) != "released",
        col(RoomClaim.block_from) < until,
        col(RoomClaim.block_until) > now,
    )
    taken = set((await session.exec(busy)).all())
    choices = []
    for room in rooms:
        no = judge.refuse(
            voucher,
            store_id=room.store_id,
            room_id=room.id,
            starts_at=now,
            tz=stores[room.store_id].tz,
        )
        code, message = (no.code, no.message) if no else (None, None)
        if no is None and (room.id in taken or room.mode == "maintenance"):
            code, message = "voucher.no_room", _("现在有人，或者马上有人要来")
        choices.append(
            RoomChoice(
                id=room.id,
                name=room.name,
                store_id=room.store_id,
                fits=code is None,
                code=code,
                message=message,
            )
        )
    return choices


async def _orders(session: AsyncSession, ids: list[str]) -> dict[str, str]:
    query = select(col(Order.id), col(Order.number)).where(col(Order.id).in_(ids))
    return dict((await session.exec(query)).all())


async def _names(session: AsyncSession, ids: list[str]) -> dict[str, str]:
    query = select(col(Voucher.id), col(Voucher.name)).where(col(Voucher.id).in_(ids))
    return dict((await session.exec(query)).all())


async def _undone(session: AsyncSession, ids: list[str]) -> set[str | None]:
    query = scoped(System(), Redemption).where(col(Redemption.undoes).in_(ids))
    return {one.undoes for one in (await session.exec(query)).all()}


async def _waiting(session: AsyncSession, orders: list[str]) -> set[str]:
    """Those that were cancelled, and whose store has not said yet that nobody went in."""
    query = scoped(System(), RefundWait).where(
        col(RefundWait.order_id).in_(orders), col(RefundWait.state) == "waiting"
    )
    return {one.order_id for one in (await session.exec(query)).all()}
