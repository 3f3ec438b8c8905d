"""What several pages share: states, the page's frame, strips, fees, devices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cloud_api.branding.looks import KAIMEN, Look


class SpanState(StrEnum):
    """What a stretch of a room's day is, as customers may know it."""

    FREE = "free"
    HELD = "held"
    BOOKED = "booked"
    IN_USE = "in_use"
    CLEANING = "cleaning"
    CLOSED = "closed"


class StepState(StrEnum):
    """A step of something that takes several: a payment, the store's answer."""

    WAIT = "wait"
    NOW = "now"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


class DeviceState(StrEnum):
    """How sure we are about a device. ``OK`` means the store reported it and the report is fresh."""

    OK = "ok"
    PENDING = "pending"
    FAILED = "failed"
    UNKNOWN = "unknown"
    STALE = "stale"


class StayPhase(StrEnum):
    RUNNING = "running"
    GRACE = "grace"
    OVERTIME = "overtime"
    ENDED = "ended"


@dataclass(frozen=True)
class Shell:
    """What every page carries around its content.

    ``now`` is the business clock's instant at rendering: scripts add what has passed since, so demo
    and tests that advance the clock need no other code. ``events_href`` is the SSE feed or ``""``.
    """

    now: datetime
    csrf: str
    lang: str = "zh-Hans"
    theme: str = ""
    """``light``, ``dark`` or empty for the system's wish."""
    person: str = ""
    """Masked phone of the customer or name of the member of staff; empty when nobody is logged in."""
    events_href: str = ""
    stay_href: str = ""
    """Where the raised door tab goes: the running stay or the next booking's door, else the scanner's help."""
    look: Look = KAIMEN
    """Whose name, logo and colour the page has."""
    own_app: bool = False
    """Whether this merchant's app is another than the installation's: several share the server."""
    mini_script: str = ""
    """WeChat's script, where its mini-program shows the page; empty everywhere else."""


@dataclass(frozen=True)
class Span:
    starts_at: datetime
    ends_at: datetime
    state: SpanState


@dataclass(frozen=True)
class Segment:
    """A piece of a strip or bar in per cent of its width; ``key`` picks the colour."""

    x: float
    width: float
    key: str


@dataclass(frozen=True)
class Strip:
    """A day strip: from ``starts_at`` to ``ends_at``, drawn by the ``strip`` macro."""

    starts_at: datetime
    ends_at: datetime
    now: datetime
    spans: tuple[Span, ...] = ()

    def place(self, at: datetime) -> float:
        """Where an instant lies, in per cent from the left, cut off at both ends."""
        whole = (self.ends_at - self.starts_at).total_seconds()
        part = (at - self.starts_at).total_seconds()
        return round(min(100.0, max(0.0, 100.0 * part / whole)), 3) if whole > 0 else 0.0

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The spans, cut to the strip."""
        cut = []
        for span in self.spans:
            left, right = self.place(span.starts_at), self.place(span.ends_at)
            if right > left:
                cut.append(Segment(left, round(right - left, 3), span.state.value))
        return tuple(cut)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Every second even hour that leaves room for the word 现在 at the left and the edge at the right."""
        tick = self.starts_at.replace(minute=0, second=0, microsecond=0)
        found = []
        while tick < self.ends_at:
            place = self.place(tick)
            if tick.hour % 2 == 0 and 16 <= place <= 97:
                found.append((place, str(tick.hour)))
            tick += timedelta(hours=1)
        return tuple(found)


@dataclass(frozen=True)
class FeeLine:
    """One line of a quote or an order. ``key`` 0, 1, 2 is the tariff's step from cheap to dear."""

    text: str
    amount_fen: int
    minutes: int = 0
    key: int = 0


@dataclass(frozen=True)
class Fees:
    lines: tuple[FeeLine, ...]
    total_fen: int
    before_fen: int | None = None
    """What it would cost without what was taken off; struck through beside the total."""

    @property
    def bar(self) -> tuple[Segment, ...]:
        """The price bar: a piece for each timed line, widths by minutes."""
        timed = [line for line in self.lines if line.minutes > 0]
        whole = sum(line.minutes for line in timed)
        pieces, x = [], 0.0
        for line in timed:
            width = 100.0 * line.minutes / whole
            pieces.append(Segment(round(x, 3), round(width, 3), str(line.key)))
            x += width
        return tuple(pieces)


@dataclass(frozen=True)
class Chip:
    """One of several; ``on``: the store reports that it is this one."""

    key: str
    text: str
    on: bool


@dataclass(frozen=True)
class Device:
    """``icon`` is of the sprite; ``kind`` says what the control may be.

    ``switch``, ``climate`` (``number`` within ``low`` and ``high``, and ``modes`` and ``fans`` where it has
    any), ``speaker`` (``clips``: key and words), or ``view``. ``clear_href`` ends what staff hold now.
    """

    id: str
    name: str
    icon: str
    kind: str
    on: bool | None
    state: DeviceState
    word: str
    set_href: str = ""
    number: int | None = None
    low: int = 0
    high: int = 0
    clips: tuple[tuple[str, str], ...] = ()
    clear_href: str = ""
    modes: tuple[Chip, ...] = ()
    fans: tuple[Chip, ...] = ()


@dataclass(frozen=True)
class Way:
    """A second way on from a door: a link or a phone number (``tel:``)."""

    icon: str
    text: str
    href: str


@dataclass(frozen=True)
class LoginPage:
    """``next_href`` is checked by the route to be a path of this site."""

    next_href: str = "/"
    phone: str = ""
    reason: str = ""
    code_url: str = "/api/v1/auth/code"
    login_url: str = "/api/v1/auth/login"
    line: str = ""
    outside: str = ""
    """The app that the browser is in, where people can log in by it: 微信."""
    outside_href: str = ""
    failed: bool = False
    """It has been tried, and did not say who it is."""


@dataclass(frozen=True)
class ErrorPage:
    """``code`` is a short number for the store, not the machine's code. ``safe`` says what is not lost."""

    status: int
    headline: str
    line: str = ""
    safe: str = ""
    main: Way | None = None
    code: str = ""
    phone: str = ""


@dataclass(frozen=True)
class SharePicture:
    """The picture of a shared link, with its size in pixels. ``script``: WeChat's own, where it is used."""

    url: str
    width: int
    height: int
    script: str = ""


NO_PICTURE = SharePicture("", 0, 0)
