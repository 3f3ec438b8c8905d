"""The same Sunday as bars, and its month."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cloud_api.web.view_models.day import (
    Block,
    CalendarDay,
    CalendarPage,
    DayPage,
    DayRow,
    DayStore,
)
from tests.web.samples import STORE, at

DAY = DayPage(
    day="2026-11-22", text="今天", starts_at=at(6), hours=24,
    before_href="/console/timeline?day=2026-11-21", after_href="/console/timeline?day=2026-11-23",
    today_href="/console/timeline", can_move=True, offset="+08:00",
    stores=(
        DayStore("s1", STORE, "2 间 · 4 单 · ¥612", 30, (
            DayRow("r1", "竹间", "4 人", (
                Block("o0", "done", at(10, 30), at(14), "已完成", "0816", "/console/orders/o0", 13300),
                Block("c1", "cleaning", at(14), at(14, 15), "保洁"),
                Block("o1", "in_use", at(16, 50), at(20, 50), "使用中", "4821", "/console/orders/o1", 15200),
                Block("o2", "booked", at(22), at(23, 59), "已预约", "5079", "/console/orders/o2", 16600, True),
            )),
            DayRow("r2", "听雨", "6 人", (
                Block("o3", "held", at(20), at(23), "待支付", "3390", "/console/orders/o3", 18800),
                Block("m1", "maintenance", at(6), at(12), "维护"),
            )),
        )),
    ),
)  # fmt: skip
MONTH = CalendarPage(
    "2026 年 11 月", "/console/calendar?month=2026-10", "/console/calendar?month=2026-12",
    tuple(
        tuple(
            CalendarDay(
                at(0, day=2) + timedelta(days=7 * week + n), "/console/timeline", n, n * 15200,
                week < 4, (week, n) == (2, 6), min(n, 4),
            )
            for n in range(7)
        )
        for week in range(5)
    ),
    84, 1276800,
)  # fmt: skip
PAGES = {
    "console-timeline": ("console/timeline.html", DAY),
    "console-timeline-look": ("console/timeline.html", replace(DAY, can_move=False)),
    "console-calendar": ("console/calendar.html", MONTH),
}


def console_pages(nav: object, staff: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The pages for the tests that draw every template."""
    return {
        name: (template, {"page": model, "nav": replace(nav, here="timeline"), "shell": staff})  # type: ignore[type-var]
        for name, (template, model) in PAGES.items()
    }
