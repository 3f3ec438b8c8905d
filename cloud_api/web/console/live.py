"""The live page: figures, stores with their rooms, the next hour. A fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import union_all
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms import service as alarms
from cloud_api.alarms.rules import RULES
from cloud_api.auth.models import Account
from cloud_api.claims.models import RoomClaim
from cloud_api.cleaning import service as cleaning
from cloud_api.devices.models import Binding
from cloud_api.devices.status import StoreStatusView
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders.models import Order
from cloud_api.payments.house import SPENT
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.staff.permissions import (
    ALARM_READ,
    DEVICE_BULK,
    DEVICE_FORCE,
    DEVICE_READ,
    ORDER_READ,
    REPORT_READ,
    ROOM_MODE,
)
from cloud_api.stores.models import Room, Store
from cloud_api.web import room_days
from cloud_api.web.console import inspector, tiles
from cloud_api.web.device_words import said_at
from cloud_api.web.pages import Visit
from cloud_api.web.rendering import hm
from cloud_api.web.room_days import RoomDay
from cloud_api.web.view_models import Alarm, Arrival, Kpi, LivePage, RoomState, StoreBlock, Tile

SOON = timedelta(hours=1)


@dataclass(slots=True)
class House:
    """Everything the live page shows, read at once."""

    stores: Sequence[Store]
    rooms: Sequence[Room]
    days: dict[str, RoomDay]
    status: dict[str, StoreStatusView]
    orders: dict[str, Order] = field(default_factory=dict)  # by id; none without order.read
    tails: dict[str, str] = field(default_factory=dict)  # of phones, by account
    bindings: Sequence[Binding] = ()
    cleaning: dict[str, tuple[str, str]] = field(default_factory=dict)  # state and who, by room
    income: dict[str, int] | None = None  # fen by store, today; None without report.read

    def order_of(self, claim: RoomClaim | None) -> Order | None:
        """The order behind a claim, where this member of staff may read orders."""
        return None if claim is None else self.orders.get(claim.order_id or "")

    def who(self, claim: RoomClaim | None) -> str:
        """``尾号 4821``, or nothing."""
        order = self.order_of(claim)
        tail = self.tails.get(order.account_id, "") if order is not None else ""
        return _("尾号 {tail}").format(tail=tail) if tail else ""


async def live_page(
    session: AsyncSession,
    seen: Visit,
    who: Staff,
    found: Sequence[Store],
    rooms: Sequence[Room],
    room: Room | None,
    current: str,
) -> LivePage:
    """All ``rooms`` of ``found``; with ``room`` that one under the glass. ``current`` marks a tile."""
    house = await _read(session, seen, who, found, rooms)
    marked = room.id if room is not None else current
    shown = {
        store.id: [
            tiles.tile(seen.at(store.tz), house, house.days[r.id], current=r.id == marked)
            for r in house.rooms
            if r.store_id == store.id
        ]
        for store in found
    }
    glass = None
    if room is not None:
        glass = await inspector.inspector(session, seen, who, house, room)
    return LivePage(
        kpis=_kpis(seen, who, house),
        alarms=await _alarms(session, who, house),
        stores=tuple(_block(seen, who, house, store, shown[store.id]) for store in found),
        arrivals=_arrivals(seen, house) if ORDER_READ in who.permissions else (),
        inspector=glass,
        may_force=DEVICE_FORCE in who.permissions,
        mode_sheets=inspector.mode_sheets() if ROOM_MODE in who.permissions else (),
        board_href=f"/console/board?room={marked}" if marked else "/console/board",
    )


async def _alarms(session: AsyncSession, who: Staff, house: House) -> tuple[Alarm, ...]:
    """What nobody has taken up, the newest first; at most three, the rest is behind the bell."""
    if ALARM_READ not in who.permissions:
        return ()
    found, _more = await alarms.find(session, who, limit=10)
    names = {store.id: store.name for store in house.stores}
    rooms = {room.id: room.name for room in house.rooms}
    made = []
    for one in [alarm for alarm in found if alarm.state == "open"][:3]:
        room = str(one.data.get("room_id") or "")
        where = " ".join(
            part for part in (names.get(one.store_id or "", ""), rooms.get(room, "")) if part
        )
        made.append(
            Alarm(
                one.id,
                "siren" if one.severity == "critical" else "triangle-alert",
                " ".join(part for part in (where, _(RULES[one.kind].name)) if part),
                str(one.data.get("device") or ""),
                f"/console/rooms/{room}" if room in rooms else "/console/alarms",
            )
        )
    return tuple(made)


async def _read(
    session: AsyncSession, seen: Visit, who: Staff, found: Sequence[Store], rooms: Sequence[Room]
) -> House:
    days = await room_days.room_days(session, found, rooms, seen.cloud.clocks.now)
    house = House(found, rooms, days, await room_days.statuses(session, found, seen.cloud.clocks))
    if ORDER_READ in who.permissions:
        ids = {c.order_id for day in days.values() for c in day.claims if c.order_id is not None}
        query = (
            scoped(who, Order)
            .where(col(Order.id).in_(ids))
            .join(Account, col(Account.id) == col(Order.account_id))
            .add_columns(col(Account.phone_tail))
        )
        for order, tail in (await session.execute(query)).all():
            house.orders[order.id], house.tails[order.account_id] = order, tail
    if DEVICE_READ in who.permissions:
        house.bindings = (await session.exec(scoped(who, Binding).order_by(col(Binding.id)))).all()
    house.cleaning = await cleaning.by_room(session, who)
    if REPORT_READ in who.permissions:
        house.income = await _income(session, seen, who, found)
    return house


async def _income(
    session: AsyncSession, seen: Visit, who: Staff, found: Sequence[Store]
) -> dict[str, int]:
    """What came in today less what went back today, by store; a day is the page's zone's.

    A balance that pays, or gets something back, was counted when it was topped up.
    """
    midnight = seen.now.replace(hour=0, minute=0, second=0, microsecond=0)
    income = {store.id: 0 for store in found}
    back = col(PaymentAttempt.id) == col(RefundAttempt.payment_id)
    both = union_all(
        *(
            query.where(
                col(model.merchant_id) == who.merchant_id,
                col(model.store_id).in_(list(income)),
                col(model.state) == "succeeded",
                col(model.succeeded_at) >= midnight,
                col(PaymentAttempt.provider).not_in(SPENT),
            ).group_by(col(model.store_id))
            for model, query in (
                (PaymentAttempt, _sums(PaymentAttempt, 1)),
                (RefundAttempt, _sums(RefundAttempt, -1).join(PaymentAttempt, back)),
            )
        )
    )
    for store_id, amount in (await session.execute(both)).all():
        income[store_id] += int(amount)
    return income


def _sums(model: type[PaymentAttempt | RefundAttempt], sign: int) -> Any:
    return select(col(model.store_id), sign * func.sum(col(model.amount_fen)))


def _kpis(seen: Visit, who: Staff, house: House) -> tuple[Kpi, ...]:
    total = len(house.rooms)
    used = sum(day.running is not None for day in house.days.values())
    told = []
    if house.income is not None:
        whole = sum(house.income.values())
        told.append(Kpi(_("今日收入"), yuan(whole), "", _("实收减退款")))
    share = f"{100 * used // total}%" if total else "0%"
    told.append(
        Kpi(
            _("使用中"),
            str(used),
            _("/{n} 间").format(n=total),
            _("出租率 {share}").format(share=share),
        )
    )
    coming = _coming(seen, house)
    first = coming[0] if coming else None
    note = _("没有")
    if first is not None:
        day, claim = first
        at = hm(claim.starts_at.astimezone(seen.at(day.store.tz).zone))
        note = _("最近 {time} {room}").format(time=at, room=day.room.name)
    told.append(Kpi(_("一小时内到店"), str(len(coming)), _("单"), note))
    if DEVICE_READ in who.permissions:
        told.append(_boards(house))
    return tuple(told)


def _boards(house: House) -> Kpi:
    boards = {(binding.store_id, binding.board_id) for binding in house.bindings}
    live = sum(
        house.status[store].online
        and not house.status[store].stale
        and house.status[store].boards.get(board) == "online"
        for store, board in boards
        if store in house.status
    )
    away = [store.name for store in house.stores if not house.status[store.id].online]
    note, tone = _("都在线"), "good"
    if away:
        note, tone = _("{store}断网").format(store=away[0]), "warn"
    elif any(house.status[store].stale for store, _board in boards if store in house.status):
        note, tone = _("等门店新的汇报"), "warn"
    elif live < len(boards):
        note, tone = _("{n} 块没有回应").format(n=len(boards) - live), "bad"
    elif not boards:
        note, tone = _("还没有设备"), ""
    return Kpi(_("设备"), str(live), _("/{n} 块板在线").format(n=len(boards)), note, tone)


def _coming(seen: Visit, house: House) -> list[tuple[RoomDay, RoomClaim]]:
    """Who comes within the hour, or should be here already; by start."""
    now = seen.cloud.clocks.now
    found = [
        (day, claim)
        for day in house.days.values()
        for claim in day.claims
        if claim.kind == "booking"
        and claim.state in ("held", "confirmed")
        and claim.ends_at > now
        and claim.starts_at <= now + SOON
    ]
    return sorted(found, key=lambda pair: (pair[1].starts_at, pair[0].room.sort))


def _arrivals(seen: Visit, house: House) -> tuple[Arrival, ...]:
    return tuple(
        _arrival(seen.at(day.store.tz), house, day, claim) for day, claim in _coming(seen, house)
    )


def _arrival(seen: Visit, house: House, day: RoomDay, claim: RoomClaim) -> Arrival:
    now = seen.cloud.clocks.now
    good = False
    if claim.state == "held":
        note = _("还没付款")
    elif not house.status[day.store.id].online:
        note = _("门店断网，现在开不了门")
    elif day.running is not None:
        note = _("前一位还没走")
    elif day.state is RoomState.CLEANING and now < claim.block_from:
        note = _("等保洁")
    elif claim.starts_at <= now:
        note = _("还没到店")
    else:
        good, note = True, _("已付款，房间空着")
    return Arrival(
        at=seen.local(claim.starts_at),
        room_name=day.room.name,
        store_name=day.store.name,
        who=house.who(claim),
        note=note,
        good=good,
    )


def _block(
    seen: Visit, who: Staff, house: House, store: Store, shown: Sequence[Tile]
) -> StoreBlock:
    status = house.status[store.id]
    mine = [day for day in house.days.values() if day.store.id == store.id]
    note = ""
    if not status.online:
        minutes = said_at(seen, status)
        note = (
            _("还没有连上过")
            if minutes is None
            else _("断网 {n} 分钟 · 门店自行运转").format(n=max(1, minutes))
        )
    return StoreBlock(
        store_id=store.id,
        name=store.name,
        online=status.online,
        link_note=note,
        in_use=sum(day.running is not None for day in mine),
        rooms=len(mine),
        income_fen=None if house.income is None else house.income[store.id],
        tiles=tuple(shown),
        bulk=status.online and DEVICE_BULK in who.permissions,
        stale_at=None if status.online else spoke_at(seen.at(store.tz), status),
    )


def spoke_at(seen: Visit, status: StoreStatusView) -> datetime | None:
    """When the store last reported, on the page's clock."""
    if status.reported_at is None:
        return None
    ahead = seen.cloud.clocks.now - seen.cloud.clocks.real
    return seen.local(status.reported_at + ahead)
