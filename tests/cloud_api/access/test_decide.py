"""The door's decision table: every case, and the very second of every border."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from cloud_api.access.decide import Case, OwnOrder, RoomNow, Situation, decide
from cloud_api.claims.window import opens_at
from cloud_api.stores.models import Store

# Shanghai's midnight between Monday and Tuesday.
MIDNIGHT = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
MINE = OwnOrder(
    order_id="o1",
    room_id="r1",
    status="ready",
    opens_at=MIDNIGHT - timedelta(minutes=15),
    starts_at=MIDNIGHT,
    ends_at=MIDNIGHT + 2 * HOUR,
    hold_expires_at=MIDNIGHT - HOUR,
)
OPENS = MINE.opens_at
ENDS = MINE.ends_at


def at(now: datetime, *bookings: OwnOrder, **changes: Any) -> Situation:
    base = Situation(now=now, logged_in=True, rooms={"r1": RoomNow.FREE}, bookings=bookings)
    return replace(base, **changes)


def other(**changes: Any) -> OwnOrder:
    return replace(MINE, order_id="o2", room_id="r2", **changes)


UNPAID = replace(MINE, status="pending_payment", hold_expires_at=MIDNIGHT + HOUR)

TABLE = [
    # who
    ("not logged in", at(MIDNIGHT, logged_in=False), Case.LOGIN),
    # the window, to the second
    ("a second before it opens", at(OPENS - SECOND, MINE), Case.EARLY),
    ("a microsecond before", at(OPENS - timedelta(microseconds=1), MINE), Case.EARLY),
    ("the second it opens", at(OPENS, MINE), Case.READY),
    ("23:59:59", at(MIDNIGHT - SECOND, MINE), Case.READY),
    ("midnight", at(MIDNIGHT, MINE), Case.READY),
    ("the last second", at(ENDS - SECOND, MINE), Case.READY),
    ("the second it ends", at(ENDS, MINE), Case.ENDED),
    ("in use at the last second", at(ENDS - SECOND, replace(MINE, status="in_use")), Case.READY),
    ("in use, over", at(ENDS, replace(MINE, status="in_use")), Case.ENDED),
    ("a minute under two hours later", at(ENDS + 2 * HOUR - SECOND, MINE), Case.ENDED),
    ("two hours later it is history", at(ENDS + 2 * HOUR, MINE), Case.NONE_FREE),
    (
        "finished early",
        at(MIDNIGHT + HOUR, replace(MINE, status="completed", ends_at=MIDNIGHT + HOUR / 2)),
        Case.ENDED,
    ),
    ("paid, its grant still being made", at(MIDNIGHT, replace(MINE, status="paid")), Case.READY),
    ("a day minus a second ahead", at(OPENS - 24 * HOUR + SECOND, MINE), Case.EARLY),
    ("a day ahead it explains nothing", at(OPENS - 24 * HOUR, MINE), Case.NONE_FREE),
    # ready, but
    ("store offline", at(MIDNIGHT, MINE, store_online=False), Case.STORE_OFFLINE),
    ("lock dead", at(MIDNIGHT, MINE, lock_dead=True), Case.LOCK_DEAD),
    (
        "offline and dead: the pass still helps",
        at(MIDNIGHT, MINE, store_online=False, lock_dead=True),
        Case.STORE_OFFLINE,
    ),
    ("early and offline", at(OPENS - SECOND, MINE, store_online=False), Case.EARLY),
    (
        "maintenance before they came",
        at(MIDNIGHT, MINE, rooms={"r1": RoomNow.MAINTENANCE}),
        Case.MAINTENANCE,
    ),
    (
        "maintenance, but their things are inside",
        at(MIDNIGHT, replace(MINE, status="in_use"), rooms={"r1": RoomNow.MAINTENANCE}),
        Case.READY,
    ),
    # not paid
    ("unpaid in its window", at(MIDNIGHT, UNPAID), Case.UNPAID),
    ("unpaid, coming", at(OPENS - HOUR, UNPAID), Case.UNPAID),
    (
        "the last second of the hold",
        at(MIDNIGHT, replace(UNPAID, hold_expires_at=MIDNIGHT + SECOND)),
        Case.UNPAID,
    ),
    (
        "the hold is over",
        at(MIDNIGHT, replace(UNPAID, hold_expires_at=MIDNIGHT)),
        Case.NONE_FREE,
    ),
    # another room
    ("theirs is another room, now", at(MIDNIGHT, other()), Case.OTHER_ROOM),
    ("theirs is another room, later", at(OPENS - HOUR, other()), Case.OTHER_ROOM),
    (
        "another room, unpaid",
        at(OPENS - HOUR, other(status="pending_payment", hold_expires_at=MIDNIGHT)),
        Case.OTHER_ROOM,
    ),
    ("another room, over", at(ENDS, other()), Case.NONE_FREE),
    (
        "this one now, another later",
        at(MIDNIGHT, MINE, other(opens_at=ENDS, starts_at=ENDS, ends_at=ENDS + HOUR)),
        Case.READY,
    ),
    (
        "another now, this one later",
        at(MIDNIGHT, other(), replace(MINE, opens_at=ENDS, starts_at=ENDS, ends_at=ENDS + HOUR)),
        Case.OTHER_ROOM,
    ),
    ("both now", at(MIDNIGHT, other(), MINE), Case.READY),
    ("another now, this one unpaid now", at(MIDNIGHT, other(), UNPAID), Case.UNPAID),
    (
        "both coming, this one first",
        at(OPENS - HOUR, MINE, other(opens_at=OPENS + HOUR)),
        Case.EARLY,
    ),
    (
        "both coming, the other first",
        at(OPENS - HOUR, MINE, other(opens_at=OPENS - SECOND)),
        Case.OTHER_ROOM,
    ),
    ("both coming at once", at(OPENS - HOUR, other(), MINE), Case.EARLY),
    (
        "the last one ended, the next is coming",
        at(
            ENDS,
            MINE,
            replace(
                MINE,
                order_id="o3",
                opens_at=ENDS + HOUR,
                starts_at=ENDS + HOUR,
                ends_at=ENDS + 2 * HOUR,
            ),
        ),
        Case.EARLY,
    ),
    # an entrance: any of its rooms
    (
        "an entrance lets in whoever has one of its rooms",
        at(MIDNIGHT, other(), rooms={"r1": RoomNow.TAKEN, "r2": RoomNow.TAKEN}),
        Case.READY,
    ),
    # staff opened it to anybody
    ("open to all, nothing booked", at(MIDNIGHT, open_to_all=True), Case.OPEN),
    ("open to all, not logged in", at(MIDNIGHT, logged_in=False, open_to_all=True), Case.LOGIN),
    ("open to all, early", at(OPENS - SECOND, MINE, open_to_all=True), Case.OPEN),
    ("open to all, over", at(ENDS, MINE, open_to_all=True), Case.OPEN),
    ("open to all, unpaid", at(MIDNIGHT, UNPAID, open_to_all=True), Case.OPEN),
    ("open to all, theirs is another", at(MIDNIGHT, other(), open_to_all=True), Case.OPEN),
    ("open to all, theirs and now", at(MIDNIGHT, MINE, open_to_all=True), Case.READY),
    (
        "open to all, theirs, the lock dead",
        at(MIDNIGHT, MINE, open_to_all=True, lock_dead=True),
        Case.LOCK_DEAD,
    ),
    (
        "open to all, offline: no tap reaches it",
        at(MIDNIGHT, open_to_all=True, store_online=False),
        Case.NONE_FREE,
    ),
    (
        "open to all, theirs, offline: the pass helps",
        at(MIDNIGHT, MINE, open_to_all=True, store_online=False),
        Case.STORE_OFFLINE,
    ),
    # nothing booked
    ("free", at(MIDNIGHT), Case.NONE_FREE),
    ("taken", at(MIDNIGHT, rooms={"r1": RoomNow.TAKEN}), Case.NONE_TAKEN),
    ("cleaning", at(MIDNIGHT, rooms={"r1": RoomNow.CLEANING}), Case.CLEANING),
    ("maintenance", at(MIDNIGHT, rooms={"r1": RoomNow.MAINTENANCE}), Case.MAINTENANCE),
    (
        "an entrance with one room free",
        at(MIDNIGHT, rooms={"r1": RoomNow.TAKEN, "r2": RoomNow.FREE}),
        Case.NONE_FREE,
    ),
    (
        "an entrance, all taken or being cleaned",
        at(MIDNIGHT, rooms={"r1": RoomNow.TAKEN, "r2": RoomNow.CLEANING}),
        Case.NONE_TAKEN,
    ),
    ("offline is not theirs to worry about", at(MIDNIGHT, store_online=False), Case.NONE_FREE),
    ("cancelled", at(MIDNIGHT, replace(MINE, status="cancelled")), Case.NONE_FREE),
]


@pytest.mark.parametrize(("what", "situation", "case"), TABLE, ids=[row[0] for row in TABLE])
def test_the_table(what: str, situation: Situation, case: Case):
    del what
    assert decide(situation).case is case


def test_the_table_holds_every_case():
    assert {row[2] for row in TABLE} == set(Case)


def test_only_a_paid_booking_in_its_window_or_an_open_room_can_unlock():
    """Over every combination: nothing else ever gives a right, whatever else is so."""
    checked = 0
    for status, room, shift, online, dead, state, everybody in product(
        ["pending_payment", "paid", "ready", "in_use", "completed", "cancelled"],
        ["r1", "r2"],
        [OPENS - SECOND, OPENS, ENDS - SECOND, ENDS],
        [True, False],
        [True, False],
        list(RoomNow),
        [True, False],
    ):
        booking = replace(MINE, status=status, room_id=room, hold_expires_at=ENDS)
        situation = at(
            shift,
            booking,
            store_online=online,
            lock_dead=dead,
            rooms={"r1": state},
            open_to_all=everybody,
        )
        decision = decide(situation)
        right = (
            status in ("paid", "ready", "in_use")
            and room == "r1"
            and OPENS <= shift < ENDS
            and (state is not RoomNow.MAINTENANCE or status == "in_use")
        )
        assert decision.can_unlock == ((right or everybody) and online), situation
        checked += 1
        assert not decide(replace(situation, logged_in=False)).can_unlock
    assert checked == 6 * 2 * 4 * 2 * 2 * 4 * 2


@pytest.mark.parametrize(
    ("previous", "opens"),
    [
        (None, "15:45"),  # the lead time
        ("15:30", "15:45"),  # long free
        ("15:45", "15:45"),
        ("15:50", "15:50"),  # still cleaned until then
        ("16:00", "16:00"),  # back to back
        ("16:10", "16:00"),  # a block that overran does not put paid time off
    ],
)
def test_the_door_does_not_open_into_anothers_time(previous: str | None, opens: str):
    store = Store(merchant_id="m", name="s", address="", phone="", created_at=MIDNIGHT, lead_s=900)

    def clock(text: str) -> datetime:
        return datetime.fromisoformat(f"2026-11-23T{text}:00+00:00")

    before = None if previous is None else clock(previous)
    assert opens_at(store, MIDNIGHT, before) == clock(opens)
