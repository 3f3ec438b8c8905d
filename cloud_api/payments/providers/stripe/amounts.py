"""Our amounts and Stripe's: ours are hundredths of the currency's unit, Stripe's its smallest unit.

A currency without a smaller unit (JPY) is told in whole units: to send our 5000 as it stands would
charge a hundred times the price. Source: https://docs.stripe.com/currencies, "zero-decimal" and
"three-decimal currencies", and its special cases ISK and UGX.
"""

from __future__ import annotations

from typing import Final

ZERO_DECIMAL: Final = frozenset(
    [
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ]
)
THREE_DECIMAL: Final = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
WHOLE_ONLY: Final = frozenset({"isk", "ugx"})  # told in hundredths, but never with a fraction


class NotRepresentable(ValueError):
    """The currency has no such amount."""


def to_stripe(hundredths: int, currency: str) -> int:
    """Stripe's amount. Raises NotRepresentable."""
    if currency in ZERO_DECIMAL | WHOLE_ONLY and hundredths % 100:
        raise NotRepresentable(f"{currency.upper()} has no fractions: {hundredths / 100:.2f}")
    if currency in ZERO_DECIMAL:
        return hundredths // 100
    return hundredths * 10 if currency in THREE_DECIMAL else hundredths


def from_stripe(amount: int, currency: str) -> int:
    """Hundredths again. Raises NotRepresentable for a thousandth that is none of ours."""
    if currency in ZERO_DECIMAL:
        return amount * 100
    if currency in THREE_DECIMAL:
        if amount % 10:
            raise NotRepresentable(f"{amount} thousandths of {currency.upper()}")
        return amount // 10
    return amount
