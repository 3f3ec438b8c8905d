"""Whether somebody is still in the room: doubt speaks for the guest, and one sign explains each verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.occupancy import RESTING_W, Sign, Signs, judge

MAYBE = st.sampled_from([None, True, False])
WATTS = st.one_of(st.none(), st.floats(0, 5000))
ANY = st.builds(Signs, MAYBE, WATTS, MAYBE, MAYBE, MAYBE, MAYBE, st.booleans())
BLIND = ANY.map(lambda signs: replace(signs, presence=None))


@given(ANY)
def test_a_sensor_that_answers_decides_alone(signs: Signs) -> None:
    found = judge(signs)
    if signs.presence is not None:
        assert found.taken is signs.presence
        assert len(found.reasons) == 1


@given(ANY)
def test_every_verdict_has_a_reason_that_speaks_for_it(signs: Signs) -> None:
    found = judge(signs)
    inside = {Sign.PRESENCE, Sign.POWER, Sign.DOOR_SHUT}
    gone = {Sign.NOBODY, Sign.DOOR_USED}
    if found.taken is True:
        assert inside & set(found.reasons)
        assert not gone & set(found.reasons)
    if found.taken is False:
        assert gone & set(found.reasons)
    assert found.taken is None or not found.pending


@given(BLIND)
def test_power_proves_nothing_while_a_device_of_the_store_may_draw_it(signs: Signs) -> None:
    for switched in (True, None):
        assert Sign.POWER not in judge(replace(signs, switched=switched)).reasons


@given(BLIND)
def test_who_may_have_left_is_not_held_inside_by_a_lamp(signs: Signs) -> None:
    left = replace(signs, door_open=False, opened_end=True)
    assert judge(left).taken is (None if signs.silent else False)


@given(BLIND, st.sampled_from([True, None]))
def test_a_door_that_was_or_may_have_been_used_between_holds_nobody_inside(
    signs: Signs, opened: bool | None
) -> None:
    cannot_tell = replace(signs, opened_in=opened, drawn_w=None)
    assert judge(cannot_tell).taken is not True


@given(ANY)
def test_less_known_never_makes_a_guest_pay_more(signs: Signs) -> None:
    """Blanking the sensors one after another: out of "nobody" or "not known" grows no "taken" but
    where presence itself, which overruled the rest, fell silent.
    """
    if judge(signs).taken is not True:
        less = (
            replace(signs, drawn_w=None),
            replace(signs, switched=None),
            replace(signs, door_open=None),
            replace(signs, opened_in=None),
        )
        assert all(judge(one).taken is not True for one in less)


@given(BLIND)
def test_nothing_speaks_in_the_place_of_a_sensor_that_will_answer(signs: Signs) -> None:
    assert judge(replace(signs, silent=True)).taken is None
    assert judge(replace(signs, silent=True)).pending


def test_a_contact_that_fell_silent_makes_nobody_pay() -> None:
    """Seen: guests left after the end, then the contact's board went away; a lamp that drew 31 W was
    taken for them and charged. What a shut door would have ruled out, an unreadable one does not prove.
    """
    left = Signs(drawn_w=31.0, switched=False, door_open=False, opened_end=True)
    assert judge(left).taken is False
    assert judge(replace(left, door_open=None)).taken is None


def test_nothing_known_is_no_verdict() -> None:
    assert judge(Signs()).taken is None
    assert judge(Signs()).reasons == ()


@pytest.mark.parametrize(
    ("signs", "taken", "reasons"),
    [
        (Signs(drawn_w=400.0, switched=False), True, {Sign.POWER}),
        (Signs(drawn_w=RESTING_W, switched=False), None, {Sign.NO_POWER}),
        (Signs(door_open=False, opened_in=False, opened_end=False), True, {Sign.DOOR_SHUT}),
        (Signs(door_open=False, opened_in=True, opened_end=True), False, {Sign.DOOR_USED}),
        (Signs(door_open=True, opened_in=False, opened_end=False), None, set()),
        (Signs(presence=False, drawn_w=400.0, switched=False), False, {Sign.NOBODY}),
    ],
)
def test_rooms_as_they_are(signs: Signs, taken: bool | None, reasons: set[Sign]) -> None:
    found = judge(signs)
    assert found.taken is taken
    assert set(found.reasons) == reasons


def test_the_rules_can_fail() -> None:
    """The control: with a resting draw of nothing any standby supply would be a guest."""
    standby = Signs(drawn_w=4.0, switched=False)
    assert judge(standby, resting_w=0.0).taken is True
    assert judge(standby).taken is None
