"""What happened on a store's business day, fact by fact: the rollup sums them, a drill-down lists them.

So a figure can never differ from the rows behind it. Orders placed on the day, stays that begin on it,
room time within it, money as the books have it, group-buy, devices' alarms.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select as select_wide
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms.models import Alarm
from cloud_api.groupbuy.models import GroupOrder
from cloud_api.kit.actor import System, scoped
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.days import CUT, ends_at
from cloud_api.ledger.models import LedgerEntry, LedgerTxn
from cloud_api.orders.books import part_of
from cloud_api.orders.models import Order
from cloud_api.payments.dispatch import kind_of, ref_of
from cloud_api.payments.house import SPENT
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.platform_vouchers.books import subject_of
from cloud_api.platform_vouchers.models import PlatformUse
from cloud_api.platform_vouchers.transitions import COUNTED
from cloud_api.reports.measures import PLATFORMS
from cloud_api.stores.hours import opening_intervals
from cloud_api.stores.models import Room, Store
from cloud_api.vouchers.models import Redemption

KINDS: Final = {  # by Fact.kind
    "placed": "下单",
    "stay": "使用",
    "time": "占用",
    "open": "营业",
    "money": "账本",
    "group": "团购订单",
    "redemption": "核销",
    "fault": "告警",
}
FAULTS: Final = (
    "device.offline",
    "door.unlock_failed",
    "door.forced",
    "power.overload",
    "power.stuck",
    "store.offline",
)
SOLD: Final = ("paid", "issued", "refunding", "refunded")
STAYS: Final = frozenset({"paid", "ready", "in_use", "completed"})
_SYSTEM: Final = System()
_LONGEST: Final = timedelta(days=2)  # no stay is longer
_MINUTE: Final = timedelta(minutes=1)
_REVENUE: Final = {
    "room_time": "room_fen",
    "overtime": "overtime_fen",
    "voucher": "voucher_fen",
    "voucher_expired": "voucher_fen",
    "platform": "voucher_fen",
}
_CASH: Final = {
    "order": "cash_order_fen",
    "change": "cash_order_fen",
    "extension": "cash_more_fen",
    "overtime": "cash_more_fen",
    "groupbuy": "cash_group_fen",
}
_MOVES: Final = ("payment", "refund", "refund_by_hand", "refund_came_back")
_LEADS: Final = ((60, "lead_now"), (360, "lead_hours"), (1440, "lead_day"), (4320, "lead_days"))
_SPENDS: Final = (
    (5_000, "spend_50"),
    (10_000, "spend_100"),
    (20_000, "spend_200"),
    (30_000, "spend_300"),
    (50_000, "spend_500"),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing: ``kind`` says what, ``ref`` ("order:…") of which row; ``values`` are columns of Measures."""

    kind: str  # of KINDS
    ref: str
    at: datetime
    values: dict[str, int]
    room_id: str = ""
    channel: str = ""
    text: str = ""


@dataclass(slots=True)
class Day:
    """All of a store's day. ``hours``: minutes taken and on offer by local hour; ``guests`` by account."""

    facts: list[Fact] = field(default_factory=list)
    busy: Counter[int] = field(default_factory=Counter)
    offered: Counter[int] = field(default_factory=Counter)
    guests: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


def bounds(day: date, tz: str) -> tuple[datetime, datetime]:
    """A business day's begin and end."""
    begins = datetime.combine(day, CUT, ZoneInfo(tz))
    return begins.astimezone(UTC), ends_at(day, tz).astimezone(UTC)


async def of_day(session: AsyncSession, store: Store, day: date) -> Day:
    """Everything of a day; a future one has what is booked so far."""
    begins, ends = bounds(day, store.tz)
    found = Day()
    around = (
        scoped(_SYSTEM, Order)
        .where(
            col(Order.store_id) == store.id,
            col(Order.starts_at) > begins - _LONGEST,
            col(Order.starts_at) < ends,
            col(Order.ends_at) > begins,
            col(Order.status).in_(STAYS),
        )
        .order_by(col(Order.starts_at))
    )
    using = (await session.exec(around)).all()
    fresh = (
        scoped(_SYSTEM, Order)
        .where(
            col(Order.store_id) == store.id,
            col(Order.created_at) >= begins,
            col(Order.created_at) < ends,
        )
        .order_by(col(Order.created_at))
    )
    placed = (await session.exec(fresh)).all()
    money = await _entries(session, store, day)
    uses = await _uses(session, [ref_of(m.subject) for m in money if m.platform], [])
    subjects = {ref_of(row.subject) for row in money if kind_of(row.subject) == "order"}
    subjects |= {one.order_id for one in uses if one.order_id is not None}
    known = {one.id: one for one in (*using, *placed)}
    if missing := subjects - set(known):
        more = scoped(_SYSTEM, Order).where(col(Order.id).in_(missing))
        known |= {one.id: one for one in (await session.exec(more)).all()}
    worth = await _redeemed(session, list(known))
    channels = await _channels(session, known, set(worth))
    for use in await _uses(session, [], list(known)):
        if use.state in COUNTED:
            channels[str(use.order_id)] = PLATFORMS.get(use.kind, "platform")
            worth[str(use.order_id)] = use.worth_fen
    of_use = {subject_of(one): one.order_id for one in uses}
    found.facts += [_placed(one, channels[one.id]) for one in placed if _counts(one)]
    for one in using:
        _use(found, store, one, channels[one.id], worth.get(one.id), begins, ends)
    await _offered(session, found, store, day, begins, ends)
    for row in money:
        room, channel = "", "groupbuy" if kind_of(row.subject) == "groupbuy" else ""
        order_id = of_use.get(row.subject) or ref_of(row.subject)
        if (order := known.get(order_id)) is not None:
            room, channel = order.room_id, channels[order.id]
        if row.values:
            found.facts.append(
                Fact("money", row.subject, row.at, row.values, room, channel, row.text)
            )
    await _groups(session, found, store, begins, ends)
    return found


def _counts(order: Order) -> bool:
    return order.status != "pending_payment"


def _placed(order: Order, channel: str) -> Fact:
    values = {"lapsed": 1}
    if order.status != "cancelled" or order.paid_fen > 0 or order.total_fen == 0:
        lead = max(0, round((order.starts_at - order.created_at).total_seconds() / 60))
        values = {
            "made": 1,
            "made_fen": order.total_fen,
            "lead_minutes": lead,
            _step(lead, _LEADS, "lead_more"): 1,
        }
        if order.status == "cancelled":
            values["cancelled"] = 1
    ref = part_of(order.id)
    return Fact("placed", ref, order.created_at, values, order.room_id, channel, order.number)


def _use(
    found: Day,
    store: Store,
    order: Order,
    channel: str,
    voucher_fen: int | None,
    begins: datetime,
    ends: datetime,
) -> None:
    ref, place = part_of(order.id), (order.room_id, channel, order.number)
    since, until = max(order.starts_at, begins), min(order.ends_at, ends)
    busy = max(0, (until - since) // _MINUTE)
    if busy:
        found.facts.append(Fact("time", ref, since, {"busy_minutes": busy}, *place))
        _by_hour(found.busy, since, until, ZoneInfo(store.tz))
    if not begins <= order.starts_at < ends:
        return
    spent = order.paid_fen - order.refunded_fen - order.refunding_fen + (voucher_fen or 0)
    values = {
        "stays": 1,
        "minutes": (order.ends_at - order.starts_at) // _MINUTE,
        "stay_fen": spent,
        _step(spent + 1, _SPENDS, "spend_more"): 1,
    }
    energy = (order.usage or {}).get("energy_wh")
    if energy is not None and order.used_s:
        values |= {"energy_wh": int(energy), "energy_minutes": order.used_s // 60}
    found.facts.append(Fact("stay", ref, order.starts_at, values, *place))
    guest = found.guests[order.account_id]
    guest["visits"] += 1
    guest["spent_fen"] += spent
    guest["vouchers"] += voucher_fen is not None


def _step(amount: int, steps: Sequence[tuple[int, str]], beyond: str) -> str:
    return next((name for most, name in steps if amount <= most), beyond)


def _by_hour(hours: Counter[int], since: datetime, until: datetime, zone: ZoneInfo) -> None:
    at = since.astimezone(UTC)
    while at < until:
        local = at.astimezone(zone)
        rest = timedelta(hours=1) - timedelta(minutes=local.minute, seconds=local.second)
        then = min(at + rest, until)
        hours[local.hour] += (then - at) // _MINUTE
        at = then


async def _offered(
    session: AsyncSession, found: Day, store: Store, day: date, begins: datetime, ends: datetime
) -> None:
    query = scoped(_SYSTEM, Room).where(
        col(Room.store_id) == store.id, col(Room.created_at) < ends, col(Room.selling) != "off"
    )
    rooms = [
        room
        for room in (await session.exec(query)).all()
        if room.retired_at is None or room.retired_at > begins
    ]
    zone = ZoneInfo(store.tz)
    spans = [
        (max(since, begins), min(until, ends))
        for one in (day - timedelta(days=1), day, day + timedelta(days=1))
        for since, until in opening_intervals(store, one)
        if since < ends and until > begins
    ]
    minutes = sum((until - since) // _MINUTE for since, until in spans)
    hours: Counter[int] = Counter()
    for since, until in spans:
        _by_hour(hours, since, until, zone)
    for hour, some in hours.items():
        found.offered[hour] += some * len(rooms)
    if minutes:
        found.facts += [
            Fact("open", f"room:{room.id}", begins, {"open_minutes": minutes}, room.id)
            for room in rooms
        ]


@dataclass(frozen=True, slots=True)
class _Money:
    subject: str
    at: datetime
    values: dict[str, int]
    text: str

    @property
    def platform(self) -> bool:
        """Whether it is of a platform's voucher."""
        return kind_of(self.subject) == "platform_use"


async def _uses(
    session: AsyncSession, ids: list[str], order_ids: list[str]
) -> Sequence[PlatformUse]:
    """Uses of platforms' vouchers, by their ids or by their orders."""
    wanted = col(PlatformUse.id).in_(ids) if ids else col(PlatformUse.order_id).in_(order_ids)
    if not ids and not order_ids:
        return ()
    return (await session.exec(scoped(_SYSTEM, PlatformUse).where(wanted))).all()


async def _entries(session: AsyncSession, store: Store, day: date) -> list[_Money]:
    """A transaction's revenue, and what it moved between a guest and the house."""
    watched = (Account.REVENUE, Account.CLEARING, Account.CASH, Account.OUTSIDE)
    query = (
        select_wide(
            col(LedgerTxn.id),
            col(LedgerTxn.kind),
            col(LedgerTxn.key),
            col(LedgerTxn.at),
            col(LedgerTxn.text),
            col(LedgerEntry.subject),
            col(LedgerEntry.account),
            col(LedgerEntry.detail),
            col(LedgerEntry.amount_fen),
        )
        .join(LedgerEntry, col(LedgerEntry.txn_id) == col(LedgerTxn.id))
        .where(
            col(LedgerEntry.store_id) == store.id,
            col(LedgerEntry.day) == day,
            col(LedgerEntry.account).in_([one.value for one in watched]),
        )
        .order_by(col(LedgerTxn.id))
    )
    rows: list[Any] = list((await session.execute(query)).all())
    ways = await _ways(session, [row.key for row in rows if row.kind in _MOVES])
    found = []
    for _, grouped in groupby(rows, key=lambda row: row.id):
        mine = list(grouped)
        values: Counter[str] = Counter()
        for row in mine:
            if row.account == Account.REVENUE.value:
                values[_REVENUE.get(row.detail, "other_fen")] -= row.amount_fen
            elif row.kind in _MOVES:
                pays, provider = ways.get(_cause(row.key), ("", ""))
                if provider in SPENT:
                    continue  # a balance that pays was money when it was topped up
                name = _CASH.get(kind_of(pays), "cash_topup_fen")
                values["cash_group_fen" if provider in PLATFORMS else name] += row.amount_fen
                if row.kind != "payment":
                    values["back_fen"] -= row.amount_fen
        told = {name: some for name, some in values.items() if some}
        found.append(_Money(mine[0].subject, mine[0].at, told, mine[0].text))
    return found


def _cause(key: str) -> str:
    """``payment:ID`` or ``refund:ID`` of the key of a transaction, which may count its repetitions."""
    kind, _, ref = key.partition(":")
    return f"{kind}:{ref.partition('.')[0]}"


async def _ways(session: AsyncSession, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """What payments and refunds are for, and at which provider."""
    causes = {_cause(key) for key in keys}
    paid = [ref_of(one) for one in causes if kind_of(one) == "payment"]
    back = [ref_of(one) for one in causes if kind_of(one) == "refund"]
    attempt = (col(PaymentAttempt.pays), col(PaymentAttempt.provider))
    found: dict[str, tuple[str, str]] = {}
    if paid:
        payments = select(col(PaymentAttempt.id), *attempt).where(col(PaymentAttempt.id).in_(paid))
        for ref, pays, provider in (await session.exec(payments)).all():
            found[f"payment:{ref}"] = (pays, provider)
    if back:
        refunds = (
            select(col(RefundAttempt.id), *attempt)
            .join(PaymentAttempt, col(PaymentAttempt.id) == col(RefundAttempt.payment_id))
            .where(col(RefundAttempt.id).in_(back))
        )
        for ref, pays, provider in (await session.exec(refunds)).all():
            found[f"refund:{ref}"] = (pays, provider)
    return found


async def _redeemed(session: AsyncSession, ids: list[str]) -> dict[str, int]:
    """What the voucher was worth that paid for an order."""
    if not ids:
        return {}
    query = select(col(Redemption.order_id), col(Redemption.amount_fen)).where(
        col(Redemption.order_id).in_(ids), col(Redemption.kind) == "redeem"
    )
    return dict((await session.exec(query)).all())


async def _channels(
    session: AsyncSession, orders: dict[str, Order], redeemed: set[str]
) -> dict[str, str]:
    """Where orders came from: a platform that paid, a voucher of ours, else as they were placed."""
    found = {one.id: "groupbuy" if one.id in redeemed else one.source for one in orders.values()}
    if orders:
        query = select(col(PaymentAttempt.part_of), col(PaymentAttempt.provider)).where(
            col(PaymentAttempt.part_of).in_([part_of(one) for one in orders]),
            col(PaymentAttempt.provider).in_(list(PLATFORMS)),
            col(PaymentAttempt.state) == "succeeded",
        )
        for subject, provider in (await session.exec(query)).all():
            found[ref_of(subject)] = PLATFORMS[provider]
    return found


async def _groups(
    session: AsyncSession, found: Day, store: Store, begins: datetime, ends: datetime
) -> None:
    sold = scoped(_SYSTEM, GroupOrder).where(
        col(GroupOrder.store_id) == store.id,
        col(GroupOrder.paid_at) >= begins,
        col(GroupOrder.paid_at) < ends,
        col(GroupOrder.status).in_(SOLD),
    )
    for one in (await session.exec(sold)).all():
        assert one.paid_at is not None
        values = {"group_sold": one.quantity, "group_fen": one.total_fen}
        ref = f"groupbuy:{one.id}"
        found.facts.append(Fact("group", ref, one.paid_at, values, "", "groupbuy", one.number))
    used = scoped(_SYSTEM, Redemption).where(
        col(Redemption.store_id) == store.id,
        col(Redemption.at) >= begins,
        col(Redemption.at) < ends,
    )
    for use in (await session.exec(used)).all():
        count = {"redeemed": 1 if use.kind == "redeem" else -1}
        ref = part_of(use.order_id)
        found.facts.append(Fact("redemption", ref, use.at, count, use.room_id, "groupbuy"))
    raised = scoped(_SYSTEM, Alarm).where(
        col(Alarm.store_id) == store.id,
        col(Alarm.raised_at) >= begins,
        col(Alarm.raised_at) < ends,
        col(Alarm.kind).in_(FAULTS),
    )
    for alarm in (await session.exec(raised)).all():
        room = str((alarm.data or {}).get("room_id") or "")
        ref = f"alarm:{alarm.id}"
        found.facts.append(Fact("fault", ref, alarm.raised_at, {"faults": 1}, room, "", alarm.kind))
