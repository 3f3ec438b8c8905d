"""Money is an integer number of fen; floats never touch it."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def times(fen: int, numerator: int, denominator: int) -> int:
    """``fen * numerator / denominator``, rounded half up to a whole fen, without a float."""
    if denominator <= 0:
        raise ValueError("denominator must be positive")
    exact = Decimal(fen) * numerator / denominator
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def yuan(fen: int) -> str:
    """``¥152`` for whole yuan, ``¥152.50`` where fen matter, ``−¥5`` for what goes back."""
    sign = "−" if fen < 0 else ""
    whole, rest = divmod(abs(fen), 100)
    return f"{sign}¥{whole:,}" if rest == 0 else f"{sign}¥{whole:,}.{rest:02d}"
