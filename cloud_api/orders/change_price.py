"""What an order's own time costs, and what of it goes back to who leaves early."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from cloud_api.orders.models import OrderLine
from cloud_api.pricing.lines import TIMED


def sum_of(lines: Iterable[dict[str, Any]]) -> int:
    """What lines come to, in fen."""
    return sum(int(line["amount_fen"]) for line in lines)


def timed_fen(lines: Iterable[OrderLine]) -> int:
    """What an order's own time costs, in fen."""
    return sum(line.amount_fen for line in lines if line.kind in TIMED)


def unused_fen(lines: Sequence[OrderLine], since: datetime, per_cent: int) -> int:
    """What of an order's hourly time after ``since`` goes back, in fen, rounded down.

    Slots and packages are sold whole. What was taken off the order is taken off in proportion.
    """
    part = 0
    for line in lines:
        if line.kind != "room_time" or "from" not in line.detail:
            continue
        begin, end = _instant(line.detail["from"]), _instant(line.detail["to"])
        left = (end - max(begin, since)).total_seconds()
        if left > 0:
            part += int(line.amount_fen * left // (end - begin).total_seconds())
    whole = timed_fen(lines)
    if whole <= 0:
        return 0
    total = sum(line.amount_fen for line in lines if line.kind in TIMED or line.amount_fen < 0)
    return max(0, part * max(0, total) * per_cent // (whole * 100))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
