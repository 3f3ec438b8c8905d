"""The line goes on across everything; business time is believed only where it may be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from controller.holds import OverrideRecord, moved
from controller.stay import StayRecord
from controller.stay import moved as stay_moved
from controller.timekeeper import Mark, Timekeeper, kernel_synced
from store_link.clock import ManualClock, ms
from store_link.messages import ClockQuality, StayState

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Ntp:
    def __init__(self, synced: bool) -> None:
        self.synced = synced

    def __call__(self) -> bool:
        return self.synced


def keeper(clock: ManualClock, saved: Mark | None = None, synced: bool = True, boot: str = "1"):
    ntp = Ntp(synced)
    return Timekeeper(clock, saved, ntp, boot), ntp


def test_synced_and_holdover() -> None:
    clock = ManualClock(START)
    assert keeper(clock)[0].read().quality is ClockQuality.SYNCED
    assert keeper(clock, synced=False)[0].read().quality is ClockQuality.HOLDOVER


def test_a_clock_older_than_the_program_is_not_believed() -> None:
    clock = ManualClock(datetime(1970, 1, 1, tzinfo=UTC))
    assert keeper(clock, synced=False)[0].read().quality is ClockQuality.UNTRUSTED


def test_a_restart_of_the_program_continues_the_line_exactly() -> None:
    clock = ManualClock(START)
    first, _ = keeper(clock)
    clock.pass_time(100)
    mark = first.mark()
    clock.pass_time(50)
    assert keeper(clock, mark)[0].read().line == pytest.approx(mark.line + 50)


def test_a_boot_with_a_good_clock_counts_the_time_off() -> None:
    clock = ManualClock(START)
    mark = keeper(clock)[0].mark()
    clock.pass_time(3600)
    now = keeper(clock, mark, synced=False, boot="2")[0].read()
    assert now.line == pytest.approx(mark.line + 3600)
    assert now.quality is ClockQuality.HOLDOVER


@pytest.mark.parametrize("step_s", [-3600.0, 10 * 365 * 86_400.0])
def test_a_boot_with_an_incredible_clock_counts_nothing_and_says_so(step_s: float) -> None:
    clock = ManualClock(START)
    mark = keeper(clock)[0].mark()
    clock.step(step_s)
    reborn, ntp = keeper(clock, mark, synced=False, boot="2")
    now = reborn.read()
    assert now.quality is ClockQuality.UNTRUSTED
    assert now.line == pytest.approx(mark.line)
    assert now.ms == mark.ms
    assert now.unsure_from == pytest.approx(mark.line)
    # The truth comes: an hour had passed. The line jumps, and says from where.
    clock.step(-step_s + 3600)
    ntp.synced = True
    clock.pass_time(20)
    now = reborn.read()
    assert now.quality is ClockQuality.SYNCED
    assert now.ms == ms(clock.now())
    assert now.line == pytest.approx(mark.line + 3620)
    assert [jump.by_s for jump in reborn.take_jumps()] == [pytest.approx(3600)]


def test_what_is_noted_between_the_gap_and_the_jump_moves_along_and_nothing_else() -> None:
    """Seen: a guest let in at the very reading at which NTP came back got the hours of the power cut for
    nothing, because an instant that was noted after the jump was moved with it. And staff who held a light
    while nobody knew the time held it the shorter by the jump.
    """
    clock = ManualClock(START)
    saved = keeper(clock)[0].mark()
    clock.pass_time(7200)
    clock.step(-20 * 365 * 86_400)
    at_boot, _ = keeper(clock, saved, synced=False, boot="2")
    given = at_boot.read().line
    assert at_boot.read().unsure_from == saved.line
    held = OverrideRecord("light1", True, False, 600_000, given + 600, "c1", given)
    before = replace(held, binding="sign", since_line=saved.line - 1, until_line=saved.line + 900)
    old = replace(held, binding="old", since_line=None)
    at_boot.hint(at_boot.read().ms + 7_200_000)
    after = at_boot.read()
    assert after.line == pytest.approx(given + 7200)
    late = replace(held, since_line=after.line, until_line=after.line + 600)
    jumps = at_boot.take_jumps()
    assert moved(held, jumps).until_line == pytest.approx(after.line + 600)
    assert moved(held, jumps).until == 600_000 + 7_200_000
    for one in (before, old, late):
        assert moved(one, jumps) == one
    stay = StayRecord("s", "r", "g", 0, 0, 0, 300, 0, StayState.IN_USE, entered=after.line, due=9e5)
    assert stay_moved(stay, jumps) == stay
    known = replace(stay, entered=given)
    assert stay_moved(known, jumps).due == pytest.approx(9e5 + 7200)


def test_the_doubt_survives_a_restart_of_the_program() -> None:
    clock = ManualClock(START)
    mark = keeper(clock)[0].mark()
    clock.step(-3600)
    second = keeper(clock, mark, synced=False, boot="2")[0].mark()
    assert keeper(clock, second, synced=False, boot="2")[0].read().unsure_from is not None


def test_a_step_is_reported_once_and_not_followed_without_ntp() -> None:
    clock = ManualClock(START)
    watch, _ = keeper(clock, synced=False)
    before = watch.read()
    clock.step(-86_400)
    clock.pass_time(1)
    now = watch.read()
    assert watch.take_steps() == [-86_400_000]
    assert now.quality is ClockQuality.UNTRUSTED
    assert now.ms == before.ms + 1000
    watch.read()
    assert watch.take_steps() == []
    clock.step(86_400)
    assert watch.read().quality is ClockQuality.HOLDOVER


def test_a_step_by_ntp_is_followed_and_the_line_stays() -> None:
    clock = ManualClock(START)
    watch, _ = keeper(clock)
    before = watch.read()
    clock.step(30)
    now = watch.read()
    assert watch.take_steps() == [30_000]
    assert now.ms == before.ms + 30_000
    assert now.line == before.line


def test_slow_drift_is_followed_without_a_word() -> None:
    clock = ManualClock(START)
    watch, _ = keeper(clock, synced=False)
    for _ in range(100):
        clock.pass_time(1)
        clock.step(0.5)
        assert watch.read().ms == ms(clock.now())
    assert watch.take_steps() == []


def test_a_fresh_signed_message_moves_an_untrusted_clock_forward_and_never_back() -> None:
    clock = ManualClock(START)
    mark = keeper(clock)[0].mark()
    clock.step(-3600)
    watch, _ = keeper(clock, mark, synced=False, boot="2")
    watch.hint(mark.ms + 600_000)
    assert watch.read().ms == mark.ms + 600_000
    assert watch.read().line == pytest.approx(mark.line + 600)
    watch.hint(mark.ms)
    assert watch.read().ms == mark.ms + 600_000
    assert watch.read().quality is ClockQuality.UNTRUSTED


def test_a_synced_clock_takes_no_hint() -> None:
    clock = ManualClock(START)
    watch, _ = keeper(clock)
    watch.hint(ms(START) + 600_000)
    assert watch.read().ms == ms(START)


def test_the_kernel_answers() -> None:
    assert kernel_synced() in (True, False)
