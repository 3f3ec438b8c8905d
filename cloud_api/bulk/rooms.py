"""Many rooms at once: out of service and back, tags, the kind whose prices they have, cleaning between stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.bulk.service import Told, each
from cloud_api.claims import modes, rule_service
from cloud_api.kit.actor import Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.staff.permissions import ROOM_MODE, STORE_EDIT
from cloud_api.stores import manage
from cloud_api.stores.service import get_room

OUT = "maintenance"
MOST_TAGS = 10  # as stores.room_schemas
Was = Mapping[str, Any]
"""By room what it goes back to; where it is given it stands above the one value for all."""


async def out(cloud: Cloud, actor: Staff, ids: Sequence[str], why: str, was: Was) -> Told:
    """Take rooms out of service until they are brought back. Needs room.mode and a reason.

    Only free rooms' time is taken: who has booked keeps the booking (claims/modes.py).
    """
    actor.need(ROOM_MODE)

    async def act(session: AsyncSession, room_id: str) -> bool:
        room = await get_room(session, actor, room_id)
        if room.mode == OUT:
            return False
        if room.mode != modes.NORMAL:
            raise KaimenError("room.in_mode", "这间现在是常开或保洁，先恢复正常再停用", status=409)
        await modes.set_mode(
            session,
            actor,
            room_id,
            mode=OUT,
            for_s=None,
            why=str(was.get(room_id, why)),
            clocks=cloud.clocks,
        )
        return True

    items = await each(cloud, ids, act)
    return _told(items, {"act": "back"})


async def back(cloud: Cloud, actor: Staff, ids: Sequence[str]) -> Told:
    """Bring rooms that are out of service back. Needs room.mode."""
    actor.need(ROOM_MODE)
    had: dict[str, Any] = {}

    async def act(session: AsyncSession, room_id: str) -> bool:
        room = await get_room(session, actor, room_id)
        if room.mode != OUT:
            return False
        had[room_id] = room.mode_why
        await modes.set_mode(
            session, actor, room_id, mode=modes.NORMAL, for_s=None, why="", clocks=cloud.clocks
        )
        return True

    items = await each(cloud, ids, act)
    return _told(items, {"act": "out", "was": had})


async def tag(cloud: Cloud, actor: Staff, ids: Sequence[str], word: str, *, put: bool) -> Told:
    """Give rooms a tag, or take it away. Needs store.edit."""
    actor.need(STORE_EDIT)

    async def act(session: AsyncSession, room_id: str) -> bool:
        room = await get_room(session, actor, room_id)
        had = [str(one) for one in room.tags]
        if (word in had) == put:
            return False
        if put and len(had) >= MOST_TAGS:
            raise KaimenError("room.too_many_tags", "这间的标签满了，先去掉一个", status=422)
        tags = [*had, word] if put else [one for one in had if one != word]
        await manage.edit_room(session, actor, room_id, {"tags": tags}, cloud.clocks)
        return True

    items = await each(cloud, ids, act)
    return _told(items, {"act": "untag" if put else "tag", "tag": word})


async def kind(cloud: Cloud, actor: Staff, ids: Sequence[str], name: str, was: Was) -> Told:
    """Put rooms among those that share prices as ``name``; empty for none. Needs store.edit."""
    actor.need(STORE_EDIT)
    had: dict[str, Any] = {}

    async def act(session: AsyncSession, room_id: str) -> bool:
        wish = str(was.get(room_id, name))
        room = await get_room(session, actor, room_id)
        if room.kind == wish:
            return False
        had[room_id] = room.kind
        await manage.edit_room(session, actor, room_id, {"kind": wish}, cloud.clocks)
        return True

    items = await each(cloud, ids, act)
    return _told(items, {"act": "kind", "kind": name, "was": had})


async def buffer(
    cloud: Cloud, actor: Staff, ids: Sequence[str], minutes: int | None, was: Was
) -> Told:
    """How long rooms stay empty for cleaning after a stay; None as their store. Needs store.edit."""
    actor.need(STORE_EDIT)
    had: dict[str, Any] = {}

    async def act(session: AsyncSession, room_id: str) -> bool:
        wish = was.get(room_id, minutes)
        room = await get_room(session, actor, room_id)
        _, own = await rule_service.read(session, actor, room.store_id, room_id)
        seconds = None if wish is None else int(wish) * 60
        if own.get("cleaning_s") == seconds:
            return False
        known = own.get("cleaning_s")
        had[room_id] = None if known is None else int(known) // 60
        await rule_service.set_rules(
            session, actor, room.store_id, room_id, {"cleaning_s": seconds}, cloud.clocks
        )
        return True

    items = await each(cloud, ids, act)
    return _told(items, {"act": "buffer", "minutes": minutes, "was": had})


def _told(items: list[Any], undo: dict[str, Any]) -> Told:
    changed = [one.id for one in items if one.state == "done"]
    return Told(items, {"ids": changed, **undo} if changed and undo else None)
