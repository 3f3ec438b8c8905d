"""What staff set a room to: always open, cleaning, maintenance. Each to a time that holds offline, too.

The document says which mode and until when; the store counts the time down on its own line, so that a
wall clock that stands or steps back does not keep a door open. What is over stays over until the
document says something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from controller.timekeeper import Now
from store_link.messages import ClockQuality, Desired, Door, EventKind, ModeBody, Room, RoomMode
from store_link.rules import Scenes, SceneStep

if TYPE_CHECKING:  # the journal knows the plan, which knows the modes
    from controller.journal.tx import Tx

KEPT_AS = "modes"
LIGHT: tuple[SceneStep, ...] = (SceneStep(role="light", on=True),)


@dataclass(frozen=True, slots=True)
class ModeRecord:
    """A mode as the document said it. ``until`` is business ms, ``until_line`` line seconds."""

    mode: RoomMode
    until: int | None
    until_line: float | None
    over: bool = False


Records = dict[str, ModeRecord]  # by room; only of rooms that the document gives a mode


def look(desired: Desired, known: Mapping[str, ModeRecord], now: Now) -> Records:
    """The modes at this moment."""
    return {
        room.id: _record(room, known.get(room.id), now)
        for room in desired.rooms
        if room.mode != "normal"
    }


def _record(room: Room, known: ModeRecord | None, now: Now) -> ModeRecord:
    if known is None or (known.mode, known.until) != (room.mode, room.mode_until):
        until = room.mode_until
        line = None if until is None else now.line + (until - now.ms) / 1000
        known = ModeRecord(room.mode, until, line)
    if known.over or known.until is None or known.until_line is None:
        return known
    return replace(known, over=now.ms >= known.until or now.line >= known.until_line)


def in_force(records: Mapping[str, ModeRecord]) -> dict[str, RoomMode]:
    """The mode of each room that has one now."""
    return {room: record.mode for room, record in records.items() if not record.over}


def changes(before: Mapping[str, ModeRecord], after: Mapping[str, ModeRecord]) -> list[ModeBody]:
    """What to tell of the way from ``before`` to ``after``."""
    was, now = in_force(before), in_force(after)
    told = []
    for room in sorted({*was, *now}):
        old, new = was.get(room, "normal"), now.get(room, "normal")
        if old != new:
            over = new == "normal" and room in after
            told.append(ModeBody(room=room, was=old, now=new, why="over" if over else "desired"))
    return told


def scene_of(mode: RoomMode, scenes: Scenes) -> tuple[SceneStep, ...] | None:
    """What a mode wants on; None where it wants nothing."""
    match mode:
        case "open":
            return scenes.in_use
        case "cleaning":
            return LIGHT if scenes.cleaning is None else scenes.cleaning
    return None


def open_to_all(records: Mapping[str, ModeRecord], door: Door, now: Now) -> bool:
    """Whether ``door`` opens for anybody who asks: one of its rooms is always open.

    Locks are pulsed, none is held: what lets a strike be held is known of no board here. With a clock
    that cannot be trusted nobody knows whether the time is over, and orders alone open doors.
    """
    if now.quality is ClockQuality.UNTRUSTED:
        return False
    modes = in_force(records)
    return any(modes.get(room) == "open" for room in door.rooms)


async def keep(tx: Tx, before: Mapping[str, ModeRecord], after: Records | None) -> None:
    """Write what changed, with its events; None: nothing did."""
    if after is None:
        return
    for body in changes(before, after):
        await tx.event(EventKind.MODE, body)
    await tx.put(KEPT_AS, as_json(after))


def as_json(records: Mapping[str, ModeRecord]) -> dict[str, Any]:
    """For the journal."""
    return {room: asdict(record) for room, record in records.items()}


def from_json(kept: Mapping[str, Any]) -> Records:
    """From the journal."""
    return {room: ModeRecord(**record) for room, record in kept.items()}
