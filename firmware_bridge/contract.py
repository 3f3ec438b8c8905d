"""What the controller may ask of hardware: capabilities, outcomes and readings. No registers here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Literal, Protocol


class Capability(StrEnum):
    """The closed set of things a device can do or tell."""

    LOCK_PULSE = "lock.pulse"
    LOCK_STATE = "lock.state"
    DOOR_CONTACT = "door.contact"
    SWITCH_SET = "switch.set"
    POWER_W = "power.w"
    ENERGY_WH = "energy.wh"
    CLIMATE_SET = "climate.set"
    INPUT_CODE = "input.code"
    INPUT_CARD = "input.card"
    SPEAKER_SAY = "speaker.say"
    LIGHT_SCENE = "light.scene"
    PRESENCE = "presence"
    HAZARD = "hazard"


class Priority(IntEnum):
    """Order on a bus; lower runs first."""

    UNLOCK = 0
    SWITCH = 1
    CONFIRM = 2
    POLL = 3


class OutcomeState(StrEnum):
    """How an act on a device ended."""

    DONE = "done"  # the device said so
    FAILED = "failed"  # it certainly did not happen
    EXPIRED = "expired"  # the deadline passed before a byte was sent
    UNKNOWN = "unknown"  # bytes were sent, the device's answer is missing or wrong


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an act. ``evidence`` holds frames (hex), times in ms and what was confirmed."""

    state: OutcomeState
    reason: (
        Literal["device_offline", "device_error", "bad_request", "deadline", "no_answer"] | None
    ) = None
    detail: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """The last good value of a point and whether it may be believed now."""

    value: bool | int | float | str | None
    quality: Literal["ok", "stale", "fault", "never"]
    read_at: float | None  # WireClock.monotonic() of the last good read


@dataclass(frozen=True, slots=True)
class Aim:
    """What an air conditioner is told: °C, how it runs, how fast it blows. None: as it is.

    ``mode``: cool, heat, dry, fan, auto; ``fan``: auto, low, mid, high; as far as its profile knows them.
    """

    setpoint: int | None = None
    mode: str | None = None
    fan: str | None = None


@dataclass(frozen=True, slots=True)
class Air:
    """What an air conditioner says of itself. ``modes`` and ``fans`` are the words it can be told.

    A value of None is one that is not known, or none of our words.
    """

    setpoint: Reading
    mode: Reading
    fan: Reading
    modes: tuple[str, ...] = ()
    fans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BoardConfig:
    """One device: profile id, port name, install-time params (``unit_id`` …)."""

    id: str
    profile: str
    port: str
    params: Mapping[str, int | float | str | bool] = field(default_factory=dict)


Away = Literal["", "no_port", "silent", "garbled", "wrong_board", "two_boards"]
"""Why a board is not online, for people: they read words for it, in their own language."""

AWAY_BY: Mapping[str, Away] = {
    "port_gone": "no_port",
    "no_answer": "silent",
    "bad_frame": "garbled",
    "refused": "wrong_board",
}
"""By what became of the last question."""


@dataclass(frozen=True, slots=True)
class BoardState:
    """Whether a board answers, and whether it is the model it should be."""

    state: Literal["online", "offline", "refused", "starting"]
    detail: str = ""  # for engineers, in English
    why: Away = ""


@dataclass(frozen=True, slots=True)
class BoardEvent:
    """Something a device said unasked: a code was scanned. ``value`` opens doors: never log it."""

    board: str
    name: str  # as the profile calls it
    capability: Capability | None  # that it serves
    value: str = field(repr=False)


class Bridge(Protocol):
    """The controller's view of all boards of a store. All methods are called on one event loop.

    Implemented by ``firmware_bridge.bridge.FirmwareBridge(ports, clock=…)`` where ``ports`` maps a
    port name to a device path, e.g. ``{"rs485-1": "/dev/serial/by-id/…"}``.
    """

    async def start(self) -> None:
        """Open ports and begin identifying and polling. Missing ports are retried, not raised."""
        ...

    async def stop(self) -> None:
        """Stop owner threads within 2 s; sends nothing to any board."""
        ...

    async def configure(self, boards: list[BoardConfig]) -> None:
        """Make the set of boards be ``boards``; unchanged ones keep their state.

        Raises ProfileError for an unknown profile or bad params, and then changes nothing.
        """
        ...

    async def pulse(
        self,
        board: str,
        channel: int | None,
        duration_ms: int,
        deadline_s: float,
        answered: Callable[[Outcome], None] | None = None,
        *,
        release: bool = False,
    ) -> Outcome:
        """One ``lock.pulse``. At most one frame is ever sent, and none after ``deadline_s`` from now.

        ``answered`` hears the outcome as soon as the board said that it is done, before it is read
        back; what is read back is evidence in the outcome returned, and changes nothing of it.
        ``release`` is for a fire: where two boards obey one number, both may open.
        """
        ...

    async def switch(self, board: str, channel: int | None, on: bool, deadline_s: float) -> Outcome:
        """Assert a level (``switch.set``) and confirm it by reading back. May be asserted again."""
        ...

    async def climate(
        self, board: str, channel: int | None, aim: Aim, deadline_s: float
    ) -> Outcome:
        """Set an air conditioner (``climate.set``) and confirm it by reading back, as ``switch``.

        The mode goes first, since many units choose a temperature of their own with it. Where a part is
        not taken the rest is not sent, and that outcome is the one returned.
        """
        ...

    def air(self, board: str, channel: int | None) -> Air:
        """What an air conditioner says and can be told, as last read; no I/O."""
        ...

    async def read_air(self, board: str, channel: int | None, deadline_s: float) -> Air:
        """The same, read now from the device as by ``read``."""
        ...

    async def read(
        self, board: str, capability: Capability, channel: int | None, deadline_s: float
    ) -> Reading:
        """Read now from the device (retried within the deadline); never served from the cache."""
        ...

    def reading(self, board: str, capability: Capability, channel: int | None) -> Reading:
        """The polled value; no I/O."""
        ...

    def board_state(self, board: str) -> BoardState:
        """State of a board; no I/O."""
        ...

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call ``listener(board_id)`` on the event loop when a state or a polled value changed."""
        ...

    def on_event(self, listener: Callable[[BoardEvent], None]) -> None:
        """Call ``listener(event)`` on the event loop when a device said something unasked."""
        ...

    async def say(self, board: str, clip: str, deadline_s: float) -> Outcome:
        """Play a clip of the profile's closed list (``speaker.say``). Sent at most once."""
        ...
