"""What staff change of stores and rooms: their facts, hours, order, and whether they are sold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit import outbox
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, Forbidden
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff.permissions import STORE_EDIT
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import get_room, get_store, rooms_of

MOST_ROOMS: Final = 64  # a pass has so many bits
_SECRET: Final = frozenset({"wifi_password"})


async def make_store(
    session: AsyncSession, actor: Staff, values: dict[str, Any], clocks: Clocks
) -> Store:
    """A new store. Only who works in every store of the merchant may make one."""
    actor.need(STORE_EDIT)
    if actor.store_ids is not None:
        raise Forbidden(STORE_EDIT, "开新店要能管全部门店，请找店主")
    made = Store(merchant_id=actor.merchant_id, created_at=clocks.now, **values)
    session.add(made)
    await session.flush()
    await _record(session, actor, made, "store.make", f"store:{made.id}", None, values, clocks)
    return made


async def make_room(
    session: AsyncSession, actor: Staff, store_id: str, values: dict[str, Any], clocks: Clocks
) -> Room:
    """A new room at the end. Raises Conflict ``room.too_many``, ``room.name_taken``."""
    actor.need(STORE_EDIT)
    store = await get_store(session, actor, store_id)
    every = await _every_room(session, actor, store_id)
    # A place once used in passes is never given to another room.
    place = max((room.index for room in every), default=-1) + 1
    if place >= MOST_ROOMS:
        raise Conflict(
            "room.too_many",
            _("一家店最多 {most_rooms} 间，再多请开一家新店").format(most_rooms=MOST_ROOMS),
        )
    _check_name(every, values["name"], None)
    room = Room(
        merchant_id=store.merchant_id,
        store_id=store.id,
        index=place,
        sort=max((one.sort for one in every), default=-1) + 1,
        created_at=clocks.now,
        **values,
    )
    session.add(room)
    await session.flush()
    await _record(session, actor, store, "room.make", f"room:{room.id}", None, values, clocks)
    await _tell_store(session, store, clocks)
    return room


async def edit_room(
    session: AsyncSession, actor: Staff, room_id: str, changes: dict[str, Any], clocks: Clocks
) -> Room:
    """Change facts of a room. Raises NotFound, Conflict ``room.name_taken``."""
    actor.need(STORE_EDIT)
    room = await get_room(session, actor, room_id)
    store = await get_store(session, actor, room.store_id)
    if "name" in changes:
        _check_name(await _every_room(session, actor, store.id), changes["name"], room.id)
    before = {name: getattr(room, name) for name in changes}
    for name, value in changes.items():
        setattr(room, name, value)
    session.add(room)
    differs = {name for name in changes if before[name] != changes[name]}
    if differs:
        await _record(
            session, actor, store, "room.edit", f"room:{room.id}",
            {name: before[name] for name in sorted(differs)},
            {name: changes[name] for name in sorted(differs)}, clocks,
        )  # fmt: skip
        await _tell_store(session, store, clocks)
    return room


async def order_rooms(
    session: AsyncSession, actor: Staff, store_id: str, wanted: Sequence[str], clocks: Clocks
) -> list[Room]:
    """The rooms in a new order. Raises Conflict ``room.order`` if ``wanted`` are not all of them."""
    actor.need(STORE_EDIT)
    store = await get_store(session, actor, store_id)
    rooms = {room.id: room for room in await rooms_of(session, actor, store_id)}
    if set(rooms) != set(wanted) or len(wanted) != len(rooms):
        raise Conflict("room.order", "包间刚刚有变化，刷新再排")
    for place, room_id in enumerate(wanted):
        rooms[room_id].sort = place
        session.add(rooms[room_id])
    names = [rooms[room_id].name for room_id in wanted]
    await _record(
        session, actor, store, "room.order", f"store:{store.id}", None, {"order": names}, clocks
    )
    return [rooms[room_id] for room_id in wanted]


async def retire_room(
    session: AsyncSession, actor: Staff, room_id: str, retired: bool, clocks: Clocks
) -> Room:
    """Give a room up, or take it back. Orders that were made for it stay as they are."""
    actor.need(STORE_EDIT)
    room = await get_room(session, actor, room_id)
    store = await get_store(session, actor, room.store_id)
    if retired == (room.retired_at is not None):
        return room
    room.retired_at = clocks.now if retired else None
    session.add(room)
    action = "room.retire" if retired else "room.restore"
    await _record(
        session, actor, store, action, f"room:{room.id}", None, {"name": room.name}, clocks
    )
    await _tell_store(session, store, clocks)
    return room


async def retired_rooms(session: AsyncSession, actor: Staff, store_id: str) -> list[Room]:
    """Those that were given up, the latest first."""
    query = (
        scoped(actor, Room)
        .where(col(Room.store_id) == store_id, col(Room.retired_at).is_not(None))
        .order_by(col(Room.retired_at).desc())
    )
    return list((await session.exec(query)).all())


async def _every_room(session: AsyncSession, actor: Staff, store_id: str) -> list[Room]:
    return list(
        (await session.exec(scoped(actor, Room).where(col(Room.store_id) == store_id))).all()
    )


def _check_name(rooms: Sequence[Room], name: str, room_id: str | None) -> None:
    if any(r.name == name and r.id != room_id and r.retired_at is None for r in rooms):
        raise Conflict(
            "room.name_taken", _("已经有一间叫{name}，换个名字").format(name=name), field="name"
        )


async def _record(
    session: AsyncSession,
    actor: Staff,
    store: Store,
    action: str,
    subject: str,
    before: dict[str, Any] | None,
    after: dict[str, Any],
    clocks: Clocks,
) -> None:
    await audit.record(
        session,
        actor,
        action,
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=subject,
        before=None if before is None else _shown(before),
        after=_shown(after),
        clocks=clocks,
    )


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: "***"
        if name in _SECRET and value
        else value.isoformat()
        if isinstance(value, datetime | date)
        else value
        for name, value in values.items()
    }


async def _tell_store(session: AsyncSession, store: Store, clocks: Clocks) -> None:
    await outbox.desired_changed(
        session, merchant_id=store.merchant_id, store_id=store.id, now=clocks.real
    )
