"""What a pass or a PIN can be shown to at a door: no page promises a reader that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.models import Binding
from cloud_api.kit.actor import System, scoped
from cloud_api.stores.models import Door

_READERS = ("input.code", "input.card")


@dataclass(frozen=True, slots=True)
class Reader:
    """``passes``: something reads a code there. ``pins``: six digits can be typed there."""

    passes: bool = False
    pins: bool = False


NONE = Reader()


async def reader_at(session: AsyncSession, door: Door | None) -> Reader:
    """What hangs beside one door."""
    if door is None:
        return NONE
    return (await readers_at(session, [door]))[door.id]


async def reader_of_room(session: AsyncSession, store_id: str, room_id: str) -> Reader:
    """What hangs beside the room's own door: that of the house does not open the room."""
    query = scoped(System(), Door).where(col(Door.store_id) == store_id, col(Door.kind) == "room")
    doors = [door for door in await session.exec(query) if room_id in door.rooms]
    return await reader_at(session, doors[0] if doors else None)


async def readers_at(session: AsyncSession, doors: Iterable[Door]) -> dict[str, Reader]:
    """The same for many doors, in one query."""
    doors = list(doors)
    wanted = [door.reader_binding_id for door in doors if door.reader_binding_id is not None]
    query = select(col(Binding.id), col(Binding.role)).where(
        col(Binding.id).in_(wanted), col(Binding.capability).in_(_READERS)
    )
    roles = dict((await session.exec(query)).all())
    return {
        door.id: Reader(True, roles[door.reader_binding_id] == "keypad")
        if door.reader_binding_id in roles
        else NONE
        for door in doors
    }
