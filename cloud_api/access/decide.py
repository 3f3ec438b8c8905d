"""What a door answers to a person, as a pure function: who they are, what they booked, what is so now.

The order of the questions is the order of this file. Every border of time is half open: a window
``[opens, ends)`` begins at its first second and is over at its end, to the very second.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

NEAR = timedelta(hours=24)  # a booking further away does not explain why somebody stands here
LATELY = timedelta(hours=2)  # so long a stay that ended is still what the door talks about

_PAID = frozenset({"paid", "ready", "in_use"})


class Case(StrEnum):
    """The door's answers; each has a page of its own (docs: UI, door)."""

    LOGIN = "login"
    READY = "ready"
    EARLY = "early"
    OTHER_ROOM = "other_room"
    NONE_FREE = "none_free"
    NONE_TAKEN = "none_taken"
    UNPAID = "unpaid"
    STORE_OFFLINE = "store_offline"
    LOCK_DEAD = "lock_dead"
    ENDED = "ended"
    CLEANING = "cleaning"
    MAINTENANCE = "maintenance"
    OPEN = "open"  # staff set a room behind this door to be open to anybody


class RoomNow(StrEnum):
    """What a room is at this moment."""

    FREE = "free"
    TAKEN = "taken"
    CLEANING = "cleaning"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """One of the person's orders in this store. Instants are business time.

    ``opens_at`` is from when the door opens for it; ``ends_at`` its end, earlier if it was finished.
    """

    order_id: str
    room_id: str
    status: str
    opens_at: datetime
    starts_at: datetime
    ends_at: datetime
    hold_expires_at: datetime

    def unpaid(self, now: datetime) -> bool:
        """Held, and the hold runs."""
        return self.status == "pending_payment" and now < self.hold_expires_at

    def window(self, now: datetime) -> bool:
        """Whether its time is now."""
        return self.opens_at <= now < self.ends_at

    def over(self, now: datetime) -> bool:
        """Whether it was used up, by time or by leaving early."""
        return self.status == "completed" or (self.status in _PAID and now >= self.ends_at)


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the answer depends on. ``rooms`` are those of this door, with what they are now."""

    now: datetime
    logged_in: bool
    rooms: dict[str, RoomNow]
    bookings: tuple[OwnOrder, ...] = ()
    store_online: bool = True
    lock_dead: bool = False
    open_to_all: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. ``booking`` is what it speaks of; ``can_unlock`` whether a tap sends a command.

    With a dead lock one may tap: if we are wrong about it the door opens, else the store says why not.
    """

    case: Case
    booking: OwnOrder | None = None

    @property
    def can_unlock(self) -> bool:
        """Only with a right to enter now, and a way to the lock."""
        return self.case in (Case.READY, Case.LOCK_DEAD, Case.OPEN)


def decide(at: Situation) -> Decision:
    """The door's answer; never opens anything."""
    if not at.logged_in:
        return Decision(Case.LOGIN)
    entering = _entering(at)
    if at.open_to_all and at.store_online and (entering is None or not entering.can_unlock):
        return Decision(Case.OPEN)
    return entering or _coming(at) or _gone(at) or _nobodys(at)


def _entering(at: Situation) -> Decision | None:
    """A paid booking whose time is now, at this door or another."""
    current = [b for b in at.bookings if b.status in _PAID and b.window(at.now)]
    here = _soonest([b for b in current if b.room_id in at.rooms], at.now)
    if here is None:
        elsewhere = _soonest(current, at.now)
        unpaid_here = any(
            b.room_id in at.rooms and b.unpaid(at.now) and b.window(at.now) for b in at.bookings
        )
        if elsewhere is None or unpaid_here:
            return None
        return Decision(Case.OTHER_ROOM, elsewhere)
    # In maintenance only those stay welcome who are in already: their things are inside.
    if at.rooms[here.room_id] is RoomNow.MAINTENANCE and here.status != "in_use":
        return Decision(Case.MAINTENANCE, here)
    if not at.store_online:
        return Decision(Case.STORE_OFFLINE, here)
    return Decision(Case.LOCK_DEAD if at.lock_dead else Case.READY, here)


def _coming(at: Situation) -> Decision | None:
    """The nearest booking that is not over: too early, not paid, or of another room."""
    soon = [
        b
        for b in at.bookings
        if (b.status in _PAID or b.unpaid(at.now))
        and at.now < b.ends_at
        and b.opens_at - at.now < NEAR
    ]
    # At the same distance the one for this door counts, and of those a paid one.
    nearest = min(
        soon,
        key=lambda b: (
            max(b.opens_at, at.now),
            b.room_id not in at.rooms,
            b.status not in _PAID,
            b.order_id,
        ),
        default=None,
    )
    if nearest is None:
        return None
    if nearest.room_id not in at.rooms:
        return Decision(Case.OTHER_ROOM, nearest)
    if nearest.status not in _PAID:
        return Decision(Case.UNPAID, nearest)
    return Decision(Case.EARLY, nearest)


def _gone(at: Situation) -> Decision | None:
    """A booking at this door that ended a short while ago."""
    ended = [
        b
        for b in at.bookings
        if b.room_id in at.rooms and b.over(at.now) and at.now - b.ends_at < LATELY
    ]
    last = max(ended, key=lambda b: (b.ends_at, b.order_id), default=None)
    return None if last is None else Decision(Case.ENDED, last)


def _nobodys(at: Situation) -> Decision:
    """No booking of theirs explains it: what is the room?"""
    states = set(at.rooms.values())
    if RoomNow.FREE in states:
        return Decision(Case.NONE_FREE)
    if states == {RoomNow.MAINTENANCE}:
        return Decision(Case.MAINTENANCE)
    if RoomNow.CLEANING in states and RoomNow.TAKEN not in states:
        return Decision(Case.CLEANING)
    return Decision(Case.NONE_TAKEN)


def _soonest(bookings: list[OwnOrder], now: datetime) -> OwnOrder | None:
    """Of several whose time is now, the one that began, else the one that begins first."""
    return min(
        bookings,
        key=lambda b: (b.status != "in_use", abs(b.starts_at - now), b.order_id),
        default=None,
    )
