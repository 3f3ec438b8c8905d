"""A guest whose room's door does not open: another room of the store, free of charge, once.

Only while the lock's failure is real: what the store reports of its board, or the row of the newest command to
the door, says so. Nobody has gone in yet; who is inside calls the store. What is asked and what is done are
judged by the same rules, the second time under the order's lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access.decide import RoomNow
from cloud_api.access.situation import Scene, door_of_room, look
from cloud_api.audit import service as audit
from cloud_api.claims.booking_rules import rules_of
from cloud_api.claims.moving import next_block
from cloud_api.devices import service as devices
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict
from cloud_api.kit.i18n import later
from cloud_api.orders import changes
from cloud_api.orders.models import Order, OrderChange
from cloud_api.orders.offers import MOVE, Offer, store_hears
from cloud_api.orders.transitions import lock_order
from cloud_api.stores.models import Room, Store

NEWS: Final = timedelta(
    minutes=10
)  # so long a failed or unanswered opening is a reason (wire time)
WHY: Final = later("门锁没有反应，免费换房")
_NOT_OPEN: Final = frozenset({"failed", "unknown"})


@dataclass(slots=True)
class Choice:
    """The rooms that may be had from ``begins`` on, the smallest that fits first; empty with ``why_not``."""

    begins: datetime
    rooms: list[Room] = field(default_factory=list)
    why_not: Conflict | None = None


async def choice(session: AsyncSession, customer: Customer, order: Order, clocks: Clocks) -> Choice:
    """What a guest may choose from now. Writes nothing."""
    begins = max(order.starts_at, clocks.now)
    try:
        scene = await _need(session, customer, order, clocks)
    except Conflict as error:
        return Choice(begins, why_not=error)
    found = [
        room
        for room in scene.rooms.values()
        if await _fits(session, customer, scene, order, room, begins, clocks)
    ]
    here = scene.rooms[order.room_id].sort
    return Choice(begins, sorted(found, key=lambda room: (room.capacity, abs(room.sort - here))))


async def take(
    session: AsyncSession, customer: Customer, order_id: str, room_id: str, clocks: Clocks
) -> OrderChange:
    """Move one's order to ``room_id`` for the rest of its time; the difference in price is the house's.

    Raises NotFound, Conflict ``other_room.over``, ``other_room.once``, ``other_room.lock_answers``,
    ``other_room.not_free`` (with ``rooms`` that are), ``change.store_offline``, and RoomTaken.
    """
    order = await lock_order(session, customer, order_id)
    found = await choice(session, customer, order, clocks)
    if found.why_not is not None:
        raise found.why_not
    room = next((one for one in found.rooms if one.id == room_id), None)
    if room is None:
        raise Conflict(
            "other_room.not_free",
            "这间现在换不了，请在空着的房间里另选一间，或打给店家",
            field="room_id",
            rooms=[one.id for one in found.rooms],
        )
    store = await session.get_one(Store, order.store_id)
    cleaning = (await rules_of(session, store, room.id)).cleaning
    offer = Offer(
        kind=MOVE,
        room=room,
        starts_at=found.begins,
        ends_at=order.ends_at,
        block_until=order.ends_at + cleaning,
        lines=[],
        fee_fen=0,
        diff_fen=0,
        total_fen=order.total_fen,
    )
    was = audit.facts(order, "room_id", "starts_at", "ends_at", "total_fen")
    made = await changes.hold(session, customer, order, offer, clocks, why=WHY, free=True)
    await audit.record(
        session,
        customer,
        "order.change",
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        subject=f"order:{order.id}",
        before=was,
        after={
            "number": order.number,
            "room_id": room.id,
            "starts_at": found.begins.isoformat(),
            "ends_at": order.ends_at.isoformat(),
            "amount_fen": 0,
        },
        why=WHY,
        clocks=clocks,
    )
    return made


async def _need(session: AsyncSession, customer: Customer, order: Order, clocks: Clocks) -> Scene:
    """The scene at the door that fails, or the Conflict that says why nothing is to be had."""
    if order.status not in {"paid", "ready"} or clocks.now >= order.ends_at:
        raise Conflict(
            "other_room.over",
            "已经进去用了，或这单已经结束。门打不开请打给店家",
            status_now=order.status,
        )
    query = scoped(System(), OrderChange).where(
        col(OrderChange.order_id) == order.id,
        col(OrderChange.state) == "applied",
        col(OrderChange.why) == WHY,
    )
    if (await session.exec(query)).first() is not None:
        raise Conflict("other_room.once", "这单已经免费换过一次房。还是打不开，请打给店家")
    door = await door_of_room(session, order.store_id, order.room_id)
    scene = None if door is None else await look(session, customer, door, clocks)
    if scene is None or not await _fails(session, scene, order, clocks):
        raise Conflict(
            "other_room.lock_answers", "这间的门锁现在没有报故障。请先点开门，打不开再来换"
        )
    await store_hears(session, order, order.starts_at, clocks)
    return scene


async def _fails(session: AsyncSession, scene: Scene, order: Order, clocks: Clocks) -> bool:
    """Whether the room's own door does not open. A late answer that it did is no failure any more."""
    if scene.door.kind != "room":
        return False
    if scene.situation.lock_dead:
        return True
    last = await devices.last_command(
        session, target=scene.door.id, action="unlock", store_id=order.store_id
    )
    return (
        last is not None
        and last.order_id == order.id
        and last.state in _NOT_OPEN
        and (last.state == "failed" or clocks.real >= last.expires_at)  # unknown: it may still open
        and clocks.real - last.created_at < NEWS
    )


async def _fits(
    session: AsyncSession,
    customer: Customer,
    scene: Scene,
    order: Order,
    room: Room,
    begins: datetime,
    clocks: Clocks,
) -> bool:
    """Free for the rest of the time, no smaller, sold at all, and with a lock that is not known to be dead."""
    now_room = scene.rooms[order.room_id]
    if room.id == now_room.id or room.id in scene.door.rooms or room.capacity < now_room.capacity:
        return False
    if room.mode != "normal" or room.selling == "off":
        return False
    if scene.states[room.id] is not RoomNow.FREE:
        return False
    cleaning = (await rules_of(session, scene.store, room.id)).cleaning
    blocked = await next_block(session, room.id, begins, order.id)
    if blocked is not None and blocked < order.ends_at + cleaning:
        return False
    door = await door_of_room(session, order.store_id, room.id)
    return (
        door is not None and not (await look(session, customer, door, clocks)).situation.lock_dead
    )
