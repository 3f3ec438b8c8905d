"""One manner for days on all that guests read, in three languages and in the zone that an instant carries."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cloud_api.kit.dates import full, full_day, near_day, said
from cloud_api.kit.i18n import speaking

NOW = datetime(2026, 11, 23, 14, 30, tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.mark.parametrize(
    ("language", "days", "told"),
    [
        ("zh_Hans", -2, "11月21日 周六 14:30"),
        ("zh_Hans", -1, "昨天 14:30"),
        ("zh_Hans", 0, "14:30"),
        ("zh_Hans", 1, "明天 14:30"),
        ("zh_Hans", 2, "11月25日 周三 14:30"),
        ("zh_Hans", 60, "1月22日 周五 14:30"),
        ("zh_Hans", 320, "2027年10月9日 周六 14:30"),
        ("zh_Hant", 2, "11月25日 週三 14:30"),
        ("en", -1, "yesterday 14:30"),
        ("en", 1, "tomorrow 14:30"),
        ("en", 2, "Wed, Nov 25 14:30"),
        ("en", 320, "Sat, Oct 9, 2027 14:30"),
    ],
)
def test_a_day_is_said_by_name_where_it_is_near_and_by_date_elsewhere(language, days, told):
    with speaking(language):
        assert said(NOW + timedelta(days=days), NOW).lower() == told.lower()


def test_what_is_read_later_names_its_day_and_the_zone_decides_which_that_is():
    late = datetime(2026, 11, 23, 16, 30, tzinfo=ZoneInfo("UTC")).astimezone(NOW.tzinfo)
    assert full(NOW, NOW) == "11月23日 周一 14:30"
    assert said(late, NOW) == "明天 00:30"
    assert near_day(late.date(), NOW.date()) == "明天"
    assert full_day(late, NOW) == "11月24日 周二"
