"""Vouchers that a platform sold: whole, verified (once each), taken back while that is allowed, refunded."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

State = Literal["whole", "used", "refunded"]


@dataclass(frozen=True, slots=True)
class Deal:
    """One deal on the shelf. Money in fen. ``shops``: where it may be used; none: everywhere."""

    id: str
    title: str
    price_fen: int
    face_fen: int
    shops: frozenset[str] = frozenset()


@dataclass(slots=True)
class Verification:
    """One verification, and whether it was taken back. Times are seconds since the epoch."""

    id: str
    code: str
    shop: str
    by: str
    at: float
    cancelled_at: float = 0.0


@dataclass(slots=True)
class Voucher:
    """One voucher that somebody bought. ``link`` is behind its QR."""

    code: str
    certificate: str
    order: str
    deal: Deal
    secret: str
    link: str
    until: float
    state: State = "whole"
    verification: Verification | None = None


class Refused(Exception):
    """What a platform says no to: a word of ours that each simulator puts into its own."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(slots=True)
class Shelf:
    """The books of one platform. ``window_s``: how long a verification may be taken back."""

    now: Callable[[], float]
    digits: int
    window_s: float
    deals: dict[str, Deal] = field(default_factory=dict)
    vouchers: dict[str, Voucher] = field(default_factory=dict)
    log: list[Verification] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put_up(self, deal: Deal) -> Deal:
        """Put a deal on the shelf."""
        self.deals[deal.id] = deal
        return deal

    def sell(self, deal_id: str, *, code: str = "", days: float = 90) -> Voucher:
        """Somebody buys one. ``days`` below zero: it has expired."""
        with self._lock:
            made = Voucher(
                code=code or str(1 + secrets.randbelow(9)) + _digits(self.digits - 1),
                certificate=_digits(19),
                order=_digits(19),
                deal=self.deals[deal_id],
                secret=secrets.token_urlsafe(24),
                link=secrets.token_urlsafe(9),
                until=self.now() + days * 86400,
            )
            self.vouchers[made.code] = made
            return made

    def by(self, name: str, value: str) -> Voucher | None:
        """A voucher by its code, secret, link or certificate."""
        return next((v for v in self.vouchers.values() if getattr(v, name) == value), None)

    def look(self, voucher: Voucher | None, shop: str) -> Voucher:
        """One that may be verified in ``shop`` now. Raises Refused."""
        if voucher is None:
            raise Refused("unknown")
        if voucher.state != "whole":
            raise Refused(voucher.state)
        if voucher.until < self.now():
            raise Refused("expired")
        if voucher.deal.shops and shop not in voucher.deal.shops:
            raise Refused("other_shop")
        return voucher

    def verify(self, voucher: Voucher | None, shop: str, by: str) -> Verification:
        """Use it. Raises Refused."""
        with self._lock:
            found = self.look(voucher, shop)
            made = Verification(_digits(19), found.code, shop, by, self.now())
            found.state, found.verification = "used", made
            self.log.append(made)
            return made

    def cancel(self, voucher: Voucher | None, by: str | None = None) -> Verification:
        """Take a verification back; ``by``: only one's own. Raises Refused."""
        with self._lock:
            if voucher is None or voucher.verification is None or voucher.state != "used":
                raise Refused("not_used")
            made = voucher.verification
            if by is not None and made.by != by:
                raise Refused("not_yours")
            if self.now() - made.at > self.window_s:
                raise Refused("too_late")
            made.cancelled_at = self.now()
            voucher.state, voucher.verification = "whole", None
            return made

    def refund(self, code: str) -> None:
        """Its buyer gets the money back: it can no longer be used."""
        self.vouchers[code].state = "refunded"

    def between(self, first: float, last: float, shops: Sequence[str]) -> list[Verification]:
        """Verifications of these shops within these times, oldest first."""
        return [v for v in self.log if first <= v.at <= last and (not shops or v.shop in shops)]


def _digits(count: int) -> str:
    return "".join(str(secrets.randbelow(10)) for _ in range(count))
