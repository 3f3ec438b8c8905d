"""Reads from the tables what ``decide`` needs to know about a person at a door."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access.decide import LATELY, NEAR, OwnOrder, RoomNow, Situation
from cloud_api.claims.models import RoomClaim
from cloud_api.claims.overstay import in_use_until
from cloud_api.claims.window import opens_at, previous_until
from cloud_api.devices.commands import last_command
from cloud_api.devices.models import Binding, DeviceCommand
from cloud_api.devices.status import StoreStatusView, get_status
from cloud_api.kit.actor import Actor, Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.orders.models import Order, OrderGuest
from cloud_api.stores import service as stores
from cloud_api.stores.models import Door, Room, Store

DEAD_FOR = timedelta(minutes=5)
_NO_ANSWER_OF_LOCK = frozenset({"device_offline", "device_error"})
_LONGEST = timedelta(days=2)


@dataclass(slots=True)
class Scene:
    """The situation with the rows it was made of."""

    store: Store
    door: Door
    rooms: dict[str, Room]  # all rooms of the store
    situation: Situation
    status: StoreStatusView
    account_id: str = ""
    orders: dict[str, Order] = field(default_factory=dict)
    free_until: dict[str, datetime | None] = field(default_factory=dict)
    busy_until: dict[str, datetime] = field(default_factory=dict)
    lock_failed_at: datetime | None = None  # wire time
    states: dict[str, RoomNow] = field(default_factory=dict)  # of all rooms of the store
    inside: dict[str, set[str | None]] = field(default_factory=dict)  # room → orders in use there


async def look(session: AsyncSession, actor: Actor, door: Door, clocks: Clocks) -> Scene:
    """The scene at ``door`` for ``actor`` now."""
    now = clocks.now
    store = await stores.get_store(session, System(), door.store_id)
    rooms = {room.id: room for room in await stores.rooms_of(session, System(), store.id)}
    status = await get_status(session, System(), store.id, clocks.real)
    scene = Scene(store, door, rooms, Situation(now, False, {}), status)
    await _rooms_now(session, scene, now)
    bookings: list[OwnOrder] = []
    if isinstance(actor, Customer):
        bookings = await _bookings(session, actor, scene, now)
        scene.account_id = actor.account_id
    dead = await _lock_dead(session, scene, clocks.real)
    scene.situation = Situation(
        now=now,
        logged_in=isinstance(actor, Customer),
        rooms={key: scene.states[key] for key in map(str, door.rooms) if key in scene.states},
        bookings=tuple(bookings),
        store_online=status.online,
        lock_dead=dead,
        open_to_all=any(
            room.mode == "open" and (room.mode_until is None or now < room.mode_until)
            for key in map(str, door.rooms)
            if (room := rooms.get(key)) is not None
        ),
    )
    return scene


async def _bookings(
    session: AsyncSession, actor: Customer, scene: Scene, now: datetime
) -> list[OwnOrder]:
    joined = select(col(OrderGuest.order_id)).where(
        col(OrderGuest.account_id) == actor.account_id, col(OrderGuest.removed_at).is_(None)
    )
    query = (
        scoped(System(), Order)
        .where(
            or_(col(Order.account_id) == actor.account_id, col(Order.id).in_(joined)),
            col(Order.store_id) == scene.store.id,
            col(Order.status).in_(["pending_payment", "paid", "ready", "in_use", "completed"]),
            col(Order.starts_at) < now + NEAR + timedelta(seconds=scene.store.lead_s),
            col(Order.ends_at) > now - LATELY - _LONGEST,
        )
        .order_by(col(Order.starts_at))
    )
    found = []
    for order in (await session.exec(query)).all():
        scene.orders[order.id] = order
        before = await previous_until(session, order.room_id, order.claim_id, order.starts_at)
        ends = order.ends_at
        if order.status == "completed" and order.ended_at is not None:
            ends = min(ends, order.ended_at)
        found.append(
            OwnOrder(
                order_id=order.id,
                room_id=order.room_id,
                status=order.status,
                opens_at=opens_at(scene.store, order.starts_at, before),
                starts_at=order.starts_at,
                ends_at=ends,
                hold_expires_at=order.hold_expires_at,
            )
        )
    return found


async def _rooms_now(session: AsyncSession, scene: Scene, now: datetime) -> None:
    """What every room of the store is, and until when."""
    query = (
        select(RoomClaim)
        .where(
            col(RoomClaim.store_id) == scene.store.id,
            col(RoomClaim.state) != "released",
            # Who stays beyond what was bought is still in the room.
            or_(col(RoomClaim.block_until) > now, col(RoomClaim.state) == "in_use"),
            col(RoomClaim.block_from) < now + timedelta(days=2),
        )
        .order_by(col(RoomClaim.block_from))
    )
    claims = (await session.exec(query)).all()
    clean = timedelta(seconds=scene.store.cleaning_s)
    least = timedelta(minutes=scene.store.min_minutes)
    for room in scene.rooms.values():
        mine = [claim for claim in claims if claim.room_id == room.id]
        scene.inside[room.id] = {claim.order_id for claim in mine if claim.state == "in_use"}
        current = next((claim for claim in mine if claim.block_from <= now), None)
        if room.mode == "maintenance":
            scene.states[room.id] = RoomNow.MAINTENANCE
        elif current is not None:
            scene.states[room.id] = _of_claim(current, now)
            if current.block_until > now:
                scene.busy_until[room.id] = current.block_until
        else:
            until = mine[0].block_from - clean if mine else None
            scene.free_until[room.id] = until
            short = until is not None and until - now < least
            scene.states[room.id] = RoomNow.TAKEN if short else RoomNow.FREE
            if short:
                scene.busy_until[room.id] = mine[0].block_until


def _of_claim(claim: RoomClaim, now: datetime) -> RoomNow:
    if claim.kind == "maintenance":
        return RoomNow.MAINTENANCE
    if claim.kind == "cleaning" or in_use_until(claim) <= now < claim.block_until:
        return RoomNow.CLEANING
    return RoomNow.TAKEN


async def _lock_dead(session: AsyncSession, scene: Scene, real: datetime) -> bool:
    """The lock's board is away, or the last unlock here failed at it and nothing newer says otherwise."""
    door, status = scene.door, scene.status
    if door.lock_binding_id is None:
        return True
    query = scoped(System(), Binding).where(col(Binding.id) == door.lock_binding_id)
    binding = (await session.exec(query)).one_or_none()
    board = None if binding is None else binding.board_id
    last = await last_command(session, target=door.id, action="unlock", store_id=scene.store.id)
    if last is not None and _failed_at_lock(last) and last.final_at is not None:
        scene.lock_failed_at = last.final_at
    if status.board_dead(board):
        return True
    if scene.lock_failed_at is None or real - scene.lock_failed_at >= DEAD_FOR:
        scene.lock_failed_at = None
        return False
    healed = (
        status.reported_at is not None
        and status.reported_at > scene.lock_failed_at
        and status.boards.get(board or "") == "online"
    )
    return not healed


def _failed_at_lock(command: DeviceCommand) -> bool:
    return command.state == "failed" and command.reason in _NO_ANSWER_OF_LOCK


async def door_of_room(session: AsyncSession, store_id: str, room_id: str) -> Door | None:
    """The room's own door, else one that leads to it."""
    query = (
        scoped(System(), Door)
        .where(col(Door.store_id) == store_id)
        .order_by(col(Door.kind).desc(), col(Door.id))
    )
    doors = (await session.exec(query)).all()
    return next((door for door in doors if room_id in door.rooms), None)
