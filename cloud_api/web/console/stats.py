"""Statistics for the owner: a period in charts, against the one before; the rows behind each figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import ngettext
from cloud_api.kit.money import yuan
from cloud_api.reports import advice, service
from cloud_api.reports.advice import AdviceOut, AdvicesOut
from cloud_api.reports.measures import CHANNELS
from cloud_api.reports.periods import Kind, Period, period_of
from cloud_api.reports.schemas import FigureOut, GuestsOut, SummaryOut
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import ORDER_EXPORT
from cloud_api.stores.models import Room, Store
from cloud_api.web.console import stat_charts as charts
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.room_days import rooms_of_all
from cloud_api.web.view_models.stats import (
    Advice,
    Chart,
    Choice,
    Kpi,
    StatsPage,
)

router = APIRouter(prefix="/console/stats", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
VIEWS: Final = {"business": "经营", "guests": "客人", "group": "团购", "devices": "设备与电"}
_KINDS: Final = {"day": "日", "week": "周", "month": "月", "custom": "自选"}
_BEFORE: Final = {"day": "前一天", "week": "上周", "month": "上月", "custom": "前一段"}
_PERMILLE: Final = 0.05  # below it nothing changed


@router.get("")
async def stats(
    seen: Seen,
    who: Who,
    view: Annotated[str, Query(max_length=20)] = "business",
    kind: Annotated[str, Query(max_length=10)] = "week",
    day: str = "",
    first: str = "",
    last: str = "",
    store: Annotated[str, Query(max_length=64)] = "",
    room: Annotated[str, Query(max_length=64)] = "",
    channel: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """A period in charts, of a store, a room, a channel. Needs report.read.

    What of the URL is no period counts as this week; a room or channel that is none, as all of them.
    """
    view = view if view in VIEWS else "business"
    channel = channel if channel in CHANNELS else ""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        if not frame.stores:
            here = seen.at(frame.tz)
            return console_page(
                here, who, frame, "console/stats.html", _nothing(view), here="stats"
            )
        shops = [one for one in frame.stores if one.id == store] or frame.stores
        rooms = await rooms_of_all(session, who, shops)
        room = room if any(one.id == room for one in rooms) else ""
        period, wanted, stores = await service.asked(
            session, who, seen.cloud.clocks, kind=_kind(kind), day=day_of(day),
            first=day_of(first), last=day_of(last),
            store_id=store if any(one.id == store for one in frame.stores) else None,
            room_id=room or None, channel=channel or None,
        )  # fmt: skip
        told = await service.summary(
            session, who, period, wanted, stores, seen.cloud.clocks, segments=view == "guests"
        )
        tips = AdvicesOut(items=[], quiet=[])
        if view == "business" and not told.parted:
            tips = await advice.advice(session, who, stores, seen.cloud.clocks)
    here = seen.at(stores[0].tz)
    model = _page(here, told, period, view, frame.stores, store, who.permissions)
    model = replace(
        model, rooms=_rooms(rooms, shops), room_id=room, channels=_sources(), channel=channel
    )
    if view == "business" and not model.empty and not told.parted:
        shown_tips = tuple(_tip(one, who.permissions) for one in tips.items)
        model = replace(model, advice=shown_tips, checked=tuple(tips.quiet))
    return console_page(here, who, frame, "console/stats.html", model, here="stats")


_DRAFTS: Final = {
    "campaign": ("ticket", "建活动草稿", "/console/campaigns"),
    "coupon": ("ticket-percent", "做这张券", "/console/coupons"),
    "price": ("chart-column", "加这条价", "/console/prices"),
}


def _tip(one: AdviceOut, permissions: frozenset[str]) -> Advice:
    icon, act, done = _DRAFTS[one.draft.kind]
    may = one.draft.permission in permissions
    trace = dict(one.trace)
    store = trace.pop("store_id")
    if (segment := trace.get("segment")) is not None:
        href = href_of(f"/console/stats/guests/{segment}", store=store)
    else:
        href = href_of(f"/console/stats/rows/{trace.pop('figure')}", store=store, **trace)
    return Advice(
        key=f"{one.key}-{one.store_id}",
        icon=icon,
        title=one.title,
        why=one.why,
        rule=one.rule,
        gain=one.gain,
        href=href,
        post=one.draft.path if may else "",
        body=json.dumps(one.draft.body, ensure_ascii=False),
        done=done,
        act=_(act),
        kind=one.draft.kind,
    )


def _kind(text: str) -> Kind:
    return text if text in _KINDS else "week"  # type: ignore[return-value]  # one of its words


def day_of(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 2000 <= day.year < 2100 else None


def href_of(path: str, **query: object) -> str:
    told = {key: str(value) for key, value in query.items() if value not in {"", None}}
    return f"{path}?{urlencode(told)}" if told else path


def _nothing(view: str) -> StatsPage:
    return StatsPage(
        views=(), kinds=(), period="", compared="", previous_href="", next_href="", stores=(),
        store_id="", first="", last="", kind="week", view=view, kpis=(), charts=(), as_of=None,
        behind=0, empty=True,
    )  # fmt: skip


def _page(
    here: Visit,
    told: SummaryOut,
    period: Period,
    view: str,
    stores: list[Store],
    store: str,
    permissions: frozenset[str],
) -> StatsPage:
    part: dict[str, Any] = {"store": store, "room": told.room_id, "channel": told.channel}
    same: dict[str, Any] = {"kind": period.kind, **part}
    if period.kind == "custom":
        same |= {"first": period.first, "last": period.last}
    else:
        same["day"] = period.first
    before = period.earlier()
    later = (
        period_of(period.kind, period.until, period.next_anchor())
        if period.kind != "custom"
        else None
    )
    back: dict[str, Any] = {"view": view, "kind": period.kind, **part}
    on = dict(back)
    if period.kind == "custom":
        step = period.last - period.first + timedelta(days=1)
        back |= {"first": before.first, "last": before.last}
        on |= {"first": period.first + step, "last": period.last + step}
    else:
        back["day"], on["day"] = before.first, later.first if later else None
    return StatsPage(
        views=tuple(
            Choice(_(text), href_of("/console/stats", view=key, **same), key == view)
            for key, text in VIEWS.items()
        ),
        kinds=tuple(
            Choice(
                _(text),
                href_of(
                    "/console/stats",
                    view=view,
                    kind=key,
                    **part,
                    day=min(period.until, period.last),
                )
                if key != "custom"
                else href_of(
                    "/console/stats",
                    view=view,
                    kind=key,
                    **part,
                    first=period.first,
                    last=period.last,
                ),
                key == period.kind,
            )
            for key, text in _KINDS.items()
        ),
        period=period_words(period),
        compared=_("和{before}比：{a}–{b}").format(
            before=_(_BEFORE[period.kind]), a=_short(before.first), b=_short(before.until)
        ),
        previous_href=href_of("/console/stats", **back),
        next_href=href_of("/console/stats", **on),
        stores=tuple((one.id, one.name) for one in stores),
        store_id=store,
        first=f"{period.first}",
        last=f"{period.last}",
        kind=period.kind,
        view=view,
        kpis=_kpis(told, view),
        charts=_charts(told, view),
        as_of=None if told.as_of is None else here.local(told.as_of),
        behind=told.behind,
        export=""
        if ORDER_EXPORT not in permissions
        else json.dumps(
            {
                "first": f"{period.first}",
                "last": f"{period.until}",
                "store_id": store,
                "room_id": told.room_id or "",
                "channel": told.channel,
            }
        ),
        empty=not told.guests_ever
        and not any(f.value for f in told.figures if f.key in {"made", "cash", "revenue"}),
    )


def _rooms(rooms: Sequence[Room], shops: Sequence[Store]) -> tuple[tuple[str, str], ...]:
    """Rooms to choose from, with their store's name where there are several."""
    named = {one.id: one.name for one in shops}
    return tuple(
        (one.id, f"{one.name} · {named[one.store_id]}" if len(shops) > 1 else one.name)
        for one in rooms
    )


def _sources() -> tuple[tuple[str, str], ...]:
    return tuple((key, _(text)) for key, text in CHANNELS.items() if key)


def _short(day: date) -> str:
    return f"{day.month}/{day.day}"


def period_words(period: Period) -> str:
    first, last = period.first, period.last
    if period.kind == "month":
        return _("{y} 年 {m} 月").format(y=first.year, m=first.month)
    if first == last:
        return _("{m}月{d}日 {w}").format(
            m=first.month, d=first.day, w=charts.weekday(first.weekday())
        )
    year = f"{first.year} · " if first.year != last.year else ""
    return year + _("{a}月{b}日–{c}月{d}日").format(
        a=first.month, b=first.day, c=last.month, d=last.day
    )


_SHOWN: Final = {
    "business": ("cash", "revenue", "made", "occupancy", "ticket", "cancelled"),
    "guests": ("stays", "ticket", "lead"),
    "group": ("group_fen", "group_sold", "redeemed"),
    "devices": ("energy", "faults", "occupancy"),
}


def _kpis(told: SummaryOut, view: str) -> tuple[Kpi, ...]:
    by_key = {one.key: one for one in told.figures}
    found = [_kpi(told, by_key[key]) for key in _SHOWN[view]]
    now, then = told.guests, told.guests_before
    if view == "guests" and now is not None and then is not None:
        found = [*_guest_kpis(now, then), *found]
    if view == "group" and now is not None and then is not None:
        found.append(
            _part(
                _("用券的客人"), _("来过的客人里用团购券的"),
                now.with_voucher, now.active, then.with_voucher, then.active,
            )
        )  # fmt: skip
    return tuple(found)


def _guest_kpis(now: GuestsOut, then: GuestsOut) -> list[Kpi]:
    change, tone = _change(now.active, then.active, "count", good=True)
    return [
        Kpi(_("来过的客人"), _("这段时间来过的，一人算一次"), str(now.active), change, tone),
        _part(
            _("回头客"), _("以前来过，或这段时间来了两次以上"),
            now.returning, now.active, then.returning, then.active,
        ),
        _part(
            _("新客"), _("第一次来的"), now.fresh, now.active, then.fresh, then.active, good=None
        ),
    ]  # fmt: skip


def _part(
    text: str, what: str, some: int, of: int, was: int, was_of: int, *, good: bool | None = True
) -> Kpi:
    value = round(100 * some / of, 1) if of else None
    before = round(100 * was / was_of, 1) if was_of else None
    change, tone = _change(value, before, "per_cent", good=good)
    return Kpi(text, what, "—" if value is None else f"{value}%", change, tone)


def _kpi(told: SummaryOut, one: FigureOut) -> Kpi:
    change, tone = _change(one.value, one.before, one.unit, good=one.good)
    return Kpi(
        one.text,
        one.what,
        shown(one.value, one.unit),
        change,
        tone,
        charts.rows_href(told, one.key),
    )


def shown(value: float | int | None, unit: str) -> str:
    """A figure as people read it."""
    if value is None:
        return "—"
    if unit == "fen":
        return yuan(int(value))
    if unit == "fen_each":
        return charts.whole_yuan(value)
    if unit == "per_cent":
        return f"{value}%"
    if unit == "kwh_per_hour":
        return _("{n} 度").format(n=value)
    if unit == "minutes":
        if value < 120:
            return _("{n} 分钟").format(n=round(value))
        if value < 2880:
            return _("{n} 小时").format(n=round(value / 60, 1))
        count = round(value / 1440, 1)
        return ngettext("{n} 天", "{n} 天", round(count)).format(n=count)
    return f"{value:,}"


def _change(
    value: float | int | None, before: float | int | None, unit: str, *, good: bool | None
) -> tuple[str, str]:
    """How much more or less than before, and whether that is good."""
    if value is None or before is None or (unit != "per_cent" and not before):
        return _("上期没有"), ""
    gap = value - before
    text = (
        _("{n} 点").format(n=f"{gap:+.1f}") if unit == "per_cent" else f"{100 * gap / before:+.1f}%"
    )
    if abs(gap) < _PERMILLE:
        return _("和上期一样"), ""
    tone = "" if good is None else "good" if (gap > 0) is good else "bad"
    return text.replace("-", "−"), tone


def _charts(told: SummaryOut, view: str) -> tuple[Chart, ...]:
    if view == "guests":
        store = told.store_ids[0] if len(told.store_ids) == 1 else ""
        links = {
            one.text: href_of(f"/console/stats/guests/{one.key}", store=store)
            for one in told.segments
        }
        segments = [(one.text, one.guests) for one in told.segments]
        found = [
            charts.pie("segments", _("客人分几类"), _("到今天为止的所有客人，按多久没来、来几次、花多少"), segments, _("位"), links),
            charts.columns("leads", _("提前多久订"), _("从下单到开始"), told.leads, _("订单")),
            charts.columns("spends", _("一场花多少"), _("实付，不含退掉的"), told.spends, _("场次")),
        ]  # fmt: skip
        if told.parted:  # a guest is a guest of the house, not of a room
            found = found[1:]
        if told.guests is not None:
            came = told.guests
            parts = [(_("以前来过"), came.active - came.fresh), (_("第一次来"), came.fresh)]
            found.insert(
                1, charts.pie("fresh", _("新客和老客"), _("这段时间来过的"), parts, _("位"))
            )
        return tuple(found)
    if view == "group":
        return (
            charts.per_day(told, "group_sold", _("卖出和核销"), _("张"),
                           (("group_sold", _("卖出")), ("redeemed", _("核销")))),
            charts.per_day(told, "group_fen", _("团购金额"), _("付款当天"),
                           (("group_fen", _("金额")),), unit="fen", kind="line"),
        )  # fmt: skip
    if view == "devices":
        return (
            charts.rate(told),
            charts.per_day(told, "faults", _("设备故障"), _("断线、门没开、过载的告警"),
                           (("faults", _("次")),)),
        )  # fmt: skip
    if (
        told.parted
    ):  # the hours of a day, and what is on offer, are counted for all rooms and sources
        of_one = (
            charts.sources("rooms", _("订在哪间"), _("按包间"), told.rooms)
            if told.channel is not None
            else charts.sources("channels", _("订单从哪来"), _("按下单的来处"), told.channels)
        )
        return charts.cash(told), of_one, charts.revenue(told)
    found = [
        charts.cash(told),
        charts.sources("channels", _("订单从哪来"), _("按下单的来处"), told.channels),
        charts.heat(told),
        charts.by_occupancy("rooms", _("哪间最受欢迎"), told, told.rooms),
        charts.revenue(told),
    ]
    if told.stores:
        found.append(charts.by_occupancy("stores", _("哪家店卖得好"), told, told.stores))
    return tuple(found)
