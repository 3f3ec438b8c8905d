"""A period's numbers as charts: each with the question it answers, the answer, and the table behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.reports.measures import CASH, CASH_WORDS, REVENUE, REVENUE_WORDS
from cloud_api.reports.schemas import LineOut, ShareOut, SummaryOut
from cloud_api.web.view_models.stats import Chart

_MOST: Final = 5  # parts of a whole; the rest is one more
_HOURS: Final = (*range(6, 24), *range(6))  # a business day's
Number = int | float | None


def whole_yuan(fen: float | int | None) -> str:
    """Money in whole yuan, where fen do not matter."""
    return "—" if fen is None else yuan(round(fen / 100) * 100)


def weekday(day: int) -> str:
    """Of 0 = Monday."""
    return (_("周一"), _("周二"), _("周三"), _("周四"), _("周五"), _("周六"), _("周日"))[day]


def buckets(days: Sequence[LineOut]) -> list[tuple[str, dict[str, int]]]:
    """Days of up to two months, weeks of up to half a year, else months; each with its label."""
    step: Callable[[date], tuple[Any, str]]
    if len(days) > 190:
        step = lambda d: ((d.year, d.month), f"{d:%Y-%m}")  # noqa: E731  three ways to say one thing
    elif len(days) > 62:
        step = lambda d: (d.isocalendar()[:2], f"{d.month}/{d.day}")  # noqa: E731
    elif len(days) <= 7:
        step = lambda d: (d, f"{weekday(d.weekday())} {d.day}")  # noqa: E731
    else:
        step = lambda d: (d, f"{d.month}/{d.day}")  # noqa: E731
    found: dict[Any, tuple[str, dict[str, int]]] = {}
    for line in days:
        key, label = step(date.fromisoformat(line.key))
        _label, sums = found.setdefault(key, (label, dict.fromkeys(line.sums, 0)))
        for name, some in line.sums.items():
            sums[name] += some
    return list(found.values())


def cash(told: SummaryOut) -> Chart:
    """What came in, by source, and what it was before."""
    return _money(told, "cash", _("每天到账"), _("按钱的来处"), CASH, CASH_WORDS, stacked=True)


def revenue(told: SummaryOut) -> Chart:
    """What was used and so is revenue."""
    title, sub = _("每天确认收入"), _("用掉了才算，和账本一致")
    return _money(told, "revenue", title, sub, REVENUE, REVENUE_WORDS, stacked=False)


def _money(
    told: SummaryOut,
    key: str,
    title: str,
    sub: str,
    columns: Sequence[str],
    words: dict[str, str],
    *,
    stacked: bool,
) -> Chart:
    now, before = buckets(told.days), buckets(told.days_before)
    totals = [sum(sums[name] for name in columns) for _label, sums in now]
    then = [sum(sums[name] for name in columns) for _label, sums in before][: len(now)]
    series = (
        [{"name": _(words[name]), "values": [sums[name] for _l, sums in now]} for name in columns]
        if stacked
        else [{"name": title, "values": totals}]
    )
    best = max(range(len(totals)), key=totals.__getitem__) if any(totals) else None
    finding = _("这段时间没有钱进出")
    if best is not None and sum(totals) > 0:
        finding = _("{day}最多，{fen}，占 {n}%").format(
            day=now[best][0],
            fen=whole_yuan(totals[best]),
            n=round(100 * totals[best] / sum(totals)),
        )
    return Chart(
        key=key,
        kind="bar" if stacked else "line",
        title=title,
        sub=sub,
        finding=finding,
        data={
            "x": [label for label, _sums in now],
            "series": series,
            "before": {"name": _("上期"), "values": then},
            "unit": "fen",
            "stack": stacked,
        },
        head=(_("日期"), *(_(words[name]) for name in columns), _("合计"), _("上期")),
        rows=tuple(
            (
                label,
                *(yuan(sums[name]) for name in columns),
                yuan(totals[n]),
                yuan(then[n]) if n < len(then) else "—",
            )
            for n, (label, sums) in enumerate(now)
        )
        if any(totals) or any(then)
        else (),
        wide=True,
        href=rows_href(told, key),
    )


def per_day(
    told: SummaryOut,
    key: str,
    title: str,
    sub: str,
    names: Sequence[tuple[str, str]],
    *,
    unit: str = "count",
    kind: str = "bar",
) -> Chart:
    """Counts by day; ``names`` are columns with their words."""
    now = buckets(told.days)
    series = [
        {"name": text, "values": [sums[name] for _label, sums in now]} for name, text in names
    ]
    show: Callable[[int], str] = yuan if unit == "fen" else str
    totals = [sum(sums[name] for _label, sums in now) for name, _text in names]
    finding = "，".join(
        _("{what} {n}").format(what=text, n=show(total))
        for (_name, text), total in zip(names, totals, strict=True)
    )
    return Chart(
        key=key,
        kind=kind,
        title=title,
        sub=sub,
        finding=_("合计：{all}").format(all=finding),
        data={"x": [label for label, _s in now], "series": series, "unit": unit, "stack": False},
        head=(_("日期"), *(text for _name, text in names)),
        rows=tuple((label, *(show(sums[name]) for name, _t in names)) for label, sums in now)
        if any(totals)
        else (),
        wide=True,
        href=rows_href(told, key),
    )


def pie(
    key: str,
    title: str,
    sub: str,
    parts: Sequence[tuple[str, int]],
    one: str,
    links: dict[str, str] | None = None,
) -> Chart:
    """Shares of a whole: the greatest five, then the rest. ``links`` lead on from a part."""
    whole = sum(count for _text, count in parts)
    ordered = sorted((part for part in parts if part[1]), key=lambda part: -part[1])
    shown = ordered[:_MOST]
    if rest := sum(count for _text, count in ordered[_MOST:]):
        shown.append((_("其他"), rest))
    finding = _("还没有可分的")
    if shown:
        finding = _("{what}最多，占 {n}%").format(
            what=shown[0][0], n=round(100 * shown[0][1] / whole)
        )
    return Chart(
        key=key,
        kind="pie",
        title=title,
        sub=sub,
        finding=finding,
        data={"parts": [{"name": text, "value": n} for text, n in shown], "unit": one},
        head=(_("哪里"), _("多少"), _("占比")),
        rows=tuple((text, str(n), f"{100 * n / whole:.1f}%") for text, n in ordered),
        links=links or {},
    )


def sources(key: str, title: str, sub: str, lines: Sequence[LineOut]) -> Chart:
    """Where orders come from or lie: their shares, and in the table what each brings."""
    found = sorted(
        (line for line in lines if any(line.sums[name] for name in ("made", "stays", *REVENUE))),
        key=lambda line: (-line.sums["made"], -line.sums["stays"]),
    )
    drawn = pie(key, title, sub, [(line.name, line.sums["made"]) for line in found], _("单"))
    whole = sum(line.sums["made"] for line in found)
    rows = []
    for line in found:
        sums = line.sums
        each = sums["stay_fen"] / sums["stays"] if sums["stays"] else None
        part = f"{100 * sums['made'] / whole:.1f}%" if whole else "—"
        income = yuan(sum(sums[name] for name in REVENUE))
        rows.append(
            (line.name, str(sums["made"]), part, str(sums["stays"]), whole_yuan(each), income)
        )
    head = (_("名称"), _("订单"), _("占比"), _("场次"), _("场均"), _("确认收入"))
    return replace(drawn, head=head, rows=tuple(rows))


def columns(key: str, title: str, sub: str, shares: Sequence[ShareOut], one: str) -> Chart:
    """A distribution, in the order of its steps."""
    whole = sum(share.count for share in shares)
    most = max(shares, key=lambda share: share.count, default=None)
    finding = _("还没有可分的")
    if most is not None and whole:
        finding = _("{what}最多，占 {n}%").format(what=most.text, n=round(100 * most.count / whole))
    return Chart(
        key=key,
        kind="bar",
        title=title,
        sub=sub,
        finding=finding,
        data={
            "x": [share.text for share in shares],
            "series": [{"name": title, "values": [share.count for share in shares]}],
            "unit": "count",
            "stack": False,
        },
        head=(_("范围"), one, _("占比")),
        rows=tuple(
            (s.text, str(s.count), f"{100 * s.count / whole:.1f}%" if whole else "—")
            for s in shares
        )
        if whole
        else (),
    )


def heat(told: SummaryOut) -> Chart:
    """Occupancy by hour and weekday."""
    cells: dict[tuple[int, int], float] = {
        (one.weekday, one.hour): 100 * one.busy_minutes / one.open_minutes
        for one in told.hours
        if one.open_minutes
    }
    hours = [h for h in _HOURS if any((d, h) in cells for d in range(7))]
    days = [d for d in range(7) if any((d, h) in cells for h in hours)]
    finding = _("这段时间没有营业")
    if cells:
        (day, hour), most = max(cells.items(), key=lambda one: one[1])
        finding = _("{day} {hour} 点最满，{n}%").format(day=weekday(day), hour=hour, n=round(most))
        if not most:
            finding = _("这段时间没有卖出时间")
    return Chart(
        key="heat",
        kind="heat",
        title=_("什么时候坐满"),
        sub=_("出租率，小时 × 星期；凌晨算前一天"),
        finding=finding,
        data={
            "x": [str(h) for h in hours],
            "y": [weekday(d) for d in days],
            "cells": [
                [hours.index(h), days.index(d), round(min(value, 100))]
                for (d, h), value in cells.items()
            ],
        },
        head=(_("星期"), *(_("{h} 点").format(h=h) for h in hours)),
        rows=tuple(
            (weekday(d), *(f"{cells[d, h]:.0f}%" if (d, h) in cells else "—" for h in hours))
            for d in days
        ),
        wide=True,
        href=rows_href(told, "occupancy"),
    )


def by_occupancy(key: str, title: str, told: SummaryOut, lines: Sequence[LineOut]) -> Chart:
    """Rooms or stores by how much of their time was taken, and what a stay brings."""
    found = []
    for line in lines:
        sums = line.sums
        if sums["open_minutes"] or sums["stays"]:
            offered = sums["open_minutes"]
            part = round(100 * sums["busy_minutes"] / offered, 1) if offered else 0.0
            each = round(sums["stay_fen"] / sums["stays"]) if sums["stays"] else None
            found.append((line.name, part, each, sums["stays"], sum(sums[n] for n in REVENUE)))
    found.sort(key=lambda one: -one[1])
    finding = _("这段时间没有营业")
    if found:
        finding = _("{top}最受欢迎，{n}%").format(top=found[0][0], n=found[0][1])
        if len(found) > 1:
            finding += _("；{low}最空，{n}%").format(low=found[-1][0], n=found[-1][1])
    return Chart(
        key=key,
        kind="rows",
        title=title,
        sub=_("出租率 · 场均"),
        finding=finding,
        data={
            "x": [one[0] for one in found[:12]],
            "series": [{"name": _("出租率"), "values": [one[1] for one in found[:12]]}],
            "notes": [whole_yuan(one[2]) for one in found[:12]],
            "unit": "per_cent",
        },
        head=(_("名称"), _("出租率"), _("场次"), _("场均"), _("确认收入")),
        rows=tuple(
            (name, f"{part}%", str(stays), whole_yuan(each), yuan(fen))
            for name, part, each, stays, fen in found
        ),
        href=rows_href(told, "occupancy"),
    )


def rate(told: SummaryOut) -> Chart:
    """Energy by paid hour, day by day."""
    now = buckets(told.days)
    values: list[Number] = [
        round(s["energy_wh"] * 60 / s["energy_minutes"] / 1000, 2) if s["energy_minutes"] else None
        for _label, s in now
    ]
    wh = sum(s["energy_wh"] for _l, s in now)
    minutes = sum(s["energy_minutes"] for _l, s in now)
    finding = _("这段时间没有电表的读数")
    if minutes:
        finding = _("一共 {kwh} 千瓦时，{h} 个使用小时").format(
            kwh=round(wh / 1000, 1), h=round(minutes / 60, 1)
        )
    return Chart(
        key="energy",
        kind="line",
        title=_("每小时用多少电"),
        sub=_("千瓦时每使用小时，只算有电表的场次"),
        finding=finding,
        data={
            "x": [label for label, _s in now],
            "series": [{"name": _("千瓦时每小时"), "values": values}],
            "unit": "count",
        },
        head=(_("日期"), _("千瓦时"), _("使用小时"), _("千瓦时每小时")),
        rows=tuple(
            (label, f"{s['energy_wh'] / 1000:.1f}", f"{s['energy_minutes'] / 60:.1f}",
             "—" if value is None else f"{value:.2f}")
            for (label, s), value in zip(now, values, strict=True)
        )
        if minutes
        else (),
        wide=True,
        href=rows_href(told, "energy"),
    )  # fmt: skip


def rows_href(told: SummaryOut, figure: str) -> str:
    """The page of the rows behind a figure of this period."""
    store = told.store_ids[0] if len(told.store_ids) == 1 else ""
    parts = {"room": told.room_id, "channel": told.channel}
    query = {"first": told.first, "last": told.until, "store": store}
    query |= {key: value for key, value in parts.items() if value}
    return f"/console/stats/rows/{figure}?{urlencode(query)}"
