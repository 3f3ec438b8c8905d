"""Who is reachable, told from messages in every order that brokers and bad clocks produce."""

from __future__ import annotations

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from store_link.messages import ClockQuality
from store_link.presence import PresenceTracker
from store_link.reports import OutboxReport, Presence, Reported


def presence(state: Literal["online", "lost"], nonce: str, at: int) -> Presence:
    return Presence(store="S", state=state, boot="b", nonce=nonce, sent_at=at)


def reported(nonce: str, at: int) -> Reported:
    return Reported(
        store="S",
        boot="b",
        nonce=nonce,
        sent_at=at,
        epoch=0,
        rev=0,
        journal="j",
        version="0",
        clock=ClockQuality.SYNCED,
        outbox=OutboxReport(depth=0, oldest_at=None),
    )


def live(tracker: PresenceTracker, message: Presence | Reported, *, retained=False) -> bool:
    if isinstance(message, Presence):
        return tracker.observe_presence(message, retained=retained)
    return tracker.observe_reported(message, retained=retained)


def test_online_then_lost():
    tracker = PresenceTracker()
    assert tracker.nonce("S") is None
    assert tracker.get("S") is None
    assert live(tracker, presence("online", "n1", 10))
    assert tracker.online("S")
    assert tracker.nonce("S") == "n1"
    assert live(tracker, presence("lost", "n1", 9))  # a will is sealed before the greeting
    assert not tracker.online("S")
    assert tracker.nonce("S") is None


def test_a_late_will_of_an_old_connection_is_ignored():
    tracker = PresenceTracker()
    live(tracker, presence("online", "n1", 10))
    live(tracker, presence("online", "n2", 20))
    assert not live(tracker, presence("lost", "n1", 9))
    assert tracker.nonce("S") == "n2"


def test_a_late_will_that_a_starting_cloud_finds_retained_is_set_right_by_the_report():
    """The broker's retained presence is the late will of n1, while the store is online as n2."""
    for first_report in (True, False):
        tracker = PresenceTracker()
        messages: list[Presence | Reported] = [reported("n2", 25), presence("lost", "n1", 9)]
        for message in messages if first_report else reversed(messages):
            live(tracker, message, retained=True)
        assert tracker.nonce("S") == "n2"


def test_a_store_that_died_before_its_first_report_is_lost_to_a_starting_cloud():
    """Retained: the report of n1, and the will of the newer n2."""
    for first_report in (True, False):
        tracker = PresenceTracker()
        messages: list[Presence | Reported] = [reported("n1", 15), presence("lost", "n2", 19)]
        for message in messages if first_report else reversed(messages):
            live(tracker, message, retained=True)
        assert not tracker.online("S")


def test_a_nonce_that_ended_does_not_come_back():
    tracker = PresenceTracker()
    live(tracker, presence("online", "n1", 10))
    live(tracker, presence("lost", "n1", 9))
    assert not live(tracker, presence("online", "n1", 10))
    assert not live(tracker, reported("n1", 50))
    assert not live(tracker, presence("online", "n1", 10), retained=True)
    assert not tracker.online("S")


def test_a_report_of_an_older_ended_connection_does_not_revive_it():
    """n1 was replaced by n2, n2 was lost: a report of n1 that was on its way proves nothing."""
    tracker = PresenceTracker()
    live(tracker, presence("online", "n1", 10))
    live(tracker, presence("online", "n2", 20))
    live(tracker, presence("lost", "n2", 19))
    assert not live(tracker, reported("n1", 21))
    assert not live(tracker, presence("online", "n1", 10))
    assert not tracker.online("S")


def test_a_store_whose_clock_went_back_is_still_seen():
    """No battery in its clock: n2 begins in the year 2000."""
    tracker = PresenceTracker()
    live(tracker, presence("online", "n1", 1_000_000))
    assert live(tracker, presence("online", "n2", 5))
    assert tracker.nonce("S") == "n2"
    live(tracker, presence("lost", "n2", 4))
    assert live(tracker, reported("n3", 3))  # live: it proves a connection whatever its clock says
    assert tracker.nonce("S") == "n3"


def test_a_store_whose_clock_was_years_ahead_is_seen_on_its_next_connection():
    """Bug: its clock was set right while the broker was away, which lost the new greeting. All reports
    counted as overtaken until the clock had caught up, years later, and doors were asked to open on a
    connection that was gone.
    """
    tracker, years_ms = PresenceTracker(), 315_360_000_000
    live(tracker, presence("online", "n1", years_ms))
    live(tracker, reported("n1", years_ms + 1))
    assert live(tracker, reported("n2", 1_000))
    assert tracker.nonce("S") == "n2"
    assert not live(tracker, reported("n1", years_ms + 2))  # that one has ended


def test_an_old_retained_report_does_not_replace_a_live_greeting():
    tracker = PresenceTracker()
    live(tracker, presence("online", "n2", 20))
    assert not live(tracker, reported("n1", 15), retained=True)
    assert tracker.nonce("S") == "n2"


def test_stores_are_apart():
    tracker = PresenceTracker()
    live(tracker, presence("online", "n1", 10))
    assert not tracker.online("T")
    other = presence("lost", "n1", 10).model_copy(update={"store": "T"})
    live(tracker, other)
    assert tracker.online("S")


@given(
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_whatever_wills_come_late_the_present_connection_stands(reports, random):
    """Connections follow each other; each older will arrives anywhere after its own connection."""
    tracker = PresenceTracker()
    late: list[Presence] = []
    for number, with_report in enumerate(reports):
        began = number * 10
        live(tracker, presence("online", f"n{number}", began + 1))
        for will in list(late):
            if random.random() < 0.5:
                late.remove(will)
                live(tracker, will)
        if with_report:
            live(tracker, reported(f"n{number}", began + 2))
        assert tracker.nonce("S") == f"n{number}"
        late.append(presence("lost", f"n{number}", began))
    for will in late[:-1]:
        live(tracker, will)
    assert tracker.nonce("S") == f"n{len(reports) - 1}"
    live(tracker, late[-1])
    assert not tracker.online("S")
