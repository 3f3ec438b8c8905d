"""What every payment provider is to us: seven calls, and answers that may say "we do not know".

No call raises for a network failure, a time-out, a 5xx or an answer with a bad signature: each of
them is UNKNOWN, because the money may have moved. Only a definite, verified answer is anything else.
Numbers are ours, written to the database before the call and used again on every retry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, Final, Protocol

import httpx

from store_link.clock import Clock


class Money(StrEnum):
    """What a provider says of a payment."""

    PENDING = "pending"  # known there, nobody has paid
    SUCCEEDED = "succeeded"
    CLOSED = "closed"  # can never be paid any more
    FAILED = "failed"  # refused; this number will never be paid
    ABSENT = "absent"  # the provider has never heard of the number
    UNKNOWN = "unknown"  # no verified answer


class Back(StrEnum):
    """What a provider says of a refund."""

    SUBMITTED = "submitted"  # accepted, on its way
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # refused for good; another try needs another number
    ABNORMAL = "abnormal"  # stuck: somebody must look (a dead card, an empty account)
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Channel(StrEnum):
    """Where the payer is, and so what the page has to show."""

    PAGE = "page"  # the provider's own page, on any device
    WAP = "wap"  # the provider's page or app, from a phone's browser
    H5 = "h5"  # WeChat Pay from a phone's browser outside WeChat
    JSAPI = "jsapi"  # inside WeChat, in an official account's page
    MINI = "mini"  # inside a WeChat mini-program
    NATIVE = "native"  # a WeChat code on one screen, scanned with another
    QR = "qr"  # any other provider's code on one screen, scanned with another


class StepKind(StrEnum):
    """What a page does with a Step."""

    REDIRECT = "redirect"  # go to ``url``
    FORM = "form"  # post ``fields`` to ``url``
    QR = "qr"  # show ``text`` as a QR code
    JSAPI = "jsapi"  # hand ``fields`` to WeixinJSBridge (or wx.requestPayment)


@dataclass(frozen=True, slots=True)
class Step:
    """What the payer's page does next. ``until`` is wire time: later, ask for another (``create``)."""

    kind: StepKind
    url: str = ""
    text: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    until: datetime | None = None

    def stored(self) -> dict[str, Any]:
        """As JSON, for the attempt's row and for the page."""
        shown: dict[str, Any] = {"kind": self.kind.value}
        shown |= {name: getattr(self, name) for name in ("url", "text") if getattr(self, name)}
        if self.fields:
            shown["fields"] = dict(self.fields)
        if self.until is not None:
            shown["until"] = self.until.isoformat()
        return shown


@dataclass(frozen=True, slots=True)
class Payer:
    """What some channels must know of who pays: JSAPI and MINI an openid, H5 an address.

    ``known`` are openids by app, for whoever does not know yet which app will ask; it is not kept.
    """

    openid: str = ""
    ip: str = ""
    known: Mapping[str, str] = field(default_factory=dict, repr=False)

    def kept(self) -> dict[str, str]:
        """What is stored with an attempt."""
        return {"openid": self.openid, "ip": self.ip}


@dataclass(frozen=True, slots=True)
class PaymentRef:
    """A payment as our books have it: what a provider may need to find it again.

    ``opened_at`` is business time, the same at every call; ``expires_at`` wire time: the last moment
    at which it can be paid, for providers that cannot close.
    """

    number: str
    amount_fen: int
    opened_at: datetime
    provider_txn: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A payment to be made. ``expires_at`` is wire time: the last moment at which it can be paid."""

    number: str
    amount_fen: int
    subject: str  # what for, as the payer reads it
    merchant_name: str
    expires_at: datetime
    notify_url: str
    return_url: str
    opened_at: datetime  # business time, the same at every call
    channel: Channel = Channel.PAGE
    payer: Payer = Payer()


@dataclass(frozen=True, slots=True)
class RefundAsk:
    """Money to be given back, out of one payment. ``asked_at`` is business time."""

    number: str
    payment: PaymentRef
    amount_fen: int
    reason: str
    notify_url: str
    asked_at: datetime
    provider_refund: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentView:
    """A payment as the provider has it. ``amount_fen`` is what was really paid, ``at`` when."""

    state: Money
    number: str
    amount_fen: int | None = None
    provider_txn: str | None = None
    step: Step | None = None
    at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund as the provider has it. ``payment_number`` is ours, where the provider names it."""

    state: Back
    number: str
    amount_fen: int | None = None
    provider_refund: str | None = None
    payment_number: str | None = None
    at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified notification: one fact about a payment or a refund. ``event_id`` names the message.

    ``about`` None: genuine, and of something that is nothing to us; it is answered and forgotten.
    ``body`` is kept: no payer's name, no card, no key.
    """

    event_id: str
    about: PaymentView | RefundView | None
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        """``payment`` or ``refund``."""
        return "refund" if isinstance(self.about, RefundView) else "payment"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider is answered, in its own way."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"


class BadNotification(Exception):
    """A notification that is not the provider's: wrong signature, stale, or of another account."""


class ProbeNotification(BadNotification):
    """A wrong signature that the provider sent on purpose, to see whether we look. No attack."""


class UnknownKey(BadNotification):
    """Signed with a key that we do not have (yet): look for new ones, it will be sent again."""


class BillState(StrEnum):
    """What a provider says when asked for a day's bill."""

    READY = "ready"  # ``lines`` are all of it, also where there are none
    NOT_YET = "not_yet"  # being made: ask later
    NONE = "none"  # this provider has no bills
    UNKNOWN = "unknown"  # no verified answer


@dataclass(frozen=True, slots=True)
class BillLine:
    """One movement of a bill: a payment, or a refund (``amount_fen`` is positive for both)."""

    kind: str  # payment | refund
    number: str  # ours; of a refund made in the provider's own console the provider's
    payment_number: str  # ours, of the payment
    amount_fen: int
    at: datetime | None = None
    provider_no: str = ""  # theirs, of this movement
    fee_fen: int = 0  # what the provider keeps (of a refund: gives back), as it says
    state: str = "succeeded"  # or submitted, failed: of refunds that are not through


@dataclass(frozen=True, slots=True)
class BillView:
    """A day's bill. ``digest`` names the file, so that the same file again is known."""

    state: BillState
    lines: tuple[BillLine, ...] = ()
    digest: str = ""
    detail: str = ""


NO_BILLS: Final = BillView(BillState.NONE)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a provider is made with, beside its account's credentials.

    ``keys``: public keys by serial, as ``fetch_keys`` gave them the last time.
    """

    http: httpx.AsyncClient
    clock: Clock  # wire time
    keys: Mapping[str, str] = field(default_factory=dict)


class PaymentProvider(Protocol):
    """A merchant's account at one provider; made per account by the kind's ``make`` in PROVIDERS."""

    async def create(self, ask: Ask) -> PaymentView:
        """Open a payment; the same number again gives the same payment (and a fresh step)."""
        ...

    async def query(self, payment: PaymentRef) -> PaymentView:
        """Where a payment stands."""
        ...

    async def close(self, payment: PaymentRef) -> PaymentView:
        """Make sure that it can never be paid: CLOSED, or SUCCEEDED if it was paid before."""
        ...

    async def refund(self, ask: RefundAsk) -> RefundView:
        """Give money back; the same number again gives the same refund."""
        ...

    async def query_refund(self, ask: RefundAsk) -> RefundView:
        """Where a refund stands."""
        ...

    def parse_notification(self, headers: Mapping[str, str], raw: bytes, path: str) -> Notice:
        """Verify the exact bytes and read them; calls nobody. Raises BadNotification."""
        ...

    def notification_reply(self, taken: bool) -> Reply:
        """What tells the provider that we have it, or (not ``taken``) that it was not accepted."""
        ...

    async def fetch_bill(self, day: date) -> BillView:
        """All that moved on a day of the provider's calendar."""
        ...

    async def fetch_keys(self) -> Mapping[str, str]:
        """The public keys in use now, by serial; empty where there are none to fetch, or no answer."""
        ...


@dataclass(frozen=True, slots=True)
class BillHours:
    """When a day's bill may be asked for: from ``ready`` local time of the next day on."""

    ready: time
    zone: str = "Asia/Shanghai"
