"""Which backups stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cloud_api.backups.retention import Keep, stays

START = datetime(2026, 1, 1, 19, 30, tzinfo=UTC)  # 03:30 on the next day in Shanghai
KEEP = Keep(7, 4, 6)


def test_seven_days_four_weeks_six_months():
    made = [(f"{START + timedelta(days=n):%m-%d}", START + timedelta(days=n)) for n in range(300)]
    kept = sorted(stays(made, KEEP, "Asia/Shanghai", made[-1][1]))
    assert kept == [
        "05-30",  # 31 May in Shanghai
        "06-29",
        "07-30",
        "08-30",
        "09-29",
        "10-10",  # Sunday the 11th in Shanghai
        "10-17",
        "10-21",
        "10-22",
        "10-23",
        "10-24",
        "10-25",
        "10-26",
        "10-27",
    ]


def test_running_it_every_day_keeps_the_same():
    """Weeks and months must not lose their backup because it was not the newest when looked at daily."""
    shelf: list[tuple[str, datetime]] = []
    for day in range(300):
        at = START + timedelta(days=day)
        shelf.append((f"{at:%m-%d}", at))
        kept = stays(shelf, KEEP, "Asia/Shanghai", at)
        shelf = [one for one in shelf if one[0] in kept]
    assert [name for name, _ in shelf][:5] == ["05-30", "06-29", "07-30", "08-30", "09-29"]
    assert len(shelf) == 14


def test_days_without_a_backup_do_not_push_the_old_ones_out():
    made = [("old", START), ("older", START - timedelta(days=90))]
    assert stays(made, Keep(1, 0, 0), "UTC", START + timedelta(days=9)) == {"old"}
    assert stays(made, Keep(7, 0, 0), "UTC", START + timedelta(days=9)) == {"old", "older"}
    assert stays([], KEEP, "UTC", START + timedelta(days=9)) == set()


def test_a_bad_backup_does_not_push_out_the_one_of_the_morning():
    made = [("morning", START), ("noon", START + timedelta(hours=9))]
    assert stays(made, Keep(1, 0, 0), "UTC", made[1][1]) == {"morning", "noon"}
    assert stays(made, Keep(1, 0, 0), "UTC", START + timedelta(days=1)) == {"noon"}
