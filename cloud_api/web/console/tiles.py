"""A room's tile: its true state from claims, orders and what the store reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cloud_api.claims.live import NEXT_SOON, Present, next_claim, of_day
from cloud_api.claims.models import RoomClaim
from cloud_api.claims.room_days import RoomDay
from cloud_api.kit.i18n import gettext as _
from cloud_api.web import words
from cloud_api.web.pages import Visit
from cloud_api.web.rendering import clock, hm, hm_end, mmss
from cloud_api.web.view_models import RoomState, Tile

if TYPE_CHECKING:
    from cloud_api.web.console.live import House

_LAST = {
    RoomState.FREE: "空闲",
    RoomState.HELD: "锁定中",
    RoomState.BOOKED: "已预约",
    RoomState.IN_USE: "使用中",
    RoomState.GRACE: "宽限",
    RoomState.OVERTIME: "超时",
    RoomState.CLEANING: "保洁中",
    RoomState.MAINTENANCE: "维护",
    RoomState.CLOSED: "没到营业时间",
}


def progress(claim: RoomClaim, now: datetime) -> float:
    """How much of a stay is over, in per cent."""
    share = (now - claim.starts_at) / (claim.ends_at - claim.starts_at)
    return round(100.0 * min(1.0, max(0.0, share)), 1)


def tile(seen: Visit, house: House, day: RoomDay, *, current: bool) -> Tile:
    """The tile. ``seen`` is in the store's zone."""
    status = house.status[day.store.id]
    live = of_day(day, status)
    made = replace(
        _tile(seen, house, day, Present(live.by_clock, live.claim)),
        current=current,
    )
    if status.online:
        if day.room.mode == "open":
            made = replace(made, warn=_("常开"), warn_icon="lock-open", warn_bad=False)
        return _warned(house, day, _dirty(house, day, made))
    return replace(
        made,
        state=live.state,
        foot=_("离线前：{state}").format(state=_(_LAST[made.state])),
        progress=None,
        money_fen=None,
    )


def _tile(seen: Visit, house: House, day: RoomDay, now: Present) -> Tile:
    plain = Tile(
        room_id=day.room.id,
        href=f"/console/rooms/{day.room.id}",
        name=day.room.name,
        state=now.state,
        number="",
    )
    match now.state:
        case RoomState.IN_USE | RoomState.GRACE | RoomState.OVERTIME:
            return _running(seen, house, day, now, plain)
        case RoomState.HELD | RoomState.BOOKED:
            return _booked(seen, house, day, now, plain)
        case RoomState.CLEANING:
            return _cleaning(seen, house, day, plain)
        case RoomState.MAINTENANCE:
            return replace(plain, number=_("停用"), foot=_("不能预订"))
        case RoomState.CLOSED:
            return replace(plain, number=_("没到时间"), foot=_("现在不营业"))
        case _:
            return _free(seen, day, plain)


def _running(seen: Visit, house: House, day: RoomDay, now: Present, plain: Tile) -> Tile:
    claim = now.claim
    assert claim is not None
    order = house.order_of(claim)
    ends = seen.local(claim.ends_at)
    who = house.who(claim)
    made = replace(
        plain,
        foot=" · ".join(part for part in (who, _("到 {t}").format(t=hm_end(ends))) if part),
        money_fen=order.total_fen if order is not None else None,
        progress=progress(claim, day.now),
    )
    if now.state is RoomState.IN_USE:
        left = claim.ends_at - day.now
        following = next_claim(day, claim)
        close = following is not None and following.starts_at - claim.ends_at < NEXT_SOON
        return replace(
            made,
            number=clock(left),
            number_note=_("后结束"),
            until=ends,
            warn=_("接着有人") if close and left < NEXT_SOON else "",
            warn_icon="arrow-right",
        )
    if now.state is RoomState.GRACE:
        until = claim.ends_at + timedelta(seconds=day.store.grace_s)
        foot = " · ".join(part for part in (who, _("{t} 结束").format(t=hm_end(ends))) if part)
        return replace(
            made,
            number=clock(until - day.now),
            number_note=_("宽限剩余"),
            until=seen.local(until),
            foot=foot,
            progress=None,
        )
    over = max(timedelta(), day.now - claim.ends_at - timedelta(seconds=59))
    return replace(
        made,
        number=f"+{clock(over)}",
        number_note=_("超时"),
        until=ends,
        foot=who or _("本来到 {t}").format(t=hm_end(ends)),
        warn=_("还没离开"),
        warn_icon="timer",
        warn_bad=True,
        progress=None,
    )


def _booked(seen: Visit, house: House, day: RoomDay, now: Present, plain: Tile) -> Tile:
    claim = now.claim
    assert claim is not None
    order = house.order_of(claim)
    starts, ends = seen.local(claim.starts_at), seen.local(claim.ends_at)
    money = order.total_fen if order is not None else None
    if now.state is RoomState.HELD:
        if order is None:
            return replace(
                plain,
                number=hm(starts),
                number_note=_("付款中"),
                foot=f"{hm(starts)}–{hm_end(ends)}",
            )
        left = max(timedelta(), order.hold_expires_at - day.now)
        return replace(
            plain,
            number=mmss(left),
            number_note=_("付款中"),
            until=seen.local(order.hold_expires_at),
            foot=f"{hm(starts)}–{hm_end(ends)}",
            money_fen=money,
        )
    late = claim.starts_at <= day.now
    length = words.hours(round((claim.ends_at - claim.starts_at).total_seconds() / 60))
    return replace(
        plain,
        number=hm(starts),
        number_note=_("该到了") if late else _("到店"),
        foot=" · ".join(part for part in (house.who(claim), length) if part),
        money_fen=money,
    )


def _cleaning(seen: Visit, house: House, day: RoomDay, plain: Tile) -> Tile:
    state, name = house.cleaning.get(day.room.id, ("", ""))
    at_it = _("{who}在打扫").format(who=name) if state == "cleaning" and name else ""
    if day.room.mode == "cleaning":
        over = day.room.mode_until
        foot = _("到 {t}").format(t=hm(seen.local(over))) if over is not None else ""
        return replace(plain, number=_("在打扫"), foot=at_it or foot)
    until = day.spans[0].ends_at
    waits = _("{who}接了").format(who=name) if name else _("等人打扫")
    if state in ("open", "taken", "rejected") and until - day.now > timedelta(hours=2):
        return replace(plain, number=_("等打扫"), foot=waits)  # kept until it is clean
    return replace(
        plain,
        number=_("约 {n} 分钟").format(n=words.minutes_up(until - day.now)),
        foot=at_it or (waits if state else _("{t} 可以进").format(t=hm(seen.local(until)))),
    )


def _free(seen: Visit, day: RoomDay, plain: Tile) -> Tile:
    here = day.spans[0]
    if len(day.spans) == 1:
        return replace(plain, number=_("都空着"), foot=_("后面没有预订"))
    until = seen.local(day.usable_until(here))
    coming = next_claim(day)
    foot = _("之后打烊")
    if coming is not None and coming.starts_at - here.ends_at <= timedelta():
        foot = _("{t} 有人").format(t=words.moment(seen.local(coming.starts_at), seen.now))
    return replace(plain, number=_("空到 {t}").format(t=words.moment(until, seen.now)), foot=foot)


def _dirty(house: House, day: RoomDay, made: Tile) -> Tile:
    """A room that stands free or waits for guests, and that nobody has cleaned yet, says so."""
    if made.state not in (RoomState.FREE, RoomState.BOOKED, RoomState.HELD):
        return made
    if day.room.id not in house.cleaning:
        return made
    return replace(made, warn=_("还没打扫"), warn_icon="brush-cleaning", warn_bad=False)


def _warned(house: House, day: RoomDay, made: Tile) -> Tile:
    """A board that does not answer comes before everything else on the tile."""
    status = house.status[day.store.id]
    dead = any(
        day.room.id in binding.rooms and status.board_dead(binding.board_id)
        for binding in house.bindings
        if binding.store_id == day.store.id
    )
    if not dead:
        return made
    return replace(made, warn=_("板子没回应"), warn_icon="triangle-alert", warn_bad=True)
