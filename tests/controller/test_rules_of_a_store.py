"""What a document may say beyond stays: scenes of a room, devices with a time of their own, schedules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import schedule
from controller.holds import OverrideRecord
from controller.plan import Mode, plan
from controller.stay import Evidence, StayRecord, advance, new, unlocked
from controller.timekeeper import Now
from store_link.clock import ms
from store_link.messages import ClockQuality, Desired, Stay, StayState
from store_link.rules import Schedule
from tests.controller.simulation import Simulation

SYNCED, UNTRUSTED = ClockQuality.SYNCED, ClockQuality.UNTRUSTED
SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = ms(datetime(2026, 11, 22, 4, tzinfo=UTC))  # a Sunday, twelve o'clock in Shanghai
ON = [{"role": role, "on": True} for role in ("table", "light", "ac")]
LIGHT = [{"role": "light", "on": True}]


def document(**changes: Any) -> Desired:
    def bind(key: str, role: str, *rooms: str, **more: Any) -> dict[str, Any]:
        plain = {"id": key, "board": "b", "capability": "switch.set", "channel": 1, "role": role}
        return {**plain, "rooms": rooms, **more}

    fields: dict[str, Any] = {
        "store": "s",
        "epoch": 1,
        "rev": 1,
        "sent_at": 0,
        "tz": "Asia/Shanghai",
        "rooms": [{"id": r, "index": i, "lead_s": 600, "grace_s": 300} for i, r in ROOMS],
        "bindings": [
            bind("table1", "table", "r1"),
            bind("light1", "light", "r1"),
            bind("table2", "table", "r2"),
            bind("ac", "ac", "r1", "r2", lead_s=900, linger_s=120),
            bind("fan1", "fan", "r1", linger_s=900),
            bind("main", "main", "r1", "r2"),
            bind("sign", "light"),
        ],
        "scenes": {"in_use": ON, "grace": ON},
    }
    return Desired.model_validate({**fields, **changes})


ROOMS = ((0, "r1"), (1, "r2"))


def now(line: float, quality: ClockQuality = SYNCED) -> Now:
    return Now(line=line, ms=NOON + round(line * 1000), quality=quality)


def booked(room: str = "r1", starts_s: int = 0, ends_s: int = 3600) -> Stay:
    at = {"starts": NOON + starts_s * 1000, "ends": NOON + ends_s * 1000}
    return Stay(id="a", room=room, opens=at["starts"] - 600_000, grace_s=300, grant="g", **at)


def wanted(desired: Desired, stays: list[StayRecord], at: Now, **over: Any) -> set[str]:
    found = plan(desired, stays, over.get("overrides", {}), Mode.RUN, at)
    return {key for key, want in found.items() if want.on}


def at_state(line: float, *, enter: float | None = 0.0, **changes: Any) -> StayRecord:
    """The stay of an hour from line 0, entered at ``enter``, as it is at ``line``."""
    paid = booked()
    stay = replace(new(paid, 7200, now(-1000)), **changes)
    for before in (-1000, -300, 0):
        stay = advance(stay, paid, now(before)).stay
    if enter is not None:
        stay = unlocked(stay, now(enter)).stay
    for tick in (3599.0, 3600.0, 3901.0, line):
        if tick <= line:
            stay = advance(stay, paid, now(tick)).stay
    return stay


def test_a_room_has_its_own_scenes_and_a_guest_comes_into_light():
    own = {"in_use": ON, "grace": LIGHT, "arrival": LIGHT, "after": LIGHT, "after_s": 600}
    rooms = [{"id": r, "index": i, "lead_s": 600, "grace_s": 300} for i, r in ROOMS]
    rooms[0]["scenes"] = own
    desired = document(rooms=rooms)
    coming = at_state(-300, enter=None)
    assert wanted(desired, [coming], now(-100)) == {"light1", "ac", "main"}
    assert wanted(document(), [coming], now(-100)) == {"ac", "main"}
    assert "table1" in wanted(desired, [at_state(60)], now(60))
    assert wanted(desired, [at_state(3610)], now(3610)) == {"light1", "ac", "fan1", "main"}
    over = at_state(3905)
    assert over.state is StayState.ENDED
    assert wanted(desired, [over], now(3905)) == {"light1", "fan1", "main"}
    assert wanted(desired, [over], now(4500.5)) == {"light1", "main"}  # the fan had 15 minutes
    assert wanted(desired, [over], now(4520)) == set()


def test_a_device_has_a_lead_and_a_time_of_its_own_after_the_end():
    coming = at_state(-1000, enter=None)
    assert wanted(document(), [coming], now(-901)) == set()
    assert wanted(document(), [coming], now(-899)) == {"ac", "main"}
    assert "ac" in wanted(document(), [at_state(3700)], now(3700))
    gone = wanted(document(), [at_state(3730)], now(3730))
    assert gone == {"table1", "light1", "fan1", "main"}  # in grace still, the air conditioner not


def test_the_main_breaker_follows_the_first_and_the_last_device_behind_it():
    assert "main" not in wanted(document(), [], now(0))
    lamp = OverrideRecord("light1", True, False, 0, 1e9, "c1")
    assert wanted(document(), [], now(0), overrides={"light1": lamp}) == {"light1", "main"}
    cut = OverrideRecord("main", False, False, 0, 1e9, "c2")
    inside = at_state(60)
    assert "main" in wanted(document(), [inside], now(60), overrides={"main": cut})
    assert "main" not in wanted(document(), [], now(60), overrides={"main": cut})
    # Where nobody knows better the breaker is left, like what hangs behind it.
    waiting = at_state(60, enter=None)
    assert plan(document(), [waiting], {}, Mode.RUN, now(60))["main"].on is None


def test_power_is_kept_through_overtime_without_a_break_where_the_room_says_so():
    paid, seen = booked(), Evidence(presence=True, power_on=True)
    for keep in (True, False):
        stay = replace(at_state(3599), keep=keep)
        levels = []
        for line in range(3590, 4300):
            taken = seen if line < 4100 else Evidence(presence=False)
            step = advance(stay, paid, now(line), taken)
            stay = step.stay
            levels.append("table1" in wanted(document(), [stay], now(line)))
            if step.usage is not None:
                assert step.usage.overtime_s == 199
        off = levels.index(False) + 3590
        assert not any(levels[off - 3590 :])  # once off it stays off
        assert off == (4159 if keep else 3900)
        assert stay.off_due == (4159 if keep else 3900)  # what an overrun is counted from


def test_guests_who_change_rooms_take_their_stay_along():
    """What the old room's meter and door showed must not be charged to the new one."""
    metered = Evidence(energy_wh=50_000.0, door_open=False, power_on=True)
    stay = advance(at_state(100), booked(), now(101), metered).stay
    stay = advance(stay, booked(), now(102), replace(metered, energy_wh=50_010.0)).stay
    moved = booked("r2")
    stay = advance(stay, moved, now(200), Evidence(energy_wh=9.0, door_open=False)).stay
    assert (stay.room, stay.former, stay.energy_wh, stay.opened_last) == ("r2", "r1", 10.0, None)
    stay = advance(stay, moved, now(201), Evidence(energy_wh=12.0)).stay
    assert stay.energy_wh == 13.0
    assert {"table1", "light1", "table2"} <= wanted(document(), [stay], now(201))
    assert "table2" in wanted(document(), [stay], now(501))
    assert "table1" not in wanted(document(), [stay], now(501))
    assert stay.state is StayState.IN_USE
    assert stay.due == 3600


@pytest.mark.parametrize("by_s", [-600, 0, 3 * 86_400])
def test_a_stay_that_nobody_used_and_that_is_listed_again_begins_at_its_time(by_s: int):
    """A booking moved beyond the days that the store is told of: it ended there as cancelled.

    When it was told of again it had power at once, for two days, where it had been moved to later; and
    where not, the door stayed shut for who had paid.
    """
    gone = advance(
        advance(new(booked(), 7200, now(-2000)), booked(), now(-1900)).stay, None, now(-1800)
    )
    assert (gone.stay.state, gone.transitions[-1].why) == (StayState.ENDED, "cancelled")
    again = booked(starts_s=max(by_s, 0), ends_s=3600 + by_s)
    back = advance(gone.stay, again, now(-1700))
    assert (back.stay.state, back.stay.due, back.stay.ended_at) == (StayState.SCHEDULED, None, None)
    assert [(one.was, one.why) for one in back.transitions] == [(StayState.ENDED, "listed")]
    assert wanted(document(), [back.stay], now(-1700)) == set()
    assert advance(back.stay, again, now(-1600), revoked=True).stay.state is StayState.ENDED
    opened = advance(back.stay, again, now(max(by_s, 0) + 1)).stay
    assert unlocked(opened, now(max(by_s, 0) + 2)).stay.state is StayState.IN_USE
    # One that somebody used, or whose time is over, does not begin again.
    assert advance(at_state(9999), booked(), now(9999)).stay.state is StayState.ENDED
    assert advance(gone.stay, booked(), now(3601)).stay.state is StayState.ENDED


def test_a_booking_that_was_moved_to_later_opens_no_door_before_its_new_time():
    """Its window had begun when the guest moved it to the next day: PIN and pass let them in all the same,
    into a room that was another's by then, with power until the end of the new time.
    """
    day = 86_400
    stay = advance(new(booked(), 7200, now(-1000)), booked(), now(-300)).stay
    assert stay.state is StayState.OPEN
    tomorrow = booked(starts_s=day, ends_s=day + 3600)
    step = advance(stay, tomorrow, now(-290))
    assert [(one.was, one.now, one.why) for one in step.transitions] == [
        (StayState.OPEN, StayState.SCHEDULED, "moved")
    ]
    assert unlocked(step.stay, now(-280)).transitions == ()
    assert advance(step.stay, tomorrow, now(day - 599)).stay.state is StayState.OPEN
    # A clock that is set back a little shuts nobody out, and power that went over stays.
    assert advance(stay, booked(), now(-601)).stay.state is StayState.OPEN
    assert advance(replace(stay, held=True), tomorrow, now(-290)).stay.state is StayState.OPEN


def test_a_store_keeps_power_through_a_room_change_in_the_simulation():
    store = Simulation()
    store.book("a", "r1", 0, 3600)
    store.run(5)
    assert store.unlock("a")
    store.paid["a"] = store.paid["a"].model_copy(update={"room": "r2"})
    store.truth["a"].room = "r2"
    store.tick()
    store.run(120)
    assert store.levels["t2"]
    assert not [wrong for wrong in store.broken() if "cut" in wrong]
    store.run(600)
    assert store.broken() == []
    assert not store.levels["t1"]


# ---------------------------------------------------------------------------------------- schedules


def spans(*given: tuple[str, str, str]) -> Schedule:
    plain = [{"days": days.split(), "begins": b, "ends": e} for days, b, e in given]
    return Schedule.model_validate({"id": "s1", "bindings": ["sign"], "spans": plain})


EVENINGS = spans(("mon tue wed thu fri sat sun", "17:30", "02:00"))
NIGHTS_OUT = spans(("fri sat holiday", "18:00", "04:00"), ("sun mon tue wed thu", "18:00", "23:00"))


@pytest.mark.parametrize(
    ("which", "at", "on"),
    [
        (EVENINGS, "2026-11-22T17:29", False),
        (EVENINGS, "2026-11-22T17:30", True),
        (EVENINGS, "2026-11-23T01:59", True),
        (EVENINGS, "2026-11-23T02:00", False),
        (NIGHTS_OUT, "2026-11-28T03:59", True),  # Friday's night, on Saturday
        (NIGHTS_OUT, "2026-11-30T03:59", False),  # Sunday's ended at eleven
        (NIGHTS_OUT, "2026-10-01T23:30", True),  # a Thursday, and National Day
        (NIGHTS_OUT, "2026-10-02T03:30", True),  # its night
        (NIGHTS_OUT, "2026-10-10T23:30", False),  # a Saturday that is worked
        (spans(("sun", "00:00", "00:00")), "2026-11-22T12:00", True),
    ],
)
def test_the_time_of_day_the_night_after_it_and_days_off(which: Schedule, at: str, on: bool):
    days = {"2026-10-01": "holiday", "2026-10-10": "workday"}
    assert schedule.is_on(which, datetime.fromisoformat(at).replace(tzinfo=SHANGHAI), days) is on


def test_a_schedule_that_names_no_holidays_takes_them_as_the_days_they_are():
    local = datetime(2026, 10, 1, 18, tzinfo=SHANGHAI)
    assert schedule.is_on(EVENINGS, local, {"2026-10-01": "holiday"})


def test_the_sign_follows_the_clock_and_stands_still_while_nobody_knows_it():
    always = spans(("mon tue wed thu fri sat sun", "11:00", "13:00")).model_dump()
    desired = document(schedules=[always])
    assert wanted(desired, [], now(0)) == {"sign"}
    assert plan(desired, [], {}, Mode.RUN, now(3600))["sign"].on is False
    assert plan(desired, [], {}, Mode.RUN, now(0, UNTRUSTED))["sign"].on is None
    assert plan(document(), [], {}, Mode.RUN, now(0))["sign"].on is None  # nothing rules it
    # What a room needs is on, whatever a schedule says; and the other way round.
    late = {**always, "bindings": ["ac"], "spans": [{**always["spans"][0], "ends": "12:30"}]}
    assert "ac" in wanted(document(schedules=[late]), [], now(0))
    assert "ac" not in wanted(document(schedules=[late]), [], now(1900))
    assert "ac" in wanted(document(schedules=[late]), [at_state(1900)], now(1900))


@given(
    begins=st.times().map(lambda t: t.strftime("%H:%M")),
    ends=st.times().map(lambda t: t.strftime("%H:%M")),
    minutes=st.integers(0, 2 * 365 * 1440),
)
def test_every_day_is_covered_as_a_clock_shows_it(begins: str, ends: str, minutes: int):
    """A span on all days is on exactly when the clock on the wall lies between its two times."""
    every = spans(("mon tue wed thu fri sat sun", begins, ends))
    at = datetime(2026, 1, 1, tzinfo=SHANGHAI) + timedelta(minutes=minutes)
    found = schedule.is_on(every, at, {})
    assert found is schedule.within(at.strftime("%H:%M"), begins, ends)


def test_guests_who_were_in_before_their_right_was_taken_back_have_their_power_again():
    """Staff cancelled while the store was away and the guests sat in the room. The cloud hears that they are in
    and gives the right back; the store had begun its grace, and cut them off at its end.
    """
    inside = at_state(600)
    gone = advance(inside, None, now(601), revoked=True)
    assert [(one.now, one.why) for one in gone.transitions] == [(StayState.GRACE, "revoked")]
    back = advance(gone.stay, booked(), now(640))
    assert [(one.now, one.why) for one in back.transitions] == [(StayState.IN_USE, "given_back")]
    assert wanted(document(), [back.stay], now(1200)) >= {"table1", "light1"}
    assert advance(back.stay, booked(), now(3599)).stay.state is StayState.IN_USE
    assert advance(back.stay, booked(), now(3600)).stay.state is StayState.GRACE
    # Not while it is still taken back, not for who went away early, and not once the time is over.
    assert advance(gone.stay, booked(), now(640), revoked=True).stay.state is StayState.GRACE
    left = advance(replace(inside, finished=True), booked(), now(601)).stay
    assert advance(left, booked(), now(640)).stay.state is StayState.GRACE
    assert advance(gone.stay, booked(), now(3700)).stay.state is not StayState.IN_USE
