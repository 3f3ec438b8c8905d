"""What a room is set to by staff: always open, cleaning, maintenance; each with a reason and a time.

The store obeys the mode by itself, to its time, with the cloud away (store_link.messages.Room); here it
is set, shown, and taken back when its time is over. Maintenance takes the room's time as far as nobody
has booked it; who has booked keeps the booking until somebody moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.claims import service as claims
from cloud_api.claims.models import RoomClaim
from cloud_api.devices.control import reason
from cloud_api.kit import feed, outbox
from cloud_api.kit.actor import Actor, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.staff.permissions import ROOM_MODE
from cloud_api.stores.models import Room

NORMAL: Final = "normal"
OVER: Final = "room.mode_over"  # the due job that takes a mode back
DEFAULT_S: Final[Mapping[str, int | None]] = {
    "open": 2 * 3600,
    "cleaning": 3600,
    "maintenance": None,  # until somebody says that it is mended
}
CAP_S: Final[Mapping[str, int]] = {
    "open": 12 * 3600,
    "cleaning": 8 * 3600,
    "maintenance": 90 * 86400,
}
_AHEAD: Final = timedelta(days=30)  # room time that maintenance without an end takes
_SECOND: Final = timedelta(seconds=1)


async def set_mode(
    session: AsyncSession,
    actor: Staff,
    room_id: str,
    *,
    mode: str,
    for_s: int | None,
    why: str,
    clocks: Clocks,
) -> Room:
    """Set a room to ``mode`` for ``for_s`` seconds of business time (None: the mode's default).

    Needs room.mode, and a reason for every mode but the normal one. Raises NotFound, KaimenError
    ``room.bad_mode``, ``room.mode_too_long``, ``why.missing`` (422).
    """
    actor.need(ROOM_MODE)
    if mode != NORMAL and mode not in CAP_S:
        raise KaimenError("room.bad_mode", "没有这种房间状态", status=422, field="mode")
    found = (await session.exec(scoped(actor, Room).where(col(Room.id) == room_id))).one_or_none()
    if found is None:
        raise NotFound("room")
    told = reason(why) if mode != NORMAL else why.strip()
    length = None
    if mode != NORMAL:
        length = DEFAULT_S[mode] if for_s is None else for_s
        if length is not None and length > CAP_S[mode]:
            most = CAP_S[mode] // 3600
            raise KaimenError(
                "room.mode_too_long",
                _("最长 {most} 小时，到时再延").format(most=most),
                status=422,
                field="for_s",
            )
    until = None if length is None else clocks.now + timedelta(seconds=length)
    return await _change(session, actor, found.id, mode, until, told, clocks)


async def cleaned_by(
    session: AsyncSession, actor: Actor, room_id: str, until: datetime | None, clocks: Clocks
) -> None:
    """Set a room to cleaning until ``until``, or back to normal for None, because a task is worked on.

    Whoever calls has made sure that it is the actor's task. A room that staff set to something else
    stays as they set it.
    """
    room = await _locked(session, room_id)
    if room is None or room.mode not in (NORMAL, "cleaning"):
        return
    if until is not None:
        await _change(session, actor, room_id, "cleaning", until, later("保洁任务"), clocks)
    elif room.mode == "cleaning":
        await _change(session, actor, room_id, NORMAL, None, later("打扫好了"), clocks)


async def over(session: AsyncSession, room_id: str, clocks: Clocks) -> None:
    """Take a mode back whose time is over; one that was set anew meanwhile stays."""
    room = await _locked(session, room_id)
    if room is None or room.mode == NORMAL or room.mode_until is None:
        return
    if room.mode_until <= clocks.now:
        await _change(session, System(), room_id, NORMAL, None, later("时间到"), clocks)


async def _change(
    session: AsyncSession,
    actor: Actor,
    room_id: str,
    mode: str,
    until: datetime | None,
    why: str,
    clocks: Clocks,
) -> Room:
    room = await _locked(session, room_id)
    assert room is not None  # its caller has just read it
    before = audit.facts(room, "mode", "mode_until", "mode_why")
    if room.mode_claim_id is not None:
        await claims.release(session, room.mode_claim_id, "mode_over")
    room.mode, room.mode_until, room.mode_why, room.mode_claim_id = mode, until, why, None
    if mode == "maintenance":
        room.mode_claim_id = await claims.take_for(
            session, room, "maintenance", clocks.now, until or clocks.now + _AHEAD, clocks
        )
    session.add(room)
    await session.flush()
    if until is not None:
        await schedule(
            session,
            merchant_id=room.merchant_id,
            kind=OVER,
            ref=room.id,
            run_at=until,
            clock="business",
        )
    await audit.record(
        session,
        actor,
        "room.mode",
        merchant_id=room.merchant_id,
        store_id=room.store_id,
        subject=f"room:{room.id}",
        before=before,
        after=audit.facts(room, "mode", "mode_until", "mode_why"),
        why=why,
        clocks=clocks,
    )
    await feed.tell(
        session,
        merchant_id=room.merchant_id,
        store_id=room.store_id,
        topic="room",
        body={"room_id": room.id, "mode": mode},
        now=clocks.real,
    )
    await outbox.desired_changed(
        session, merchant_id=room.merchant_id, store_id=room.store_id, now=clocks.real
    )
    return room


async def _locked(session: AsyncSession, room_id: str) -> Room | None:
    query = scoped(System(), Room).where(col(Room.id) == room_id).with_for_update()
    return (await session.exec(query.execution_options(populate_existing=True))).one_or_none()


async def booked_under(session: AsyncSession, room: Room, clocks: Clocks) -> list[datetime]:
    """When those who have booked come while the room is not to be used: they need to be told."""
    if room.mode != "maintenance":
        return []
    until = room.mode_until or clocks.now + _AHEAD
    query = (
        select(RoomClaim.starts_at)
        .where(
            col(RoomClaim.room_id) == room.id,
            col(RoomClaim.kind) == "booking",
            col(RoomClaim.state).in_(["held", "confirmed"]),
            col(RoomClaim.starts_at) >= clocks.now,
            col(RoomClaim.starts_at) < until,
        )
        .order_by(col(RoomClaim.starts_at))
        .limit(20)
    )
    return list((await session.exec(query)).all())
