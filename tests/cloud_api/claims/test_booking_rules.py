"""The rules of booking: each refusal names its rule and offers what may be had instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_api.claims import rule_service, suggest
from cloud_api.claims import service as claims
from cloud_api.claims.booking_rules import Blocked, Rules, refusal, rules_of
from cloud_api.claims.room_days import RoomState, room_days
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.kit.errors import Forbidden, KaimenError
from cloud_api.pricing import service as pricing
from cloud_api.staff.permissions import ALL
from cloud_api.stores.models import Room, Store
from tests.cloud_api.factories import Shop, customer, make_customer, make_staff, staff

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # Monday, 12:00 in Shanghai


async def _owner(db: Database, shop: Shop, clocks: Clocks) -> Staff:
    async with db.write() as session:
        return staff(await make_staff(session, shop, clocks.now), ALL)


async def test_each_rule_refuses_by_name_and_offers_what_is_free(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    owner = await _owner(db, shop, clocks)
    blocked = {"weekdays": 127, "from": "03:00", "until": "07:00", "why": "消杀"}
    rules: dict[str, Any] = {
        "notice_minutes": 60,
        "min_minutes": 90,
        "max_minutes": 300,
        "blocked": [blocked],
        "advance_days": 3,
    }
    async with db.write() as session:
        await rule_service.set_rules(session, owner, shop.store.id, None, rules, clocks)
        who = customer(await make_customer(session, clocks.now))
        at = clocks.now + timedelta(hours=1)
        await claims.hold(session, shop.room, None, at, at + timedelta(hours=2), clocks)

    async def ask(in_h: float, hours: float) -> KaimenError:
        starts = clocks.now + timedelta(hours=in_h)
        async with db.write() as session:
            with pytest.raises(KaimenError) as refused:
                await pricing.quote(
                    session,
                    who,
                    shop.room.id,
                    starts,
                    starts + timedelta(hours=hours),
                    clocks,
                )
        return refused.value

    soon = await ask(0.5, 2)
    assert soon.code == "booking.notice"
    assert "1 小时" in soon.message
    # This room is taken from 13:00 to 15:00 and cleaned until 15:15; 梅间 is free as soon as the rule lets.
    assert [(n["room"], n["starts_at"]) for n in soon.extra["nearest"]] == [
        ("梅间", "2026-11-23T05:00:00Z"),
        ("听雨", "2026-11-23T05:00:00Z"),
        ("竹间", "2026-11-23T07:30:00Z"),
    ]
    short = await ask(4, 1)
    assert short.code == "booking.too_short"
    assert short.extra["nearest"][0]["ends_at"] == "2026-11-23T09:30:00Z"  # an hour and a half
    assert (await ask(4, 6)).code == "booking.too_long"
    night = await ask(14, 2)
    assert night.code == "booking.blocked"
    assert "消杀" in night.message
    assert night.extra["nearest"][0]["starts_at"] == "2026-11-23T23:00:00Z"  # 07:00 next morning
    far = await ask(24 * 5, 2)
    assert far.code == "booking.too_far"
    assert far.extra["nearest"]


async def test_a_room_says_otherwise_than_its_store(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    owner = await _owner(db, shop, clocks)
    async with db.write() as session:
        await rule_service.set_rules(
            session, owner, shop.store.id, None, {"no_show_minutes": 30, "min_minutes": 120}, clocks
        )
        await rule_service.set_rules(
            session,
            owner,
            shop.store.id,
            shop.room.id,
            {"min_minutes": 30, "cleaning_s": 0},
            clocks,
        )
        store = await session.get_one(Store, shop.store.id)
        mine = await rules_of(session, store, shop.room.id)
        other = await rules_of(session, store, shop.rooms[1].id)
        assert (mine.min_minutes, mine.no_show_minutes, mine.cleaning_s) == (30, 30, 0)
        assert (other.min_minutes, other.no_show_minutes, other.cleaning_s) == (120, 30, 900)
        at = clocks.now + timedelta(hours=1)
        claim = await claims.hold(session, shop.room, None, at, at + timedelta(hours=1), clocks)
        assert claim.block_until == claim.ends_at  # no cleaning in this room
        await claims.hold(session, shop.rooms[1], None, at, at + timedelta(hours=1), clocks)
        days = await room_days(session, [store], shop.rooms[:2], clocks.now)
        first, second = (days[room.id] for room in shop.rooms[:2])  # by its own rules, as elsewhere
        assert (first.state, first.free_until) == (RoomState.FREE, at)
        assert (second.state, second.free_until) == (RoomState.BOOKED, None)
        await rule_service.set_rules(
            session, owner, shop.store.id, shop.room.id, {"min_minutes": None}, clocks
        )
        assert (await rules_of(session, store, shop.room.id)).min_minutes == 120


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"min_minutes": 900, "max_minutes": 600}, "rules.min_minutes"),
        ({"no_show_per_cent": 101}, "rules.no_show_per_cent"),
        ({"cancel_tiers": [{"minutes": 0, "per_cent": 0}] * 2}, "rules.min_minutes"),
        ({"blocked": [{"from": "25:00", "until": "07:00"}]}, "rules.blocked"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
async def test_rules_that_make_no_sense_are_refused(
    db: Database, shop: Shop, clocks: Clocks, changes: dict[str, Any], field: str
) -> None:
    owner = await _owner(db, shop, clocks)
    async with db.write() as session:
        with pytest.raises(KaimenError) as refused:
            await rule_service.set_rules(session, owner, shop.store.id, None, changes, clocks)
    assert (refused.value.code, refused.value.field) == ("rules.bad", field)


async def test_who_may_not_edit_stores_sets_no_rules(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    async with db.write() as session:
        cleaner = staff(await make_staff(session, shop, clocks.now), frozenset({"store.read"}))
        with pytest.raises(Forbidden):
            await rule_service.set_rules(
                session, cleaner, shop.store.id, None, {"max_open": 1}, clocks
            )
        rules, own = await rule_service.read(session, cleaner, shop.store.id, None)
    assert (rules.max_open, own) == (0, {})


@settings(max_examples=60, deadline=None)
@given(
    begin=st.integers(0, 47),
    length=st.integers(1, 40),
    mask=st.integers(1, 127),
    start=st.integers(0, 96),
    minutes=st.integers(2, 20),
)
def test_blocked_hours_are_those_that_anybody_would_count(
    begin: int, length: int, mask: int, start: int, minutes: int
) -> None:
    """Against counting half hours on the wall, over midnight and over the week's end."""
    until = (begin + length) % 48
    blocked = Blocked.model_validate(
        {
            "weekdays": mask,
            "from": f"{begin // 2:02d}:{begin % 2 * 30:02d}",
            "until": f"{until // 2:02d}:{until % 2 * 30:02d}",
        }
    )
    store = Store(merchant_id="m", name="s", address="", phone="", created_at=NOON, advance_days=7)
    room = Room(merchant_id="m", store_id="s", index=0, name="r", created_at=NOON)
    starts = NOON + timedelta(minutes=30 * start)
    ends = starts + timedelta(minutes=30 * minutes)
    rules = Rules(blocked=(blocked,), min_minutes=30, max_minutes=2880)
    found = refusal(rules, store, room, starts, ends, NOON)
    halves = [starts + timedelta(minutes=30 * n) for n in range(minutes)]
    lasts = (until - begin) % 48 or 48

    def shut(at: datetime) -> bool:
        local = at + timedelta(hours=8)
        half = local.hour * 2 + local.minute // 30
        today = begin <= half < begin + lasts and mask >> local.weekday() & 1
        night = half < begin + lasts - 48 and mask >> (local.weekday() - 1) % 7 & 1
        return bool(today or night)

    assert (found is not None and found.code == "booking.blocked") == any(map(shut, halves))


async def test_the_nearest_times_are_really_free(db: Database, shop: Shop, clocks: Clocks) -> None:
    at = clocks.now
    async with db.write() as session:
        for room in shop.rooms:
            for n in range(3):
                begin = at + timedelta(hours=3 * n)
                await claims.hold(session, room, None, begin, begin + timedelta(hours=2), clocks)
        store = await session.get_one(Store, shop.store.id)
        offers = await suggest.nearest(
            session, store, shop.room, at, timedelta(hours=2), clocks.now
        )
        assert len(offers) == 3
        for offer in offers:
            room = await session.get_one(Room, offer["room_id"])
            begin = datetime.fromisoformat(offer["starts_at"])
            await claims.hold(session, room, None, begin, begin + timedelta(hours=2), clocks)
