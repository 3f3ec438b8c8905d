"""Every message between cloud and store, as a closed pydantic model: the contract of the wire.

All instants are integer milliseconds since the Unix epoch (UTC). Fields named ``*_at``, ``starts``,
``ends``, ``opens`` are business time; ``iat``, ``exp``, ``sent_at`` are wire time (see clock.py).
Unknown fields are ignored, so that a newer side may add some; a missing field is an error.
What is signed are the exact bytes of the JSON (see signing.py), never a re-serialised model.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from store_link.rules import (
    AirAim,
    AirFan,
    AirMode,
    CalendarDay,
    EntryRules,
    Scenes,
    Schedule,
    StaffKey,
    VoiceRules,
)
from store_link.shapes import Id, Message, Millis

WIRE_VERSION: Final = 1


class Versioned(Message):
    """A message that stands alone on a topic."""

    v: Literal[1] = WIRE_VERSION
    store: Id


# ---------------------------------------------------------------- desired (cloud -> store, retained)


class Board(Message):
    """One physical device on a port: which profile, where it is wired."""

    id: Id
    profile: Id  # e.g. "waveshare.modbus-rtu-relay-8ch"
    port: str  # a name of the store's own port map, e.g. "rs485-1"; never a path
    params: dict[str, int | float | str | bool] = Field(
        default={}
    )  # install-time values, e.g. {"unit_id": 1}


Role = Literal[
    "lock",
    "table",
    "light",
    "ac",
    "fan",
    "door_contact",
    "presence",
    "reader",  # of codes; nothing can be typed on it
    "keypad",  # of codes as well, and PINs can be typed
    "meter",
    "speaker",
    "main",  # what feeds a room's other devices: on while any of them is needed
    "other",
]


def _known_role(value: Any) -> Any:
    """A role that a newer cloud has learnt is none that this store acts by; the rest still counts."""
    return value if not isinstance(value, str) or value in get_args(Role) else "other"


class Binding(Message):
    """One use of a board: a capability at a channel, with its meaning in the store."""

    id: Id
    board: Id
    capability: Id  # closed set, firmware_bridge.contract.Capability
    channel: int | None = None
    role: Annotated[Role, BeforeValidator(_known_role)]
    rooms: tuple[Id, ...]  # rooms it serves; several = shared, counted
    # Seconds of a device's own: on before a stay starts (a room that is warm), and on after its use
    # ends instead of with the grace scene (a fan that airs the room). None: as the scenes say.
    lead_s: Annotated[int, Field(ge=0, le=7200)] | None = None
    linger_s: Annotated[int, Field(ge=0, le=7200)] | None = None


RoomMode = Literal["normal", "open", "cleaning", "maintenance"]
"""``open``: the door opens for anybody who asks, power on. ``cleaning``: light on. ``maintenance``: no
power of its own. What a paid stay needs stands above all of them."""


def _known_mode(value: Any) -> Any:
    """A mode that a newer cloud has learnt is none that this store acts by."""
    return value if not isinstance(value, str) or value in get_args(RoomMode) else "normal"


class Room(Message):
    """A room and the minutes around a stay, in seconds."""

    id: Id
    index: Annotated[int, Field(ge=0, le=63)]  # its bit in a pass
    lead_s: Annotated[int, Field(ge=0, le=7200)]  # door opens so long before a stay starts
    grace_s: Annotated[int, Field(ge=0, le=7200)]  # power stays so long after its end
    overtime_cap_s: Annotated[int, Field(ge=0, le=86400)] = 7200  # measured no longer than this
    resting_w: Annotated[int, Field(ge=0, le=100_000)] = 30  # drawn while empty and switched off
    mode: Annotated[RoomMode, BeforeValidator(_known_mode)] = "normal"
    mode_until: Millis | None = None  # business time; None = until the document says otherwise
    # In overtime: power off and measured, or left on, without a break, while somebody is inside.
    overtime: Literal["cut", "keep"] = "cut"
    scenes: Scenes | None = None  # its own, in the place of the store's


class Door(Message):
    """A door; the rooms whose guests may open it (one room, or all for an entrance)."""

    id: Id
    lock: Id  # binding with capability lock.pulse
    rooms: tuple[Id, ...]
    pulse_ms: Annotated[int, Field(ge=500, le=10_000)] = 1000
    contact: Id | None = None  # binding with capability door.contact
    reader: Id | None = None  # binding with capability input.code: passes and PINs are heard there
    cards: Id | None = None  # binding with capability input.card: staff's cards are heard there


class Stay(Message):
    """A paid use of a room. No name, no phone: the store does not need them."""

    id: Id  # the claim's id
    room: Id
    starts: Millis
    ends: Millis
    opens: Millis  # from when the door opens for it (starts - lead, but not into another's time)
    grace_s: Annotated[int, Field(ge=0, le=7200)]
    grant: Id  # what a pass or an unlock command must carry
    finished: bool = False  # the guest or staff ended it early


class PinVerifier(Message):
    """HMAC-SHA256 (hex) of a booking's 6-digit PIN under the store's MAC key; see passes.py."""

    grant: Id
    hmac: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PublicKey(Message):
    """An Ed25519 public key (hex) and the one purpose it may be used for."""

    kid: Id
    purpose: Literal["desired", "command", "pass"]
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Desired(Versioned):
    """Everything the store must do later. Applied if (epoch, rev) is newer than the applied one."""

    epoch: Annotated[int, Field(ge=1)]  # rises when a cloud is restored from a backup
    rev: Annotated[int, Field(ge=1)]
    sent_at: Millis
    tz: str  # IANA name
    rooms: tuple[Room, ...] = ()
    doors: tuple[Door, ...] = ()
    boards: tuple[Board, ...] = ()
    bindings: tuple[Binding, ...] = ()
    stays: tuple[Stay, ...] = ()  # of the next 48 h, and those not yet ended
    pins: tuple[PinVerifier, ...] = ()
    revoked: tuple[Id, ...] = ()  # grants
    keys: tuple[PublicKey, ...] = ()
    scenes: Scenes = Scenes(in_use=(), grace=())
    schedules: tuple[Schedule, ...] = ()
    days: tuple[CalendarDay, ...] = ()  # of the coming months: schedules go on without a cloud
    voice: VoiceRules = VoiceRules()
    entry: EntryRules = EntryRules()
    staff: tuple[StaffKey, ...] = ()


# ------------------------------------------------------------------ command and its acknowledgements


class Action(StrEnum):
    """What a command may ask for."""

    UNLOCK = "unlock"  # target = door; args: UnlockArgs
    SET = "set"  # target = binding; args: SetArgs
    CLEAR = "clear"  # target = binding: end an override; args: {}
    FINISH = "finish"  # target = stay: end it now; args: {}
    CLIMATE = "climate"  # target = binding with climate.set; args: ClimateArgs; CLEAR ends it
    SAY = "say"  # target = binding with speaker.say; args: SayArgs
    DIAGNOSE = (
        "diagnose"  # target = store: send a diagnostics bundle over HTTPS; args: DiagnoseArgs
    )


class UnlockArgs(Message):
    """Who may enter: a guest with a grant, or staff (no grant) with a reason in ``Command.why``."""

    grant: Id | None = None


class SetArgs(Message):
    """An override by staff: switch a binding and hold it so for ``for_s`` seconds."""

    on: bool
    for_s: Annotated[int, Field(ge=1, le=86400)]
    force: bool = False  # needed to switch off power under a paid stay


class ClimateArgs(AirAim):
    """Set an air conditioner for ``for_s`` seconds; then what was so before comes back, each part that
    nobody in the room has chosen otherwise meanwhile.

    A store whose program is older knows the temperature alone: it refuses what has none, and overlooks
    the rest. So mode and fan are sent only to a store that reports ``airs``.
    """

    for_s: Annotated[int, Field(ge=1, le=86400)]

    @model_validator(mode="after")
    def _something(self) -> ClimateArgs:
        if self.empty:
            raise ValueError("give a setpoint, a mode or a fan speed")
        return self


class SayArgs(Message):
    """Play a clip of the device's closed list, once."""

    clip: Id


class DiagnoseArgs(Message):
    """``bundle`` is the id under which the cloud expects it, ``consent`` who agreed that it is sent."""

    bundle: Id
    consent: Annotated[str, Field(min_length=1, max_length=128)]


class Command(Versioned):
    """An order for now. Refused if retained, expired, seen, badly signed, or of another connection."""

    id: Id  # ULID
    target: Id
    action: Action
    args: dict[str, Any] = Field(default={})
    iat: Millis
    exp: Millis
    nonce: Id  # of the store's present connection (Presence.nonce)
    by: str  # "customer:<id>" | "staff:<id>" | "system"
    why: str = ""
    reply_to: Id  # instance of the API process that waits: topic up/ack/{reply_to}


class AckState(StrEnum):
    """How far a command came. All but ACCEPTED are final."""

    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    DUPLICATE = "duplicate"  # carries the first outcome in ``evidence.first``
    REFUSED = "refused"
    UNKNOWN = "unknown"  # a pulse may or may not have happened; never tried again


class Reason(StrEnum):
    """Why a command or an entry was refused or failed; stable codes."""

    RETAINED = "retained"
    EXPIRED = "expired"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_KEY = "unknown_key"
    OTHER_STORE = "other_store"
    OTHER_CONNECTION = "other_connection"
    BAD_MESSAGE = "bad_message"
    UNKNOWN_TARGET = "unknown_target"
    NO_GRANT = "no_grant"  # no stay has this grant
    REVOKED = "revoked"
    TOO_EARLY = "too_early"
    OVER = "over"
    OTHER_ROOM = "other_room"
    USED_UP = "used_up"  # a pass with a limited number of uses, or a grant by the rules of entry
    USED_LATELY = "used_lately"  # the same grant opened a door only just now
    PULSE_RUNNING = "pulse_running"
    STAY_RUNNING = "stay_running"  # power off under a paid stay without force
    DEVICE_OFFLINE = "device_offline"
    DEVICE_ERROR = "device_error"
    CLOCK_UNTRUSTED = "clock_untrusted"
    PIN_NEEDED = "pin_needed"  # an old pass while the store is online: the PIN must be typed
    WRONG_PIN = "wrong_pin"
    TOO_MANY = "too_many"  # bad codes at this door: PINs are not tried for a while
    RESTARTED = "restarted"  # the controller stopped between write-ahead and outcome


class CommandAck(Versioned):
    """The store's answer to a command, with the device's evidence (frames, times, coil seen)."""

    id: Id  # of the command
    state: AckState
    reason: Reason | None = None
    at: Millis  # wire time
    took_ms: int | None = None  # since the command was received
    evidence: dict[str, Any] = Field(default={})


# ------------------------------------------------------------------------------------ events and ack


class ClockQuality(StrEnum):
    """How far the store's wall clock can be trusted."""

    SYNCED = "synced"
    HOLDOVER = "holdover"
    UNTRUSTED = "untrusted"


class EventKind(StrEnum):
    """Kinds of journaled facts. Bodies are documented at the models named in event_bodies."""

    BOOT = "boot"
    COMMAND = "command"  # CommandOutcome
    ACCESS = "access"  # AccessBody
    STAY = "stay"  # StayBody: a transition
    USAGE = "usage"  # UsageBody: once per stay, at its end
    DEVICE = "device"  # DeviceBody: online / offline / refused
    POWER = "power"  # PowerBody: a binding switched, by whom
    CLOCK_STEP = "clock_step"  # {"by_ms": int}
    MODE = "mode"  # ModeBody: a room's mode began or ended in the store
    CLIMATE = "climate"  # ClimateBody: a temperature was set, by whom
    VOUCHER = "voucher"  # VoucherBody: held before a reader; only to a cloud that takes them
    OVERRUN = "overrun"  # {"stay": id, "overrun_s": int}: power on longer than paid, and why


class Event(Message):
    """One journaled fact. ``seq`` is contiguous within ``journal`` and never restarts."""

    seq: Annotated[int, Field(ge=1)]
    id: Id  # ULID
    at: Millis  # business time
    clock: ClockQuality
    kind: EventKind
    body: dict[str, Any]
    historical: bool = False  # written while the link was down


class EventBatch(Versioned):
    """Up to 200 contiguous events.

    ``oldest`` is the lowest seq that the store still has: what lies before it was acknowledged once and
    cannot be asked for any more. A cloud that needs it takes the gap, and says so. Stores before this
    field leave it out, and clouds before it wait at a gap.
    """

    journal: Id  # made once per journal file
    events: Annotated[tuple[Event, ...], Field(min_length=1, max_length=200)]
    oldest: Annotated[int, Field(ge=1)] | None = None


class EventAck(Versioned):
    """The cloud committed all events of ``journal`` up to and including ``upto``.

    ``last`` is the id of event ``upto`` as the cloud has it: a store whose own event of that number bears
    another id is not the one that is meant (its card was copied), and lets go of nothing. Clouds before
    this field leave it out, as does one that no longer has the event.
    """

    journal: Id
    upto: Annotated[int, Field(ge=0)]
    last: Id | None = None


class CommandOutcome(Message):
    """Body of EventKind.COMMAND."""

    command: Id
    action: Action
    target: Id
    state: AckState
    reason: Reason | None = None
    evidence: dict[str, Any] = Field(default={})


class AccessBody(Message):
    """Body of EventKind.ACCESS: a door was pulsed for, or refused to, somebody."""

    door: Id
    by: Literal["command", "pass", "pin", "staff", "hazard"]
    grant: Id | None = None
    stay: Id | None = None
    command: Id | None = None
    outcome: AckState
    reason: Reason | None = None
    # Of a refused pass, PIN, card or code: 16 hex digits of a keyed hash, never the code itself.
    code: str | None = None
    staff: Id | None = None  # whose card or code it was, where it was one that is known
    how: Literal["card", "code"] | None = None  # with ``by`` "staff", at the door itself


class VoucherBody(Message):
    """Body of EventKind.VOUCHER: a request, worth nothing once it is old or the link was down.

    ``text`` is what the phone showed; it is signed by the cloud and good for two minutes.
    """

    door: Id
    text: Annotated[str, Field(max_length=120)]


class StayState(StrEnum):
    """The controller's states of a stay."""

    SCHEDULED = "scheduled"
    OPEN = "open"  # the door would open for it
    IN_USE = "in_use"
    GRACE = "grace"
    OVERTIME = "overtime"
    ENDED = "ended"


class StayBody(Message):
    """Body of EventKind.STAY."""

    stay: Id
    room: Id
    was: StayState
    now: StayState
    why: str  # "window", "unlock", "end", "grace_over", "finished", "vacated", "cap", "revoked"


OVERTIME_EVIDENCE: Final = ("presence", "power", "door", "signs", "overtime")
"""Keys of ``UsageBody.evidence``. The first three: [[ms, bool], …], each change as it was seen.
``signs``: [[ms, "presence" | "power+door_shut" | …], …] from the end of paid time on, what the verdict
rested on (words of controller.occupancy.Sign). ``overtime``: {"from": ms, "until": ms}, where there was
some: from the end of grace until the last sign of somebody. A reader ignores keys it does not know."""


class UsageBody(Message):
    """Body of EventKind.USAGE. Seconds are monotonic time, so a clock step changes none."""

    stay: Id
    room: Id
    entered_at: Millis | None  # first unlock; None = nobody came
    ended_at: Millis
    used_s: int  # from first unlock to the end of use
    power_on_s: int  # table power
    overtime_s: int  # after the paid end and grace, while evidence showed the room taken
    grace_used_s: int
    evidence: dict[str, Any]  # OVERTIME_EVIDENCE tells its keys
    energy_wh: int | None = None  # by the room's own meters, from the first unlock to the end


class DeviceBody(Message):
    """Body of EventKind.DEVICE."""

    board: Id
    state: Literal["online", "offline", "refused"]
    detail: str = ""  # for engineers, in English
    why: str = ""  # as reports.BoardReport.why


class PowerBody(Message):
    """Body of EventKind.POWER: a switched binding after the board confirmed it (or did not)."""

    binding: Id
    on: bool
    outcome: Literal["done", "failed", "unknown"]
    why: str  # "stay:<id>", "override:<command id>", "mode:<mode>", "no_stay", "restart"


class ModeBody(Message):
    """Body of EventKind.MODE."""

    room: Id
    was: RoomMode
    now: RoomMode
    why: Literal["desired", "over"]  # the document said so, or its time was over


class ClimateBody(Message):
    """Body of EventKind.CLIMATE: what the device confirmed (or did not).

    ``setpoint`` is always there, for a cloud that is older: the one aimed at, whether or not it was
    changed; 0 where nobody knows it. ``mode`` and ``fan`` are there where they were set.
    """

    binding: Id
    setpoint: int
    mode: AirMode | None = None
    fan: AirFan | None = None
    outcome: Literal["done", "failed", "unknown"]
    # "override:<command id>", "over:<command id>": back to what was before it, "stay:<id>",
    # "mode:cleaning": as the scene has it
    why: str
