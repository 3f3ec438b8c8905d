"""The part of ``desired`` that says how a store behaves: scenes, schedules, words, entry, staff's ways in.

All of it has a default that means what stores did before the field was there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from store_link.shapes import Id, Message, Millis

Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]  # local "HH:MM"
LocalDate = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]

# ------------------------------------------------------------------------------------------- scenes


class SceneStep(Message):
    """What a binding's role should be in a phase of a stay."""

    role: Literal["table", "light", "ac", "fan", "other"]
    on: bool


AirMode = Literal["cool", "heat", "dry", "fan", "auto"]
AirFan = Literal["auto", "low", "mid", "high"]
MonthDay = Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]


def _known_of(words: Any) -> Callable[[Any], Any]:
    """Of a word that a newer cloud has learnt: none that this store acts by; the rest still counts."""
    return lambda value: value if not isinstance(value, str) or value in get_args(words) else None


class AirAim(Message):
    """What an air conditioner is told: °C, how it runs, how fast it blows; None: as it is."""

    setpoint: Annotated[int, Field(ge=5, le=40)] | None = None
    mode: AirMode | None = None
    fan: AirFan | None = None

    @property
    def empty(self) -> bool:
        """Whether it asks for nothing."""
        return self.setpoint is None and self.mode is None and self.fan is None


class AirRule(AirAim):
    """What the air conditioners of a room are set to when ``phase`` begins, once: a guest chooses freely.

    ``stay``: when they go on for a stay; ``cleaning``: when staff set the room to it. On local dates from
    ``begins`` to ``ends``, both of them too, over the new year where it ends first; always without them.
    """

    mode: Annotated[AirMode | None, BeforeValidator(_known_of(AirMode))] = None
    fan: Annotated[AirFan | None, BeforeValidator(_known_of(AirFan))] = None
    phase: Literal["stay", "cleaning"] = "stay"
    begins: MonthDay | None = None
    ends: MonthDay | None = None

    def holds(self, day: str) -> bool:
        """Whether it is meant for ``day`` (``MM-DD``)."""
        if self.begins is None or self.ends is None:
            return True
        if self.begins <= self.ends:
            return self.begins <= day <= self.ends
        return day >= self.begins or day <= self.ends


class Scenes(Message):
    """What should be true per phase; a role that a phase does not name is off in it.

    ``arrival``: from when the door opens for a stay until somebody enters, so that a guest comes into
    light; ``after``: from the end of grace until the room is cleaned or the next stay opens, at most
    ``after_s``; ``cleaning``: while staff set the room to it, None: the light alone. ``air``: what air
    conditioners are set to, the first rule that holds.
    """

    in_use: tuple[SceneStep, ...]
    grace: tuple[SceneStep, ...]
    arrival: tuple[SceneStep, ...] = ()
    after: tuple[SceneStep, ...] = ()
    after_s: Annotated[int, Field(ge=0, le=86_400)] = 0
    cleaning: tuple[SceneStep, ...] | None = None
    air: Annotated[tuple[AirRule, ...], Field(max_length=12)] = ()


# ---------------------------------------------------------------------------------------- schedules

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"]


class ScheduleSpan(Message):
    """On ``days`` from one local time to another; over midnight where it ends before it begins, the
    whole day where both are the same. The day is the one on which the span begins.
    """

    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=8)]
    begins: Clock
    ends: Clock


class Schedule(Message):
    """Bindings that are on by the time of day. A room that needs one of them keeps it on all the same.

    A day off (``Desired.days``) is a ``holiday`` to a schedule that names holidays, and its own day of
    the week to one that does not.
    """

    id: Id
    bindings: Annotated[tuple[Id, ...], Field(max_length=64)]
    spans: Annotated[tuple[ScheduleSpan, ...], Field(max_length=32)]


class CalendarDay(Message):
    """A local date that is not what its day of the week says: a day off, or a weekend worked."""

    date: LocalDate
    kind: Literal["holiday", "workday"]


# ------------------------------------------------------------------------------------------- voices


class VoiceRules(Message):
    """What speakers say by themselves. ``minutes_left`` before the end of paid time; ``ended`` at it.

    Between ``quiet_from`` and ``quiet_until`` (local time) a speaker that serves several rooms says
    nothing by itself; a room's own goes on, and whoever has words spoken by hand is obeyed.
    """

    minutes_left: Annotated[tuple[Literal[30, 15, 5], ...], Field(max_length=3)] = (30, 15, 5)
    welcome: bool = False
    ended: bool = False
    quiet_from: Clock | None = None
    quiet_until: Clock | None = None


# -------------------------------------------------------------------------------------------- entry


class EntryRules(Message):
    """How often a grant may open a door by itself, whether by pass, by PIN or from the phone.

    ``again_after_s``: not again within so many seconds of having opened one, so that a picture handed
    to the next in the queue opens nothing. ``most``: entries of one grant in all; 0 is no limit.
    ``vouchers``: the cloud takes vouchers that are held before a reader (event ``voucher``).
    """

    again_after_s: Annotated[int, Field(ge=0, le=3600)] = 0
    most: Annotated[int, Field(ge=0, le=255)] = 0
    vouchers: bool = False


class StaffKey(Message):
    """A card or a code of a member of staff, as what it verifies to (passes.staff_hmac).

    ``begins``, ``ends``: local time of day in which it opens, over midnight where it ends first;
    without them at any time. What is no longer listed opens nothing.
    """

    staff: Id
    kind: Literal["card", "code"]
    hmac: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    doors: tuple[Id, ...] | None = None  # None: every door
    until: Millis | None = None  # business time
    begins: Clock | None = None
    ends: Clock | None = None
