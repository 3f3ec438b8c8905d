"""What a store's report and its silence mean for alarms: signals, written beside the status itself.

A report shows everything at once, so levels are compared with those known and only differences are
written. Values that are not fresh say nothing: they neither raise nor end an alarm.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import literal
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms.rules import rules_of
from cloud_api.claims.models import RoomClaim
from cloud_api.devices.models import Binding, Board, DeviceCommand, Schedule, StoreStatus
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.alarm_signals import Level, active_of, assert_levels, signal
from cloud_api.kit.cloud import Cloud
from cloud_api.store_channel.models import StoreEvent
from cloud_api.stores.models import Door

QUIET_BEFORE_FORCED: Final = timedelta(hours=1)
"""Who was let in, or had the room, may open from inside; so long after, nobody should be there."""
_CALM: Final = 0.9  # of the threshold: below it an overload is over
_WATCHED: Final = ("hazard", "door.contact", "power.w")
_KINDS: Final = (
    "device.offline",
    "clock.untrusted",
    "disk.low",
    "hazard.input",
    "door.open_too_long",
    "power.stuck",
)
_BUSY: Final = frozenset(
    {"open", "in_use", "grace", "overtime"}
)  # states of a stay that may have power

Key = tuple[str, str]


async def store_online(session: AsyncSession, row: StoreStatus, now: datetime) -> None:
    """Presence changed."""
    await signal(
        session,
        merchant_id=row.merchant_id,
        store_id=row.store_id,
        kind="store.offline",
        subject=f"store:{row.store_id}",
        active=not row.online,
        data={},
        at=now,
    )


async def report(
    session: AsyncSession, cloud: Cloud, row: StoreStatus, before: dict[str, Any] | None
) -> None:
    """A new report of ``row``'s store stands in ``row.reported``; ``before`` is the one it replaces."""
    now, said = cloud.clocks.real, row.reported or {}
    levels: dict[Key, Level] = {}
    levels |= await _boards(session, row, said)
    clock = said.get("clock")
    levels["clock.untrusted", f"store:{row.store_id}"] = (clock == "untrusted", {"detail": clock})
    outbox = said.get("outbox", {})
    dead = bool(outbox.get("in_memory"))  # a card that takes no writes: to be replaced
    detail = {"detail": "memory" if dead else "journal"}
    levels["disk.low", f"store:{row.store_id}"] = (dead or bool(outbox.get("full")), detail)
    query = scoped(System(), Binding).where(
        col(Binding.store_id) == row.store_id,
        or_(
            col(Binding.capability).in_(_WATCHED),
            (col(Binding.capability) == "switch.set") & (col(Binding.role) == "table"),
        ),
    )
    bindings = (await session.exec(query)).all()
    known = await active_of(session, row.merchant_id, row.store_id, (*_KINDS, "power.overload"))
    doors = await _doors(session, row, [b.id for b in bindings if b.capability == "door.contact"])
    for binding in bindings:
        value = _fresh(said, binding.id)
        data = {"binding_id": binding.id, "room_id": _room(binding)}
        if binding.capability == "hazard":
            key = ("hazard.input", f"binding:{binding.id}")
            levels[key] = (key in known if value is None else bool(value), data)
        elif binding.capability == "door.contact" and binding.id in doors:
            door = doors[binding.id]
            key = ("door.open_too_long", f"door:{door.id}")
            about = {"door_id": door.id, "room_id": _only(door.rooms)}
            levels[key] = (key in known if value is None else bool(value), about)
            if value and _fresh(before or {}, binding.id) is False:
                await _opened(session, cloud, row, door)
        elif binding.role == "table":
            key = ("power.stuck", f"binding:{binding.id}")
            on = key in known if value is None else bool(value)
            stuck = on and await _nobodys(session, said, binding)
            levels[key] = (stuck, data | {"device": binding.name})
    await assert_levels(
        session,
        merchant_id=row.merchant_id,
        store_id=row.store_id,
        kinds=_KINDS,
        levels=levels,
        at=now,
    )
    await _load(session, row, said, [b for b in bindings if b.capability == "power.w"], known, now)


async def _nobodys(session: AsyncSession, said: dict[str, Any], table: Binding) -> bool:
    """Whether nothing that a store goes by has this table on: no stay, no mode, no hand, no time of day."""
    rooms = {str(room) for room in table.rooms}
    stays = (one["room"] for one in said.get("stays", []) if one["state"] in _BUSY)
    modes = (one["room"] for one in said.get("modes", []))
    held = any(one["binding"] == table.id for one in said.get("overrides", []))
    if held or not rooms.isdisjoint((*stays, *modes)):
        return False
    query = select(col(Schedule.bindings)).where(
        col(Schedule.store_id) == table.store_id, col(Schedule.active).is_(True)
    )
    return all(table.id not in bindings for bindings in (await session.exec(query)).all())


async def _boards(
    session: AsyncSession, row: StoreStatus, said: dict[str, Any]
) -> dict[Key, Level]:
    away = {
        board["id"]: board for board in said.get("boards", []) if board["state"] in _AWAY_STATES
    }
    if not away:
        return {}
    query = scoped(System(), Board).where(
        col(Board.store_id) == row.store_id, col(Board.id).in_(sorted(away))
    )
    return {
        ("device.offline", f"board:{board.id}"): (
            True,
            {
                "board_id": board.id,
                "device": board.name,
                "detail": away[board.id].get("detail"),
                "why": away[board.id].get("why", ""),
            },
        )
        for board in (await session.exec(query)).all()
    }


_AWAY_STATES: Final = ("offline", "refused")


async def _doors(session: AsyncSession, row: StoreStatus, contacts: list[str]) -> dict[str, Door]:
    if not contacts:
        return {}
    query = scoped(System(), Door).where(
        col(Door.store_id) == row.store_id, col(Door.contact_binding_id).in_(contacts)
    )
    return {str(door.contact_binding_id): door for door in (await session.exec(query)).all()}


async def _opened(session: AsyncSession, cloud: Cloud, row: StoreStatus, door: Door) -> None:
    """A door that was shut is open: was anybody let in, or had anybody the room?"""
    now = cloud.clocks.real
    since = now - QUIET_BEFORE_FORCED
    command = select(col(DeviceCommand.id)).where(
        col(DeviceCommand.store_id) == row.store_id,
        col(DeviceCommand.target) == door.id,
        col(DeviceCommand.action) == "unlock",
        col(DeviceCommand.created_at) > since,
    )
    business = cloud.clocks.now
    claim = select(col(RoomClaim.id)).where(
        col(RoomClaim.room_id).in_([str(room) for room in door.rooms]),
        col(RoomClaim.block_from) < business + timedelta(minutes=30),
        col(RoomClaim.block_until) > business - QUIET_BEFORE_FORCED,
    )
    for query in (command, claim):
        if (await session.exec(query.limit(1))).first() is not None:
            return
    entries = select(col(StoreEvent.body)).where(
        col(StoreEvent.store_id) == row.store_id,
        col(StoreEvent.kind) == literal("access", literal_execute=True),  # as its index says
        col(StoreEvent.received_at) > since,
    )
    for body in (await session.exec(entries)).all():
        if body.get("door") == door.id and body.get("outcome") in ("done", "unknown"):
            return
    await signal(
        session,
        merchant_id=row.merchant_id,
        store_id=row.store_id,
        kind="door.forced",
        subject=f"door:{door.id}",
        active=True,
        data={"door_id": door.id, "room_id": _only(door.rooms)},
        at=now,
    )


async def _load(
    session: AsyncSession,
    row: StoreStatus,
    said: dict[str, Any],
    meters: list[Binding],
    known: set[Key],
    now: datetime,
) -> None:
    if not meters:
        return
    limit = (await rules_of(session, row.merchant_id))["power.overload"].threshold or 0.0
    levels: dict[Key, Level] = {}
    for meter in meters:
        key = ("power.overload", f"binding:{meter.id}")
        value = _fresh(said, meter.id)
        data = {"binding_id": meter.id, "room_id": _room(meter), "device": meter.name}
        if value is None:
            levels[key] = (key in known, data)
        else:
            watts = float(value)
            over = watts > (limit * _CALM if key in known else limit)
            levels[key] = (over, data | {"detail": f"{watts:.0f} W"})
    await assert_levels(
        session,
        merchant_id=row.merchant_id,
        store_id=row.store_id,
        kinds=("power.overload",),
        levels=levels,
        at=now,
    )


def _fresh(said: dict[str, Any], binding_id: str) -> Any:
    """A binding's value where it may be believed, else None."""
    read = said.get("values", {}).get(binding_id)
    return read["value"] if read is not None and read["quality"] == "ok" else None


def _room(binding: Binding) -> str | None:
    return _only(binding.rooms)


def _only(rooms: list[Any]) -> str | None:
    return str(rooms[0]) if len(rooms) == 1 else None
