"""Is somebody still in the room? One pure function: what the devices show in, a verdict with reasons out.

The verdict decides what a guest may be charged for, so doubt speaks for the guest: nothing known is
no proof, a sensor that sees nobody overrules everything else, and what can have an innocent cause
counts only while that cause is ruled out.

- A presence sensor sees people themselves. Where one answers, nothing else is asked; while one is silent for
  a moment (the store was just started, a reading is late), nothing else speaks in its place.
- Power drawn beyond the room's resting draw shows that a device is in use, but only while every
  device that the store switches is known to be off: else the draw may be its own.
- A door contact on the room's only door: opened since the end of paid time and shut again, somebody
  left. Seen to open when the guests came in and never since, they must still be inside. Opened in between,
  it cannot tell, and says nothing: they may have left before their time was over. Not even seen to open when
  they came, it says nothing either: nobody went in, or the contact is stuck, or nobody watched it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

RESTING_W = 30.0  # chargers, standby supplies and an extractor may run on in an empty room


class Sign(StrEnum):
    """What spoke for or against somebody being inside; stable words, kept with the usage."""

    PRESENCE = "presence"  # a sensor sees somebody
    NOBODY = "nobody"  # a sensor answers, and sees nobody
    POWER = "power"  # more is drawn than an empty room draws
    NO_POWER = "no_power"  # measured, and no more than that
    DOOR_SHUT = "door_shut"  # not opened once since the guests came in
    DOOR_USED = "door_used"  # opened since the end and shut again


@dataclass(frozen=True, slots=True)
class Signs:
    """What a room's devices show at one moment. None: nothing there tells, or not believably.

    ``drawn_w`` watts of the room's own meters; ``switched`` whether any device that the store
    switches has power; ``door_open`` as it stands now; ``opened_in``, ``opened_end``: whether the
    door was opened since the guests had come in, and since the end of paid time (None also where the
    contact was not readable throughout, ``opened_in`` where it never showed them coming). ``silent``: a
    presence sensor is there that will answer in a moment.
    """

    presence: bool | None = None
    drawn_w: float | None = None
    switched: bool | None = None
    door_open: bool | None = None
    opened_in: bool | None = None
    opened_end: bool | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """``taken``: somebody is inside (True), nobody is (False), or it cannot be said (None)."""

    taken: bool | None = None
    reasons: tuple[Sign, ...] = ()
    pending: bool = False  # a sensor will tell, or a meter once what the store switches is off


def judge(signs: Signs, resting_w: float = RESTING_W) -> Verdict:
    """Whether the room is taken, and by which signs. ``resting_w``: what it draws when empty."""
    if signs.presence is not None:
        found = Sign.PRESENCE if signs.presence else Sign.NOBODY
        return Verdict(signs.presence, (found,))
    if signs.silent:
        return Verdict(None, (), pending=True)
    door = _door(signs)
    power = _power(signs, resting_w)
    reasons = tuple(sign for sign in (power, door) if sign is not None)
    if door is Sign.DOOR_USED:
        return Verdict(False, reasons)  # a lamp left on is no guest
    if signs.opened_end and signs.door_open is None:
        return Verdict(
            None, reasons
        )  # somebody left: were the door known to be shut, it would say so
    if power is Sign.POWER or door is Sign.DOOR_SHUT:
        return Verdict(True, reasons)
    return Verdict(None, reasons, signs.drawn_w is not None and signs.switched is not False)


def _power(signs: Signs, resting_w: float) -> Sign | None:
    if signs.drawn_w is None or signs.switched is not False:
        return None
    return Sign.POWER if signs.drawn_w > resting_w else Sign.NO_POWER


def _door(signs: Signs) -> Sign | None:
    if signs.door_open is not False:
        return None  # it stands open, or nobody knows: people come and go
    if signs.opened_end:
        return Sign.DOOR_USED
    return Sign.DOOR_SHUT if signs.opened_in is False else None
