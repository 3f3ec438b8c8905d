"""The same time every week: each week an order of its own; all of them, or those that can be had.

The hours are those on the wall of the store, also across a change of the clocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.auth import phones
from cloud_api.auth.service import account_of_phone, make_account
from cloud_api.claims import suggest
from cloud_api.claims.booking_rules import rules_of
from cloud_api.claims.moving import next_block
from cloud_api.kit.actor import Actor, Customer, Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.kit.throttle import hit
from cloud_api.orders import gate, place, tell
from cloud_api.orders.models import Order
from cloud_api.pricing.service import price_interval, quote
from cloud_api.staff.permissions import ORDER_CREATE
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import get_room

LEAST: Final = 2
MOST: Final = 12  # weeks
LIMIT: Final = (6, 3600)  # series per seconds and customer: they hold much room time unpaid
# What is wrong with one week; anything else is wrong with all of them.
_OF_ONE_WEEK: Final = ("booking.", "book.", "room.", "price.", "slot.")
_OF_THE_GUEST: Final = ("booking.customer_blocked",)


@dataclass(frozen=True, slots=True)
class Week:
    """One time of a series. ``code`` and ``why`` say why it cannot be had; else ``total_fen`` is its price."""

    starts_at: datetime
    ends_at: datetime
    total_fen: int | None = None
    code: str = ""
    why: str = ""


def weeks_of(
    tz: str, starts_at: datetime, ends_at: datetime, times: int
) -> list[tuple[datetime, datetime]]:
    """The same hours on the same weekday, ``times`` weeks long. Raises KaimenError ``series.times`` (422)."""
    if not LEAST <= times <= MOST:
        raise KaimenError(
            "series.times",
            _("选 {least} 到 {most} 周").format(least=LEAST, most=MOST),
            status=422,
            field="times",
        )
    zone = ZoneInfo(tz)
    try:
        begin, end = starts_at.astimezone(zone), ends_at.astimezone(zone)
        # Arithmetic of local times moves the hands by whole days; the instant follows from the zone.
        return [(begin + timedelta(weeks=n), end + timedelta(weeks=n)) for n in range(times)]
    except OverflowError as error:
        raise KaimenError(
            "booking.too_far", "这个时间太远了", status=422, field="starts_at"
        ) from error


async def look(
    session: AsyncSession,
    actor: Actor,
    room_id: str,
    starts_at: datetime,
    ends_at: datetime,
    times: int,
    clocks: Clocks,
) -> list[Week]:
    """What each week would cost, or why it cannot be had. Nothing is held or written."""
    room = await get_room(session, actor, room_id)
    store = await session.get_one(Store, room.store_id)
    rules = await rules_of(session, store, room.id)
    account = actor.account_id if isinstance(actor, Customer) else None
    told = []
    for begin, end in weeks_of(store.tz, starts_at, ends_at, times):
        try:
            await suggest.admit(session, store, room, begin, end, clocks)
            blocked = await next_block(session, room.id, begin, "")
            if blocked is not None and blocked < end + rules.cleaning:
                raise Conflict("book.taken", "这段时间已经有人订了")
            _lines, total = await price_interval(
                session, actor, room.id, begin, end, account_id=account
            )
            told.append(Week(begin, end, total))
        except KaimenError as error:
            if not _one_week(error):
                raise
            told.append(Week(begin, end, None, error.code, error.message))
    return told


async def book(
    session: AsyncSession,
    customer: Customer,
    room_id: str,
    starts_at: datetime,
    ends_at: datetime,
    times: int,
    clocks: Clocks,
    *,
    skip: bool,
    by: Staff | None = None,
    note: str = "",
) -> tuple[list[Order], list[Week]]:
    """Book every week; with ``skip`` those that can be had, and tell which could not.

    The orders wait for payment as long as a booking by staff does. Raises Conflict
    ``series.conflicts`` with ``conflicts`` (without ``skip``, and where no week can be had at all),
    ``order.too_many_unpaid``, and what concerns all weeks alike (what a quote and an order raise).
    """
    room = await get_room(session, by or customer, room_id)
    store = await session.get_one(Store, room.store_id)
    weeks = weeks_of(store.tz, starts_at, ends_at, times)
    if by is None:
        await hit(session, f"series:{customer.account_id}", *LIMIT, clocks.real)
        await gate.check_unpaid(session, customer)
    rules = await rules_of(session, store, room.id)
    hold_for = timedelta(minutes=rules.staff_hold_minutes)
    series_id = new_id()
    orders: list[Order] = []
    conflicts: list[Week] = []
    for begin, end in weeks:
        try:
            async with session.begin_nested():
                priced = await quote(session, customer, room.id, begin, end, clocks)
                order = await place.place(
                    session,
                    customer,
                    priced.id,
                    clocks,
                    by=by,
                    source="series",
                    hold_for=hold_for,
                    series_id=series_id,
                    staff_note=note.strip(),
                )
            orders.append(order)
        except KaimenError as error:
            if not _one_week(error):
                raise
            conflicts.append(Week(begin, end, None, error.code, error.message))
    if conflicts and (not skip or not orders):
        raise Conflict(
            "series.conflicts",
            _("{n} 周里有 {n2} 周订不到，可以只订能订的").format(n=len(weeks), n2=len(conflicts)),
            conflicts=[told(one) for one in conflicts],
        )
    for order in orders:
        if by is not None and order.status == "pending_payment":
            await tell.pay_link(session, order, clocks)
    return orders, conflicts


async def book_for(
    session: AsyncSession,
    staff: Staff,
    phone: str,
    room_id: str,
    starts_at: datetime,
    ends_at: datetime,
    times: int,
    clocks: Clocks,
    *,
    skip: bool,
    note: str = "",
) -> tuple[list[Order], list[Week]]:
    """``book`` for whoever has ``phone``. Needs order.create. Raises also KaimenError ``phone.bad``."""
    staff.need(ORDER_CREATE)
    number = phones.normal(phone)
    room = await get_room(session, staff, room_id)
    account = await account_of_phone(session, number)
    if account is None:
        account = await make_account(session, number, "zh_Hans", clocks.real)
    orders, conflicts = await book(
        session,
        Customer(account.id),
        room.id,
        starts_at,
        ends_at,
        times,
        clocks,
        skip=skip,
        by=staff,
        note=note,
    )
    await _record(session, staff, room, orders, clocks)
    return orders, conflicts


def told(week: Week) -> dict[str, Any]:
    """A week that cannot be had, as JSON."""
    return {
        "starts_at": week.starts_at.isoformat(),
        "ends_at": week.ends_at.isoformat(),
        "code": week.code,
        "message": week.why,
    }


def _one_week(error: KaimenError) -> bool:
    return error.code.startswith(_OF_ONE_WEEK) and error.code not in _OF_THE_GUEST


async def _record(
    session: AsyncSession, staff: Staff, room: Room, orders: Sequence[Order], clocks: Clocks
) -> None:
    await audit.record(
        session,
        staff,
        "order.create_series",
        merchant_id=room.merchant_id,
        store_id=room.store_id,
        subject=f"series:{orders[0].series_id}",
        after={
            "numbers": [order.number for order in orders],
            "amount_fen": sum(order.total_fen for order in orders),
        },
        clocks=clocks,
    )
