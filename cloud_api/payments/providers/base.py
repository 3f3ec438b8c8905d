"""What every payment provider is to us: six calls, and answers that may say "we do not know".

No call raises for a network failure, a time-out, a 5xx or an answer with a bad signature: each of
them is UNKNOWN, because the money may have moved. Only a definite, verified answer is anything else.
Numbers are ours, written to the database before the call and used again on every retry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


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
    channel: str = "page"


@dataclass(frozen=True, slots=True)
class PaymentView:
    """A payment as the provider has it. ``amount_fen`` is what was really paid."""

    state: Money
    number: str
    amount_fen: int | None = None
    provider_txn: str | None = None
    redirect_url: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund as the provider has it."""

    state: Back
    number: str
    amount_fen: int | None = None
    provider_refund: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified notification: one fact about a payment or a refund. ``event_id`` names the message."""

    event_id: str
    about: PaymentView | RefundView
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        """``payment`` or ``refund``."""
        return "payment" if isinstance(self.about, PaymentView) else "refund"


class BadNotification(Exception):
    """A notification that is not the provider's: wrong signature, stale, or of another account."""


class PaymentProvider(Protocol):
    """A merchant's account at one provider; made per account by the factory in PROVIDERS."""

    async def create(self, ask: Ask) -> PaymentView:
        """Open a payment; the same number again gives the same payment."""
        ...

    async def query(self, number: str) -> PaymentView:
        """Where a payment stands."""
        ...

    async def close(self, number: str) -> PaymentView:
        """Make sure that it can never be paid: CLOSED, or SUCCEEDED if it was paid before."""
        ...

    async def refund(
        self, *, number: str, payment_number: str, amount_fen: int, reason: str, notify_url: str
    ) -> RefundView:
        """Give money back; the same number again gives the same refund."""
        ...

    async def query_refund(self, number: str) -> RefundView:
        """Where a refund stands."""
        ...

    def parse_notification(self, headers: Mapping[str, str], raw: bytes, path: str) -> Notice:
        """Verify the exact bytes and read them. Raises BadNotification."""
        ...

    def notification_answer(self) -> dict[str, Any]:
        """The JSON that tells the provider not to send this again."""
        ...
