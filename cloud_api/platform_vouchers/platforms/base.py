"""The port to every platform that sells our vouchers: prepare, verify, cancel, query, records.

An adapter answers what the platform said and what could not be found out; what follows from it is
decided above. No call is made inside a transaction, and every one has a time-out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import httpx
from pydantic import BaseModel

from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from store_link.clock import Clock

TIMEOUT_S: Final = 6.0
ZONE: Final = ZoneInfo("Asia/Shanghai")  # the platforms' days


class Answer(StrEnum):
    """What a platform says of a voucher. UNUSED: certainly not verified; UNKNOWN: it may be."""

    VERIFIED = "verified"
    REFUSED = "refused"
    UNUSED = "unused"
    UNKNOWN = "unknown"


class Back(StrEnum):
    """How taking a verification back ended."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Coupon:
    """One voucher that may be verified. ``key`` names it at the platform; ``secret`` verifies it."""

    key: str
    deal: str
    title: str
    paid_fen: int | None = None
    face_fen: int | None = None
    until: datetime | None = None
    secret: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The vouchers behind a code; ``token`` belongs to one verification."""

    coupons: tuple[Coupon, ...]
    token: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """One verification, as it was written down before the call. ``number`` is ours, for idempotency."""

    number: str
    place: str
    code: str
    secret: str
    token: str
    deal: str
    sent_at: datetime | None = None  # of the first try, wire time
    again: bool = False  # it was sent before, and the answer did not come
    receipt: str = ""
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What a platform said of a verification. ``detail`` is for people."""

    answer: Answer
    receipt: str = ""
    certificate: str = ""
    paid_fen: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BackView:
    """What a platform said of taking a verification back."""

    answer: Back
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the platform's own list of verifications."""

    receipt: str
    deal: str
    title: str
    paid_fen: int | None
    at: datetime | None
    cancelled: bool = False
    place: str = ""


class Platform(Protocol):
    """A merchant's access to one platform."""

    async def prepare(self, text: str, place: str) -> Prepared:
        """The vouchers behind a typed or scanned text. Raises KaimenError ``platform.*``."""
        ...

    async def verify(self, ask: Ask) -> View:
        """Verify one. The same ``ask`` again is the same verification."""
        ...

    async def query(self, ask: Ask) -> View:
        """Whether it was verified; by us, as far as the platform tells."""
        ...

    async def cancel(self, ask: Ask) -> BackView:
        """Take a verification back."""
        ...

    async def records(self, day: date, place: str) -> tuple[Record, ...] | None:
        """A local day's verifications in one place; None where the platform has no such list."""
        ...

    async def check(self) -> str:
        """``""`` if the platform lets us in, else what is wrong, in words."""
        ...


@dataclass(frozen=True, slots=True)
class Around:
    """What an adapter is made with. ``token(fetch, old)`` keeps a lent token for all processes."""

    http: httpx.AsyncClient
    clock: Clock  # wire time
    token: Callable[[Callable[[], Awaitable[tuple[str, float]]], str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of access and how it is set up. ``family``: whose vouchers these are.

    ``lengths`` are those of typed codes; ``window_s`` how long a verification may be taken back, None
    where it may not. ``place`` is what our stores are called there; empty where the access is one store's.
    """

    name: str
    family: str
    label: str  # as guests read it
    credentials: type[BaseModel]
    make: Callable[[Any, Around], Platform] | None  # None: by hand
    guide: str = ""
    secret: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    place: str = ""
    lengths: tuple[int, int] = (6, 20)
    window_s: int | None = None
    has_records: bool = True


class Silent(Exception):
    """No answer that says anything: a time-out, a 5xx, a body that is none. What was asked may be done."""


def fen_of_yuan(value: object) -> int | None:
    """Yuan as platforms write them (58, 58.0, "58.00") in fen; None for nothing or no number."""
    if value in (None, ""):
        return None
    try:
        return int((Decimal(str(value)) * 100).quantize(Decimal(1), ROUND_HALF_UP))
    except (InvalidOperation, ValueError):
        return None


def local_instant(text: object) -> datetime | None:
    """``2026-11-22 10:00:00`` in Beijing, or milliseconds since the epoch, as an instant."""
    if isinstance(text, int | float):
        return datetime.fromtimestamp(text / 1000, ZONE)
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE)
    except ValueError:
        return None


def bad_code(label: str, lengths: tuple[int, int]) -> KaimenError:
    """422: what was typed is no code of this platform."""
    low, high = lengths
    size = f"{low}" if low == high else f"{low}–{high}"
    return KaimenError(
        "platform.bad_code",
        _("{label}券码是 {size} 位数字，请再看一眼").format(label=label, size=size),
        status=422,
        field="code",
    )


def no_voucher(label: str, detail: str = "") -> Conflict:
    """409: the platform has nothing to verify behind this code."""
    more = _("（{label}说：{detail}）").format(label=label, detail=detail) if detail else ""
    return Conflict(
        "platform.not_usable",
        _("{label}说这张券现在不能用：可能用过、退过或不是这家店的").format(label=label) + more,
    )


def silent(label: str) -> KaimenError:
    """503: the platform does not answer; nothing happened."""
    return KaimenError(
        "platform.silent",
        _("{label}暂时没有回话，券没有动，过一会儿再试").format(label=label),
        status=503,
    )


def locked_out(label: str) -> KaimenError:
    """503: the platform does not let the store in."""
    return KaimenError(
        "platform.locked_out",
        _("{label}不让门店登录，券没有动，请联系店家").format(label=label),
        status=503,
    )
