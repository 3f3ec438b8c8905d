"""Doors: what a person may do at one, opening it, and the pass for when the network is away."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import grants, words
from cloud_api.access.decide import Case, Decision, RoomNow, decide
from cloud_api.access.models import Grant
from cloud_api.access.schemas import (
    DoorBrief,
    DoorView,
    Named,
    PassOut,
    RightRoom,
    RoomBrief,
    StickerOut,
    StoreBrief,
)
from cloud_api.access.situation import Scene, door_of_room, look
from cloud_api.audit import service as audit
from cloud_api.claims.window import opens_at, previous_until
from cloud_api.devices import service as devices
from cloud_api.devices.control import reason
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.actor import Actor, Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import later
from cloud_api.kit.keys import keys_of
from cloud_api.orders import changes, share
from cloud_api.orders.models import Order
from cloud_api.orders.transitions import lock_order, system_lock
from cloud_api.pricing.service import prices_from
from cloud_api.staff.permissions import DOOR_OPEN_CLEANING, DOOR_OPEN_REMOTE, STORE_READ
from cloud_api.stores import service as stores
from cloud_api.stores.models import Door, Store
from store_link import passes

UNLOCK_VALID_S: Final = 10.0
JUST_OPENED: Final = timedelta(seconds=3)
UNLOCK_LIMIT: Final = (20, 60)  # taps per seconds and actor
_HOLDING: Final = (Case.READY, Case.STORE_OFFLINE, Case.LOCK_DEAD)


async def door_view(
    session: AsyncSession, actor: Actor, token: str, clocks: Clocks, data_dir: Path
) -> DoorView:
    """What ``actor`` may do at the door of a sticker now. Shows; never opens.

    Raises NotFound ``door.not_found``.
    """
    door = await stores.get_door_by_token(session, System(), token)
    scene = await look(session, actor, door, clocks)
    return await _show(session, scene, decide(scene.situation), clocks, data_dir)


async def unlock(
    session: AsyncSession,
    actor: Actor,
    token: str,
    clocks: Clocks,
    instance: str,
    command_id: str | None = None,
) -> tuple[DeviceCommand, bool]:
    """A command that opens the door, and whether it is an earlier one of a double tap.

    Raises KaimenError: ``auth.login_needed`` (401), ``store.offline`` (409), or ``door.<case>`` (409)
    with the facts of why not. A command that runs, or whose outcome is not known before it expired,
    is given again instead of a second pulse; one that opened the door less than 3 s ago as well.
    """
    door = await stores.get_door_by_token(session, System(), token)
    scene = await look(session, actor, door, clocks)
    decision = decide(scene.situation)
    if decision.case is Case.OPEN and isinstance(actor, Customer):
        return await _open_to_all(session, actor, scene, clocks, instance, command_id)
    if not decision.can_unlock or decision.booking is None or not isinstance(actor, Customer):
        raise await _refusal(session, scene, decision)
    # The order's row is the queue: of two taps at once the second sees the first one's command.
    order = await system_lock(session, decision.booking.order_id)
    if not await share.may_enter(session, actor.account_id, order):
        raise await _refusal(session, scene, decision)
    grant = await grants.ensure_grant(session, order, clocks)
    if grant is None:
        raise Conflict("order.moved", "订单的状态刚变了，请刷新再看")
    running = await devices.last_command(
        session, target=door.id, action="unlock", store_id=door.store_id
    )
    if running is not None and _stands(running, grant, clocks.real):
        return running, True
    command = await devices.create_command(
        session,
        actor,
        store=scene.store,
        target=door.id,
        action="unlock",
        args={"grant": grant.id},
        why="",
        order_id=order.id,
        clocks=clocks,
        instance=instance,
        valid_s=UNLOCK_VALID_S,
        command_id=command_id,
        last=True,
    )
    return command, False


async def _open_to_all(
    session: AsyncSession,
    actor: Customer,
    scene: Scene,
    clocks: Clocks,
    instance: str,
    command_id: str | None,
) -> tuple[DeviceCommand, bool]:
    """Nobody's order is asked for: the store knows the mode itself, and judges it again."""
    door = scene.door
    # Without an order the door's row is the queue: of two taps at once the second sees the first's.
    queue = scoped(System(), Door).with_only_columns(col(Door.id)).where(col(Door.id) == door.id)
    await session.execute(queue.with_for_update(key_share=True))
    running = await devices.last_command(
        session, target=door.id, action="unlock", store_id=door.store_id
    )
    if running is not None and running.by == actor.ref and _runs(running, clocks.real):
        return running, True
    command = await devices.create_command(
        session,
        actor,
        store=scene.store,
        target=door.id,
        action="unlock",
        args={},
        why="",
        order_id=None,
        clocks=clocks,
        instance=instance,
        valid_s=UNLOCK_VALID_S,
        command_id=command_id,
        last=True,
    )
    return command, False


async def staff_unlock(
    session: AsyncSession,
    actor: Staff,
    door_id: str,
    why: str,
    clocks: Clocks,
    instance: str,
    command_id: str | None = None,
) -> DeviceCommand:
    """Open a door from afar. Needs door.open.remote and a reason; who and why stand in the log.

    Raises NotFound ``door.not_found``, KaimenError ``why.missing``, and StoreOffline. See at_once.py as
    well, which does the same in one statement where it can.
    """
    actor.need(DOOR_OPEN_REMOTE)
    store = devices.StoreRef(*await stores.locate_door(session, actor, door_id))
    return await _by_staff(
        session, actor, door_id, store, reason(why), clocks, instance, command_id
    )


async def unlock_to_clean(
    session: AsyncSession,
    actor: Staff,
    door_id: str,
    clocks: Clocks,
    instance: str,
    command_id: str | None = None,
) -> DeviceCommand:
    """Open a door of a room that is set to be cleaned. Needs door.open.cleaning, and no reason.

    Raises NotFound ``door.not_found``, Conflict ``room.not_cleaning``, and StoreOffline.
    """
    actor.need(DOOR_OPEN_CLEANING)
    door = await stores.get_door(session, actor, door_id)
    rooms = await stores.rooms_of(session, actor, door.store_id)
    if not any(room.id in door.rooms and room.mode == "cleaning" for room in rooms):
        raise Conflict("room.not_cleaning", "这间现在不是保洁状态，请店长先切到保洁")
    return await _by_staff(
        session, actor, door.id, _store_of(door), later("保洁"), clocks, instance, command_id
    )


async def unlock_for_task(
    session: AsyncSession,
    actor: Staff,
    door_id: str,
    room_id: str,
    why: str,
    clocks: Clocks,
    instance: str,
    command_id: str | None = None,
) -> DeviceCommand:
    """Open a door to ``room_id`` for whoever has work there; the caller made sure that they have.

    Raises NotFound ``door.not_found`` (also for a door that does not lead there), and StoreOffline.
    """
    actor.need(DOOR_OPEN_CLEANING)
    door = await stores.get_door(session, actor, door_id)
    if room_id not in door.rooms:
        raise NotFound("door", "这扇门不通到要打扫的包间")
    return await _by_staff(
        session, actor, door.id, _store_of(door), why, clocks, instance, command_id
    )


def _store_of(door: Door) -> devices.StoreRef:
    return devices.StoreRef(door.store_id, door.merchant_id)


async def _by_staff(
    session: AsyncSession,
    actor: Staff,
    door_id: str,
    store: devices.StoreRef,
    told: str,
    clocks: Clocks,
    instance: str,
    command_id: str | None,
) -> DeviceCommand:
    command = await devices.create_command(
        session,
        actor,
        store=store,
        target=door_id,
        action="unlock",
        args={},
        why=told,
        order_id=None,
        clocks=clocks,
        instance=instance,
        valid_s=UNLOCK_VALID_S,
        command_id=command_id,
        last=True,
    )
    await audit.record(
        session,
        actor,
        "door.unlock",
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=f"door:{door_id}",
        after={"command": command.id},
        why=told,
        clocks=clocks,
    )
    return command


async def order_pass(
    session: AsyncSession, actor: Customer, order_id: str, clocks: Clocks, data_dir: Path
) -> PassOut:
    """A fresh pass and the PIN of one's paid order. Raises NotFound, Conflict ``pass.none``."""
    order = await lock_order(session, actor, order_id)
    grant = await grants.ensure_grant(session, order, clocks)
    if grant is None:
        raise Conflict("pass.none", "付好款、还没结束的订单才有通行码")
    store = await stores.get_store(session, System(), order.store_id)
    before = await previous_until(session, order.room_id, order.claim_id, order.starts_at)
    opens = opens_at(store, order.starts_at, before)
    if clocks.now >= grant.expires_at:
        raise Conflict("pass.over", "时段已结束，通行码用不了了")
    text, begins = await _pass(session, store, grant, opens, clocks.now, data_dir)
    status = await devices.get_status(session, System(), store.id, clocks.real)
    if not status.online:  # the store obeys the pass, though it has not heard of what changed
        await changes.carried(session, order, clocks)
    return PassOut(
        order_id=order.id,
        pass_=text,
        pin=grant.pin,
        not_before=begins,
        expires=grant.expires_at,
        opens_at=opens,
        store_online=status.online,
        now=clocks.now,
    )


async def stickers(
    session: AsyncSession, actor: Staff, store_id: str, public_url: str
) -> tuple[Store, list[StickerOut]]:
    """What to print for the doors of a store. Needs store.read."""
    actor.need(STORE_READ)
    store = await stores.get_store(session, actor, store_id)
    names = {room.id: room.name for room in await stores.rooms_of(session, actor, store_id)}
    return store, [
        StickerOut(
            door_id=door.id,
            name=door.name,
            kind=door.kind,
            rooms=[names[room] for room in map(str, door.rooms) if room in names],
            url=sticker_url(public_url, door.token),
        )
        for door in await stores.doors_of(session, actor, store_id)
    ]


def sticker_url(public_url: str, token: str) -> str:
    """The address in a door's QR code."""
    return f"{public_url.rstrip('/')}/d/{token}"


def _stands(command: DeviceCommand, grant: Grant, now: datetime) -> bool:
    """Whether a tap now would be the second for what ``command`` does; ``now`` is wire time."""
    return command.args.get("grant") == grant.id and _runs(command, now)


def _runs(command: DeviceCommand, now: datetime) -> bool:
    """Whether it opened the door a moment ago, or may still do so."""
    if command.state == "done":
        return command.final_at is not None and now - command.final_at < JUST_OPENED
    undecided = command.state in ("created", "sent", "accepted", "unknown")
    return undecided and now < command.expires_at


async def _pass(
    session: AsyncSession, store: Store, grant: Grant, opens: datetime, now: datetime, folder: Path
) -> tuple[str, datetime]:
    """A rotating pass: its ``not_before`` is the moment of issue, so that a store sees how old it is."""
    rooms = {room.id: room.index for room in await stores.rooms_of(session, System(), store.id)}
    begins = max(opens, now)
    text = passes.issue(
        keys_of(folder).signing("pass"),
        store=store.id,
        grant=grant.id,
        rooms=[rooms[room] for room in map(str, grant.rooms) if room in rooms],
        not_before=begins,
        expires=grant.expires_at,
        rotating=True,
    )
    return text, begins


async def _refusal(session: AsyncSession, scene: Scene, decision: Decision) -> KaimenError:
    case, booking = decision.case, decision.booking
    if case is Case.LOGIN:
        return KaimenError("auth.login_needed", "请先登录", status=401)
    if case is Case.STORE_OFFLINE:
        return devices.StoreOffline()
    facts: dict[str, Any] = {"case": case.value}
    if booking is not None:
        facts |= {
            "order_id": booking.order_id,
            "room_id": booking.room_id,
            "opens_at": _iso(booking.opens_at),
            "ends_at": _iso(booking.ends_at),
        }
    return Conflict(f"door.{case.value}", _sentence(scene, decision), **facts)


def _sentence(scene: Scene, decision: Decision) -> str:
    now, tz, booking = scene.situation.now, scene.store.tz, decision.booking
    room = _room_id(scene, decision)
    busy = scene.busy_until.get(room or "")
    at = {
        Case.EARLY: booking.opens_at if booking else None,
        Case.CLEANING: busy,
    }.get(decision.case)
    name = scene.rooms[room].name if room in scene.rooms else scene.door.name
    return words.sentence(
        decision.case,
        room=name,
        right_room=scene.rooms[booking.room_id].name if booking else name,
        time=words.clock(at, now, tz) if at is not None else "",
    )


def _room_id(scene: Scene, decision: Decision) -> str | None:
    """The room of this door that the answer speaks of."""
    if decision.booking is not None and decision.booking.room_id in scene.situation.rooms:
        return decision.booking.room_id
    wanted = RoomNow.FREE if decision.case is Case.NONE_FREE else None
    for room, state in scene.situation.rooms.items():
        if wanted is None or state is wanted:
            return room
    return None


async def _show(
    session: AsyncSession, scene: Scene, decision: Decision, clocks: Clocks, data_dir: Path
) -> DoorView:
    booking, door, store = decision.booking, scene.door, scene.store
    room_id = _room_id(scene, decision)
    room = scene.rooms.get(room_id or "")
    view = DoorView(
        case=decision.case,
        message_key=words.KEYS[decision.case],
        message=_sentence(scene, decision),
        can_unlock=decision.can_unlock,
        now=clocks.now,
        door=DoorBrief(id=door.id, name=door.name, kind=door.kind),
        store=StoreBrief(
            id=store.id,
            name=store.name,
            phone=store.phone,
            address=store.address,
            tz=store.tz,
            online=scene.status.online,
        ),
        room=None
        if room is None
        else RoomBrief(id=room.id, name=room.name, art=room.art, state=scene.states[room.id].value),
        life_s=int(UNLOCK_VALID_S),
    )
    if decision.booking is not None and decision.case in (Case.EARLY, Case.READY):
        others = scene.inside.get(decision.booking.room_id, set()) - {decision.booking.order_id}
        if others:
            view.somebody_inside = True
            view.message = words.still_inside(view.message)
    if room is not None:
        view.free_until = scene.free_until.get(room.id)
        view.busy_until = scene.busy_until.get(room.id)
    if decision.case in (Case.NONE_FREE, Case.NONE_TAKEN, Case.CLEANING, Case.LOGIN):
        of = [room] if room is not None else list(scene.rooms.values())
        prices = await prices_from(session, System(), of)
        view.price_from_fen = min(prices.values(), default=None)
    if decision.case is Case.LOCK_DEAD:
        view.lock_failed_at = scene.lock_failed_at
    view.other_rooms = [
        Named(id=other.id, name=other.name)
        for other in scene.rooms.values()
        if other.id not in scene.situation.rooms and scene.states[other.id] is RoomNow.FREE
    ]
    if booking is not None:
        await _show_booking(session, scene, decision, view, clocks, data_dir)
        if scene.orders[booking.order_id].account_id != scene.account_id:
            view.order_id = None  # a friend's: the door is theirs too, the order is not
    return view


async def _show_booking(
    session: AsyncSession,
    scene: Scene,
    decision: Decision,
    view: DoorView,
    clocks: Clocks,
    data_dir: Path,
) -> None:
    booking = decision.booking
    assert booking is not None
    order: Order = scene.orders[booking.order_id]
    view.order_id = booking.order_id
    view.opens_at, view.starts_at, view.ends_at = (
        booking.opens_at,
        booking.starts_at,
        booking.ends_at,
    )
    view.grace_ends_at = booking.ends_at + timedelta(seconds=scene.store.grace_s)
    if decision.case is Case.UNPAID:
        view.held_until, view.due_fen = booking.hold_expires_at, order.total_fen - order.paid_fen
    if decision.case is Case.OTHER_ROOM:
        room = scene.rooms[booking.room_id]
        door = await door_of_room(session, scene.store.id, room.id)
        view.right_room = RightRoom(
            id=room.id, name=room.name, door_name=door.name if door else room.name
        )
    if decision.case in _HOLDING:
        query = scoped(System(), Grant).where(
            col(Grant.order_id) == order.id, col(Grant.revoked_at).is_(None)
        )
        grant = (await session.exec(query)).one_or_none()
        if grant is not None and clocks.now < grant.expires_at:
            view.pin = grant.pin
            view.pass_, _ = await _pass(
                session, scene.store, grant, booking.opens_at, clocks.now, data_dir
            )


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
