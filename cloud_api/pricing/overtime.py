"""What time beyond the paid end costs, by the store's rule: one pure function, in integer fen.

The measured seconds begin after the store's grace already; only whole minutes count, so the guest has
the benefit of a started one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OFF: Final = "off"  # measured and shown, not charged
PER_UNIT: Final = "per_unit"  # a price in fen for each begun unit
PER_CENT: Final = "per_cent"  # each begun unit costs so many per cent of its share of an hour
MODES: Final = (OFF, PER_UNIT, PER_CENT)


@dataclass(frozen=True, slots=True)
class OvertimeRule:
    """A store's rule. Minutes are elapsed time; ``cap_fen`` None: no limit."""

    mode: str = OFF
    free_minutes: int = 0  # not charged, also of longer overtime
    unit_minutes: int = 15
    unit_fen: int = 0
    per_cent: int = 100
    cap_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """The price and how it came about. ``capped``: it would have been more."""

    minutes: int
    free_minutes: int
    units: int
    unit_minutes: int
    unit_fen: int
    amount_fen: int
    capped: bool


def price(rule: OvertimeRule, seconds: int, hourly_fen: int) -> Priced:
    """The price of ``seconds`` of overtime; ``hourly_fen`` is what the guest's last hour cost."""
    minutes = max(0, seconds) // 60
    free = min(minutes, rule.free_minutes)
    unit_fen = _unit_fen(rule, hourly_fen)
    units = 0 if rule.mode == OFF else -(-(minutes - free) // rule.unit_minutes)
    full = units * unit_fen
    amount = full if rule.cap_fen is None else min(full, rule.cap_fen)
    return Priced(minutes, free, units, rule.unit_minutes, unit_fen, amount, amount < full)


def _unit_fen(rule: OvertimeRule, hourly_fen: int) -> int:
    if rule.mode == PER_UNIT:
        return rule.unit_fen
    if rule.mode == PER_CENT:  # half a fen is rounded up
        return (2 * hourly_fen * rule.per_cent * rule.unit_minutes + 6000) // 12000
    return 0
