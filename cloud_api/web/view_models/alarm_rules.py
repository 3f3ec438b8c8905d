"""How each kind of alarm behaves, in words, and the form that changes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RuleRow:
    """A kind in words; ``later`` says who hears of it when nobody acknowledged it, a line each."""

    kind: str
    name: str
    tone: str
    state: str
    raised: str
    first: str
    later: tuple[str, ...]
    own: bool
    href: str


@dataclass(frozen=True)
class AlarmRulesPage:
    """Every kind; ``quiet`` is what quiet hours mean for alarms."""

    rows: tuple[RuleRow, ...]
    quiet: str
    may_edit: bool


@dataclass(frozen=True)
class StepRow:
    """A line of the form; ``to`` is empty on one that is free."""

    to: str
    after_min: int | None
    channels: tuple[str, ...]


@dataclass(frozen=True)
class AlarmRuleForm:
    """One kind's form. ``default`` is our rule as the API takes it, to go back to."""

    kind: str
    name: str
    enabled: bool
    severity: str
    severities: tuple[tuple[str, str], ...]
    raise_after_s: int
    spans: tuple[tuple[int, str], ...]
    limit: str
    threshold: str
    steps: tuple[StepRow, ...]
    people: tuple[tuple[str, str], ...]
    channels: tuple[tuple[str, str, str], ...]
    quiet: str
    own: bool
    default: str
