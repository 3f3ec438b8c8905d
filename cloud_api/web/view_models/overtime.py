"""The owner's rule for time beyond the paid end, as a form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OvertimeRuleForm:
    """One store's rule; ``example`` says what 19 minutes cost by it."""

    store_name: str
    action: str
    mode: str
    free_minutes: int
    unit_minutes: int
    unit_fen: int
    per_cent: int
    cap_fen: int | None
    resting_w: int
    example: str


@dataclass(frozen=True)
class OvertimeRulesPage:
    rules: tuple[OvertimeRuleForm, ...]
