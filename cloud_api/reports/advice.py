"""What is worth trying, with the reason, the threshold and the numbers it rests on; one request makes the draft.

Rules look at the last four whole weeks of a store. None says anything before there were ``ENOUGH_DAYS`` days
and ``ENOUGH_STAYS`` stays. Gains are estimates and say of what they are made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.ledger.days import business_day
from cloud_api.pricing.models import Tariff
from cloud_api.reports import query
from cloud_api.reports.query import Wanted
from cloud_api.staff.permissions import CAMPAIGN_EDIT, COUPON_EDIT, PRICE_EDIT, REPORT_READ
from cloud_api.stores.models import Store

WEEKS: Final = 4
ENOUGH_DAYS: Final = 14
ENOUGH_STAYS: Final = 20
QUIET: Final = 40  # per cent; below it a time is quiet
FULL: Final = 80  # above it a time is full
APART: Final = (
    10  # points below the store's own average, so that a quiet store is not told of all its hours
)
AWAY: Final = 3  # regulars who stay away
_DAYS: Final = {"weekdays": range(4), "weekend": range(4, 7)}
_MASK: Final = {"weekdays": 0b0001111, "weekend": 0b1110000}
_SOLD: Final = 0.3  # of the idle hours, a guess
_BACK: Final = 0.25  # of the regulars, a guess
_PACKAGE_H: Final = 4
_PEAK_H: Final = 3


class DraftOut(BaseModel):
    """What makes the draft: POST ``body`` to ``path``; it needs ``permission``."""

    kind: str  # campaign | coupon | price
    permission: str
    path: str
    body: dict[str, Any]


class AdviceOut(BaseModel):
    """``why`` has the numbers, ``rule`` the threshold; ``trace`` names their rows: figure or segment, and days."""

    key: str
    store_id: str
    title: str
    why: str
    rule: str
    gain: str
    trace: dict[str, str]
    draft: DraftOut


class AdvicesOut(BaseModel):
    """``quiet`` says of the rules that found nothing what they looked at."""

    items: list[AdviceOut]
    quiet: list[str]


@dataclass(frozen=True, slots=True)
class _Store:
    """What the rules look at."""

    store: Store
    first: date
    last: date
    hours: dict[tuple[int, int], tuple[int, int]]
    sums: dict[str, int]
    drifting: int
    priority: int
    now: datetime

    def part(self, days: range, hours: range) -> tuple[int, int]:
        """Minutes taken and on offer at some hours of some weekdays."""
        cells = [self.hours.get((d, h % 24), (0, 0)) for d in days for h in hours]
        return sum(busy for busy, _open in cells), sum(offered for _busy, offered in cells)

    @property
    def hourly_fen(self) -> int:
        """What an hour brought on average."""
        return round(60 * self.sums["stay_fen"] / self.sums["minutes"])

    @property
    def ticket_fen(self) -> int:
        """What a stay brought on average."""
        return round(self.sums["stay_fen"] / self.sums["stays"])

    def trace(self) -> dict[str, str]:
        """The rows of its occupancy."""
        days = {"first": f"{self.first}", "last": f"{self.last}", "store_id": self.store.id}
        return {"figure": "occupancy", **days}


async def advice(
    session: AsyncSession, who: Staff, stores: list[Store], clocks: Clocks
) -> AdvicesOut:
    """What is worth trying in these stores. Needs report.read."""
    who.need(REPORT_READ)
    found = AdvicesOut(items=[], quiet=[])
    looked = await _look(session, who, stores, clocks)
    for store in stores:
        seen = looked.get(store.id)
        if seen is None:
            found.quiet.append(
                _("{store}：数据还不够，要营业 {d} 天、{n} 场以上").format(
                    store=store.name, d=ENOUGH_DAYS, n=ENOUGH_STAYS
                )
            )
            continue
        for rule in _RULES:
            told = rule(seen)
            if isinstance(told, AdviceOut):
                found.items.append(told)
            else:
                found.quiet.append(_("{title}：{what}").format(title=store.name, what=told))
    return found


async def _look(
    session: AsyncSession, who: Staff, stores: list[Store], clocks: Clocks
) -> dict[str, _Store]:
    """What there is to see of each store that was open long enough, read for all of a day at once."""
    found: dict[str, _Store] = {}
    old = [
        (one, today)
        for one in stores
        if ((today := business_day(clocks.now, one.tz)) - business_day(one.created_at, one.tz)).days
        >= ENOUGH_DAYS
    ]
    top = await _priorities(session, who)
    for today in sorted({day for _store, day in old}):
        mine = [store for store, day in old if day == today]
        ids = tuple(one.id for one in mine)
        first, last = today - timedelta(days=7 * WEEKS), today - timedelta(days=1)
        wanted = Wanted(first, last, ids)
        sums = await query.sums(session, who, wanted, "store")
        hours = await query.hours_by(session, who, wanted, store=True)
        drifting = await query.drifting(session, who, ids, today)
        for store in mine:
            told = sums.get(store.id)
            if told is None or told["stays"] < ENOUGH_STAYS or not told["minutes"]:
                continue
            found[store.id] = _Store(
                store=store,
                first=first,
                last=last,
                hours=hours[store.id],
                sums=told,
                drifting=drifting.get(store.id, 0),
                priority=min(100, top.get(store.id, 0) + 1),
                now=clocks.now.astimezone(ZoneInfo(store.tz)),
            )
    return found


async def _priorities(session: AsyncSession, who: Staff) -> dict[str, int]:
    """The highest priority of each store's tariffs."""
    tariffs = scoped(who, Tariff).subquery()
    query = select(tariffs.c.store_id, func.max(tariffs.c.priority)).group_by(tariffs.c.store_id)
    return {row[0]: int(row[1] or 0) for row in (await session.execute(query)).all()}


def _days_word(which: str) -> str:
    return _("周一到周四") if which == "weekdays" else _("周五到周日")


def _round_yuan(fen: float) -> int:
    return max(100, round(fen / 100) * 100)


def _quiet(seen: _Store) -> AdviceOut | str:
    """A package for the quietest four hours."""
    whole = seen.part(range(7), range(9, 24))
    average = 100 * whole[0] / whole[1] if whole[1] else 0
    windows = []
    for which, days in _DAYS.items():
        for start in range(9, 24 - _PACKAGE_H + 1):
            busy, offered = seen.part(days, range(start, start + _PACKAGE_H))
            if offered:
                windows.append((100 * busy / offered, which, start, busy, offered))
    rule = _("{h} 小时的时段出租率低于 {q}%，而且比全店白天的平均低 {a} 个点以上").format(
        h=_PACKAGE_H, q=QUIET, a=APART
    )
    if not windows or min(windows)[0] >= QUIET or min(windows)[0] > average - APART:
        return _("没有特别空的时段（{rule}）").format(rule=rule)
    part, which, start, busy, offered = min(windows)
    price = _round_yuan(seen.hourly_fen * _PACKAGE_H * 0.6)
    idle = (offered - busy) / 60 / WEEKS
    gain = round(idle * _SOLD / _PACKAGE_H * price / 100) * 100
    title = _("{days} {a}–{b} 点，{price} / {h} 小时").format(
        days=_days_word(which), a=start, b=start + _PACKAGE_H, price=yuan(price), h=_PACKAGE_H
    )
    local = seen.now.replace(hour=0, minute=0, second=0, microsecond=0)
    return AdviceOut(
        key="quiet_hours",
        store_id=seen.store.id,
        title=title,
        why=_("过去 {w} 周这个时段出租率 {n}%，全店白天平均 {m}%，每周空着 {idle} 间时").format(
            w=WEEKS, n=round(part), m=round(average), idle=round(idle)
        ),
        rule=rule,
        gain=_("空着的卖掉三成，约 {fen} / 周").format(fen=yuan(gain)),
        trace=seen.trace(),
        draft=DraftOut(
            kind="campaign",
            permission=CAMPAIGN_EDIT,
            path="/api/v1/console/campaigns",
            body={
                "name": _("{days}{h} 小时").format(days=_days_word(which), h=_PACKAGE_H),
                "price_fen": price,
                "list_fen": max(price, _round_yuan(seen.hourly_fen * _PACKAGE_H)),
                "minutes": 60 * _PACKAGE_H,
                "starts_at": local.isoformat(),
                "ends_at": (local + timedelta(days=30)).isoformat(),
                "store_ids": [seen.store.id],
                "weekdays": _MASK[which],
                "from_minute": 60 * start,
                "until_minute": 60 * (start + _PACKAGE_H),
            },
        ),
    )


def _away(seen: _Store) -> AdviceOut | str:
    """A coupon for regulars who have not come for a month."""
    rule = _("来过 {often} 次以上、{a}–{b} 天没来的客人有 {n} 位以上").format(
        often=query.OFTEN, a=query.RECENT_DAYS + 1, b=query.AWAY_DAYS, n=AWAY
    )
    if seen.drifting < AWAY:
        return _("没有几位常客要走（{rule}，现在 {n} 位）").format(rule=rule, n=seen.drifting)
    off = _round_yuan(seen.ticket_fen * 0.2)
    back = round(seen.drifting * _BACK)
    return AdviceOut(
        key="drifting",
        store_id=seen.store.id,
        title=_("给 {n} 位快要走的常客减 {off}").format(n=seen.drifting, off=yuan(off)),
        why=_("他们来过 {often} 次以上，一个多月没来；场均 {ticket}").format(
            often=query.OFTEN, ticket=yuan(_round_yuan(seen.ticket_fen))
        ),
        rule=rule,
        gain=_("回来四分之一，约 {n} 位、{fen}").format(
            n=back, fen=yuan(_round_yuan(back * (seen.ticket_fen - off)))
        ),
        trace={"segment": "drifting", "store_id": seen.store.id},
        draft=DraftOut(
            kind="coupon",
            permission=COUPON_EDIT,
            path="/api/v1/console/coupons",
            body={
                "name": _("好久不见"),
                "kind": "off",
                "off_fen": off,
                "min_fen": _round_yuan(seen.ticket_fen * 0.8),
                "stores": [seen.store.id],
                "valid_days": 21,
                "stock": seen.drifting,
            },
        ),
    )


def _peak(seen: _Store) -> AdviceOut | str:
    """A higher price for the three hours that are always full."""
    rule = _("{h} 小时的时段出租率高于 {f}%").format(h=_PEAK_H, f=FULL)
    windows = []
    for which, days in _DAYS.items():
        for start in range(9, 24 - _PEAK_H + 1):
            busy, offered = seen.part(days, range(start, start + _PEAK_H))
            if offered:
                windows.append((100 * busy / offered, which, start, busy))
    if not windows or max(windows)[0] <= FULL:
        most = round(max(windows)[0]) if windows else 0
        return _("没有总是坐满的时段（{rule}，最满 {n}%）").format(rule=rule, n=most)
    part, which, start, busy = max(windows)
    hourly = _round_yuan(seen.hourly_fen * 1.1)
    more = hourly - seen.hourly_fen
    return AdviceOut(
        key="full_hours",
        store_id=seen.store.id,
        title=_("{days} {a}–{b} 点卖 {price} / 小时").format(
            days=_days_word(which), a=start, b=start + _PEAK_H, price=yuan(hourly)
        ),
        why=_("过去 {w} 周这个时段出租率 {n}%；全店现在一小时平均收 {fen}").format(
            w=WEEKS, n=round(part), fen=yuan(_round_yuan(seen.hourly_fen))
        ),
        rule=rule,
        gain=_("订的人不变的话，多收约 {fen} / 周").format(
            fen=yuan(_round_yuan(busy / 60 / WEEKS * more))
        ),
        trace=seen.trace(),
        draft=DraftOut(
            kind="price",
            permission=PRICE_EDIT,
            path=f"/api/v1/console/stores/{seen.store.id}/tariffs",
            body={
                "name": _("{days}高峰").format(days=_days_word(which)),
                "hourly_fen": hourly,
                "weekdays": _MASK[which],
                "from_minute": 60 * start,
                "until_minute": 60 * (start + _PEAK_H),
                "priority": seen.priority,
            },
        ),
    )


_RULES: Final[tuple[Callable[[_Store], AdviceOut | str], ...]] = (_quiet, _away, _peak)
