"""The store's rules of booking, and quotes that are told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlmodel import select

from cloud_api.coupons import quote_routes
from cloud_api.kit.actor import Anyone
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.kit.errors import KaimenError
from cloud_api.orders import place
from cloud_api.pricing.models import Quote
from cloud_api.pricing.rules import is_open
from cloud_api.pricing.service import quote, take_quote
from cloud_api.stores.models import Store
from store_link.clock import ManualClock
from tests.cloud_api.factories import Shop, customer, make_customer, make_store

HOUR = timedelta(hours=1)


async def _quote(
    db: Database, shop: Shop, clocks: Clocks, starts: datetime, ends: datetime
) -> Quote:
    async with db.write() as session:
        return await quote(session, Anyone(), shop.room.id, starts, ends, clocks)


async def test_a_quote_explains_each_line(db: Database, shop: Shop, clocks: Clocks) -> None:
    start = clocks.now + 5 * HOUR  # 17:00 in Shanghai
    made = await _quote(db, shop, clocks, start, start + 2 * HOUR)
    assert made.total_fen == 3800 + 4800
    assert [(line["text"], line["minutes"], line["amount_fen"]) for line in made.lines] == [
        ("平日 17:00–18:00", 60, 3800),
        ("晚间 18:00–19:00", 60, 4800),
    ]
    assert made.lines[0]["from"] == "2026-11-23T09:00:00Z"


@pytest.mark.parametrize(
    ("begin_min", "minutes", "code"),
    [
        (60, 30, "booking.too_short"),
        (60, 0, "booking.order"),
        (60, -60, "booking.order"),
        (60, 750, "booking.too_long"),
        (60, 75, "booking.step"),
        (75, 60, "booking.step"),
        (-30, 60, "booking.past"),
        (9 * 24 * 60, 60, "booking.too_far"),
    ],
)
async def test_the_stores_rules(
    db: Database, shop: Shop, clocks: Clocks, begin_min: int, minutes: int, code: str
) -> None:
    start = clocks.now + timedelta(minutes=begin_min)
    with pytest.raises(KaimenError) as refused:
        await _quote(db, shop, clocks, start, start + timedelta(minutes=minutes))
    assert refused.value.code == code


async def test_whoever_stands_at_the_door_may_start_now(
    db: Database, shop: Shop, clocks: Clocks, business: ManualClock
) -> None:
    business.pass_time(7 * 60 + 20)
    start = clocks.now.replace(second=0)
    made = await _quote(db, shop, clocks, start, start + HOUR)
    assert made.starts_at == start


async def test_the_last_day_of_advance_is_still_open(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    late = datetime(2026, 11, 30, 22, tzinfo=ZoneInfo("Asia/Shanghai"))
    assert (await _quote(db, shop, clocks, late, late + HOUR)).total_fen == 4800
    with pytest.raises(KaimenError) as refused:
        await _quote(db, shop, clocks, late + 2 * HOUR, late + 3 * HOUR)
    assert refused.value.code == "booking.too_far"


async def test_closed_hours(db: Database, clocks: Clocks) -> None:
    async with db.write() as session:
        shop = await make_store(session, clocks.now, opens="10:00", closes="02:00")
    zone = ZoneInfo("Asia/Shanghai")
    into_the_night = datetime(2026, 11, 23, 23, tzinfo=zone)
    made = await _quote(db, shop, clocks, into_the_night, into_the_night + 3 * HOUR)
    assert made.total_fen == 4800 + 2 * 3800
    for start, hours in ((into_the_night, 4), (datetime(2026, 11, 24, 9, tzinfo=zone), 2)):
        with pytest.raises(KaimenError) as refused:
            await _quote(db, shop, clocks, start, start + hours * HOUR)
        assert refused.value.code == "booking.closed"


async def test_a_room_in_maintenance_has_no_price(db: Database, shop: Shop, clocks: Clocks) -> None:
    async with db.write() as session:
        shop.room.mode = "maintenance"
        session.add(shop.room)
    with pytest.raises(KaimenError) as refused:
        await _quote(db, shop, clocks, clocks.now + HOUR, clocks.now + 2 * HOUR)
    assert refused.value.code == "room.maintenance"


async def test_a_quote_expires(
    db: Database, shop: Shop, clocks: Clocks, business: ManualClock
) -> None:
    made = await _quote(db, shop, clocks, clocks.now + HOUR, clocks.now + 2 * HOUR)
    business.pass_time(600)
    async with db.read() as session:
        with pytest.raises(KaimenError) as refused:
            await take_quote(session, Anyone(), made.id, clocks)
    assert (refused.value.code, refused.value.status) == ("quote.expired", 410)


@pytest.mark.parametrize(
    ("opens", "closes", "start_h", "hours", "expected"),
    [
        (None, None, 0, 48, True),
        ("09:00", "21:00", 9, 12, True),
        ("09:00", "21:00", 8, 2, False),
        ("09:00", "21:00", 20, 2, False),
        ("09:00", "21:00", 9, 36, False),
        ("18:00", "06:00", 23, 6, True),
        ("18:00", "06:00", 3, 3, True),
        ("18:00", "06:00", 3, 4, False),
        ("00:00", "00:00", 22, 6, True),
    ],
)
def test_open_without_a_break(
    opens: str | None, closes: str | None, start_h: int, hours: int, expected: bool
) -> None:
    store = Store(
        merchant_id="m",
        name="s",
        address="",
        phone="",
        opens=opens,
        closes=closes,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    start = datetime(2026, 5, 4, start_h, tzinfo=ZoneInfo("Asia/Shanghai"))
    assert is_open(store, start, start + timedelta(hours=hours)) is expected


async def test_a_stranger_cannot_fill_the_table(
    client: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quote_routes, "_MOST", (2, 600))
    ask = {
        "room_id": shop.room.id,
        "starts_at": "2026-11-23T18:00:00+08:00",
        "ends_at": "2026-11-23T20:00:00+08:00",
    }
    answers = [(await client.post("/api/v1/quotes", json=ask)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].json()["code"] == "too_often"


async def test_only_quotes_nobody_ordered_from_are_forgotten(
    db: Database, shop: Shop, clocks: Clocks, business: ManualClock
) -> None:
    async with db.write() as session:
        guest = customer(await make_customer(session, clocks.now))
        starts = clocks.now + timedelta(hours=3)
        ends = starts + timedelta(hours=2)
        kept = await quote(session, guest, shop.room.id, starts, ends, clocks)
        await place.place(session, guest, kept.id, clocks)
        await quote(session, guest, shop.room.id, ends, ends + timedelta(hours=2), clocks)
    business.pass_time(2 * 86400)
    async with db.write() as session:
        await place.forget_quotes(session, clocks.now)
        assert [quote.id for quote in await session.exec(select(Quote))] == [kept.id]
