"""Whether a voucher opens a room at a time: nights belong to the day they begin on, ends are exact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cloud_api.vouchers.judge import in_window, refuse, when
from cloud_api.vouchers.models import Voucher

SHANGHAI = ZoneInfo("Asia/Shanghai")
FRIDAY = datetime(2026, 11, 27, tzinfo=SHANGHAI)


def voucher(**values: object) -> Voucher:
    whole: dict[str, Any] = {
        "merchant_id": "m", "campaign_id": "c", "code": "1", "code_index": "1", "account_id": "a", "source": "groupbuy:1", "name": "四人三小时",
        "value_fen": 5800, "minutes": 180, "store_ids": ["s"], "room_ids": [], "state": "issued",
        "weekdays": 127, "from_minute": 0, "until_minute": 1440,
        "valid_from": FRIDAY - timedelta(days=1), "valid_until": FRIDAY + timedelta(days=9),
        "created_at": FRIDAY,
    }  # fmt: skip
    return Voucher(**whole | values)


def code(one: Voucher, at: datetime, *, store: str = "s", room: str = "r") -> str:
    no = refuse(one, store_id=store, room_id=room, starts_at=at, tz="Asia/Shanghai")
    return "" if no is None else no.code


@pytest.mark.parametrize(
    ("at", "fits"),
    [
        ("2026-11-27T21:59:59", False),
        ("2026-11-27T22:00:00", True),
        ("2026-11-27T23:59:59", True),
        ("2026-11-28T00:00:00", True),  # Friday's night, on Saturday
        ("2026-11-28T05:59:59", True),
        ("2026-11-28T06:00:00", False),
        ("2026-11-28T22:00:00", False),  # Saturday's own night is not sold
        ("2026-11-27T00:30:00", False),  # nor Thursday's, on Friday
    ],
)
def test_a_night_of_a_friday_reaches_into_saturday(at: str, fits: bool) -> None:
    """Elsewhere a night's voucher was refused after midnight, when its guests come."""
    friday_night = voucher(weekdays=1 << 4, from_minute=22 * 60, until_minute=30 * 60)
    begins = datetime.fromisoformat(at).replace(tzinfo=SHANGHAI)
    assert in_window(friday_night, begins, "Asia/Shanghai") is fits
    assert in_window(friday_night, begins.astimezone(UTC), "Asia/Shanghai") is fits
    assert code(friday_night, begins) == ("" if fits else "voucher.other_time")
    assert when(friday_night) == "周五 22:00–次日 06:00"


def test_the_wall_decides_also_when_clocks_are_changed() -> None:
    night = voucher(weekdays=1 << 5, from_minute=22 * 60, until_minute=27 * 60)  # until three
    new_york = ZoneInfo("America/New_York")
    first, second = (datetime(2026, 11, 1, 1, 30, tzinfo=new_york, fold=fold) for fold in (0, 1))
    for begins in (first, second, first.astimezone(UTC), second.astimezone(UTC)):
        assert in_window(night, begins, "America/New_York")
    assert not in_window(night, datetime(2026, 11, 1, 3, tzinfo=new_york), "America/New_York")


def test_it_ends_to_the_second_and_says_what_else_is_wrong() -> None:
    """One that had run out could still be used elsewhere."""
    one = voucher()
    last = one.valid_until - timedelta(seconds=1)
    assert (code(one, last), code(one, one.valid_until)) == ("", "voucher.expired")
    assert code(one, one.valid_from - timedelta(seconds=1)) == "voucher.not_yet"
    assert code(one, FRIDAY, store="other") == "voucher.other_store"
    assert code(voucher(room_ids=["q"]), FRIDAY) == "voucher.other_room"
    assert code(voucher(state="expired"), FRIDAY) == "voucher.expired"
    for state in ("refunding", "refunded"):
        assert code(voucher(state=state), FRIDAY) == "voucher.refunded"
    assert code(voucher(weekdays=96), FRIDAY) == "voucher.other_time"
    assert [when(voucher(weekdays=days)) for days in (127, 31, 96, 5)] == [
        "每天", "周一至周五", "周末", "周一、周三",
    ]  # fmt: skip
