"""Which part of a balance pays: gift first, paid first, or in proportion. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

RULES: Final = {"gift_first": "先用赠送", "paid_first": "先用本金", "in_proportion": "按比例"}


class Parts(NamedTuple):
    """Fen out of the paid and out of the given part."""

    paid: int
    gift: int


def split(rule: str, paid_fen: int, gift_fen: int, amount_fen: int) -> Parts:
    """How ``amount_fen`` is taken. Raises ValueError where there is less than that."""
    total = paid_fen + gift_fen
    if not 0 <= amount_fen <= total:
        raise ValueError(f"{amount_fen} of {total}")
    if rule == "paid_first":
        paid = min(paid_fen, amount_fen)
    elif rule == "in_proportion":
        paid = amount_fen * paid_fen // total if total else 0
        paid = max(paid, amount_fen - gift_fen)
    else:
        paid = max(0, amount_fen - gift_fen)
    return Parts(paid, amount_fen - paid)
