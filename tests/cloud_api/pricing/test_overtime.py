"""What overtime costs: in whole fen, never more for less time, never above the limit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_api.pricing.overtime import MODES, OFF, PER_CENT, PER_UNIT, OvertimeRule, price

RULES = st.builds(
    OvertimeRule,
    mode=st.sampled_from(MODES),
    free_minutes=st.integers(0, 120),
    unit_minutes=st.integers(1, 120),
    unit_fen=st.integers(0, 100_000),
    per_cent=st.integers(1, 500),
    cap_fen=st.none() | st.integers(0, 1_000_000),
)
SECONDS = st.integers(0, 86_400)
HOURLY = st.integers(0, 100_000)


@given(RULES, SECONDS, HOURLY)
def test_the_price_is_what_its_explanation_says(
    rule: OvertimeRule, seconds: int, hourly: int
) -> None:
    told = price(rule, seconds, hourly)
    assert all(type(value) is int for value in (told.amount_fen, told.unit_fen, told.units))
    full = told.units * told.unit_fen
    assert told.amount_fen == (full if rule.cap_fen is None else min(full, rule.cap_fen))
    assert told.capped == (told.amount_fen < full)
    assert 0 <= told.free_minutes <= told.minutes == seconds // 60


@given(RULES, SECONDS, SECONDS, HOURLY)
def test_longer_never_costs_less(rule: OvertimeRule, one: int, other: int, hourly: int) -> None:
    shorter, longer = sorted((one, other))
    assert price(rule, shorter, hourly).amount_fen <= price(rule, longer, hourly).amount_fen


@given(RULES, SECONDS, HOURLY)
def test_units_cover_the_time_with_less_than_one_to_spare(
    rule: OvertimeRule, seconds: int, hourly: int
) -> None:
    told = price(rule, seconds, hourly)
    if rule.mode != OFF:
        charged = told.minutes - told.free_minutes
        assert 0 <= told.units * rule.unit_minutes - charged < rule.unit_minutes


@given(RULES, SECONDS, HOURLY)
def test_a_share_of_the_hour_is_rounded_by_half_a_fen_at_most(
    rule: OvertimeRule, seconds: int, hourly: int
) -> None:
    rule = replace(rule, mode=PER_CENT)
    exact_x6000 = hourly * rule.per_cent * rule.unit_minutes
    assert abs(price(rule, seconds, hourly).unit_fen * 6000 - exact_x6000) <= 3000


@given(RULES, SECONDS, HOURLY)
def test_off_costs_nothing(rule: OvertimeRule, seconds: int, hourly: int) -> None:
    assert price(replace(rule, mode=OFF), seconds, hourly).amount_fen == 0


@pytest.mark.parametrize(
    ("rule", "minutes", "fen"),
    [
        (OvertimeRule(PER_UNIT, 0, 15, 600), 19, 1200),  # two begun quarters
        (OvertimeRule(PER_UNIT, 5, 15, 600), 19, 600),  # five minutes free, one quarter begun
        (OvertimeRule(PER_UNIT, 5, 15, 600), 5, 0),
        (OvertimeRule(PER_UNIT, 0, 15, 600, cap_fen=3000), 119, 3000),
        (OvertimeRule(PER_CENT, 0, 15, per_cent=150), 16, 2 * 1425),  # of ¥38 an hour
    ],
)
def test_evenings_as_they_are(rule: OvertimeRule, minutes: int, fen: int) -> None:
    assert price(rule, minutes * 60 + 59, 3800).amount_fen == fen
