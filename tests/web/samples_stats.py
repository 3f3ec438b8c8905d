"""Samples for the pages of statistics."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from cloud_api.web.view_models import ConsoleShell, Shell
from cloud_api.web.view_models.stats import (
    Advice,
    Chart,
    Choice,
    GuestRow,
    Kpi,
    StatGuestsPage,
    StatRow,
    StatRowsPage,
    StatsPage,
)

AT = datetime(2026, 11, 23, 14, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
CASH = Chart(
    key="cash",
    kind="bar",
    title="每天到账",
    sub="按钱的来处",
    finding="周六 21最多，¥912，占 21%",
    data={
        "x": ["周六 21", "周日 22"],
        "series": [{"name": "预约", "values": [91_200, 60_800]}],
        "before": {"name": "上期", "values": [80_000, 70_000]},
        "unit": "fen",
        "stack": True,
    },
    head=("日期", "预约", "上期"),
    rows=(("周六 21", "¥912", "¥800"), ("周日 22", "¥608", "¥700")),
    wide=True,
    href="/console/stats/rows/cash?first=2026-11-16&last=2026-11-22",
)
SEGMENTS = Chart(
    key="segments",
    kind="pie",
    title="客人分几类",
    sub="到今天为止的所有客人",
    finding="常客最多，占 60%",
    data={"parts": [{"name": "常客", "value": 3}, {"name": "新客", "value": 2}], "unit": "位"},
    head=("哪里", "多少", "占比"),
    rows=(("常客", "3", "60.0%"), ("新客", "2", "40.0%")),
    links={"常客": "/console/stats/guests/loyal"},
)
HEAT = Chart(
    key="heat",
    kind="heat",
    title="什么时候坐满",
    sub="出租率，小时 × 星期",
    finding="周六 21 点最满，91%",
    data={"x": ["20", "21"], "y": ["周五", "周六"], "cells": [[0, 0, 40], [1, 1, 91]]},
    head=("星期", "20 点", "21 点"),
    rows=(("周五", "40%", "—"), ("周六", "—", "91%")),
    wide=True,
)
STATS = StatsPage(
    views=(
        Choice("经营", "/console/stats?view=business", on=True),
        Choice("客人", "/console/stats"),
    ),
    kinds=(Choice("周", "/console/stats?kind=week", on=True), Choice("月", "/console/stats")),
    period="11月16日–11月22日",
    compared="和上周比：11/9–11/15",
    previous_href="/console/stats?day=2026-11-09",
    next_href="/console/stats?day=2026-11-23",
    stores=(("s1", "雀友会·静安店"), ("s2", "分店")),
    store_id="s1",
    rooms=(("r1", "竹间"), ("r2", "梅间")),
    room_id="r2",
    channels=(("app", "自己的页面"), ("meituan", "美团、大众点评")),
    first="2026-11-16",
    last="2026-11-22",
    kind="custom",
    view="business",
    kpis=(
        Kpi(
            "到账收入",
            "顾客付来的减去退回的",
            "¥4,408",
            "+6.4%",
            "good",
            "/console/stats/rows/cash",
        ),
        Kpi("出租率", "卖出的时间占营业时间", "—", "上期没有"),
    ),
    charts=(CASH, SEGMENTS, HEAT, replace(CASH, key="none", rows=(), wide=False)),
    as_of=AT,
    behind=0,
    empty=False,
    export="{}",
    advice=(
        Advice(
            key="quiet_hours-s1",
            icon="ticket",
            title="周一到周四 13–17 点，¥91 / 4 小时",
            why="过去 4 周这个时段出租率 21%，全店白天平均 46%，每周空着 38 间时",
            rule="4 小时的时段出租率低于 40%，而且比全店白天的平均低 10 个点以上",
            gain="空着的卖掉三成，约 ¥260 / 周",
            href="/console/stats/rows/occupancy?first=2026-10-26&last=2026-11-22",
            post="/api/v1/console/campaigns",
            body="{}",
            done="/console/campaigns",
            act="建活动草稿",
        ),
    ),
    checked=("雀友会·静安店：没有几位常客要走",),
)
ROWS = StatRowsPage(
    text="确认收入",
    what="用掉了才算的收入",
    period="11月16日–11月22日",
    total="¥76",
    rows=(
        StatRow(AT, "2611231430123456", "/console/orders/o1", "竹间", "自己的页面", "账本", "¥76"),
        StatRow(AT, "设备没有回应", "", "", "", "告警", "1"),
    ),
    more_href="/console/stats/rows/revenue?last=2026-11-20",
    back_href="/console/stats",
)
GUESTS = StatGuestsPage(
    text="快要走的常客",
    what="31–90 天没来，以前来过 4 次以上",
    total=3,
    rows=(GuestRow("尾号 4821", 6, 45_600, "2026-06-01", "2026-10-02", "drifting"),),
    back_href="/console/stats?view=guests",
)


def console_pages(nav: ConsoleShell, staff: Shell) -> dict[str, tuple[str, dict[str, object]]]:
    """The pages of staff."""
    pages: tuple[tuple[str, str, object], ...] = (
        ("console-stats", "stats", STATS),
        ("console-stats-empty", "stats", replace(STATS, empty=True, stores=())),
        ("console-stats-behind", "stats", replace(STATS, behind=3, as_of=None, kind="week")),
        ("console-stats-rows", "stats_rows", ROWS),
        ("console-stats-no-rows", "stats_rows", replace(ROWS, rows=(), more_href="")),
        ("console-stats-guests", "stats_guests", GUESTS),
        ("console-stats-no-guests", "stats_guests", replace(GUESTS, rows=(), total=0)),
    )
    return {
        name: (
            f"console/{page}.html",
            {"page": model, "nav": replace(nav, here="stats"), "shell": staff},
        )
        for name, page, model in pages
    }
