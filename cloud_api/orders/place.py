"""Placing an order: the quote becomes a held room and a price to pay before the hold ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, TypedDict, Unpack

from sqlalchemy import bindparam, delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.claims import booking_rules
from cloud_api.claims import service as claims
from cloud_api.coupons import service as coupons
from cloud_api.kit.actor import Customer, Staff, System, scoped, stand_in
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import keep
from cloud_api.kit.due_jobs import schedule_first
from cloud_api.kit.errors import Conflict
from cloud_api.kit.ids import new_id, new_number
from cloud_api.kit.statements import built
from cloud_api.kit.writing import made, write_new
from cloud_api.merchants.models import Merchant
from cloud_api.orders import deposits, gate
from cloud_api.orders.models import Order, OrderLine
from cloud_api.orders.money import settle_free
from cloud_api.orders.placed import Beside, Placed
from cloud_api.orders.transitions import note
from cloud_api.pricing.models import Quote
from cloud_api.pricing.service import check_valid, quote_unknown
from cloud_api.stores.models import Room, Store

HOLD: Final = "order.hold"


class How(TypedDict, total=False):
    """How an order is placed that is not a customer's own tap in the app.

    ``by``: staff who book for the customer; ``hold_for`` instead of the store's own hold; ``claim_id``:
    room time that is held for it already (a place on the waiting list).
    """

    by: Staff | None
    source: str
    hold_for: timedelta | None
    claim_id: str | None
    series_id: str | None
    staff_note: str


async def place(
    session: AsyncSession, customer: Customer, quote_id: str, clocks: Clocks, **how: Unpack[How]
) -> Order:
    """``place_new``, for who wants the order alone."""
    return (await place_new(session, customer, quote_id, clocks, **how)).order


async def place_new(
    session: AsyncSession,
    customer: Customer,
    quote_id: str,
    clocks: Clocks,
    *,
    by: Staff | None = None,
    source: str = "app",
    hold_for: timedelta | None = None,
    claim_id: str | None = None,
    series_id: str | None = None,
    staff_note: str = "",
) -> Placed:
    """Hold the room and write the order. The same quote again gives the same order.

    Raises NotFound or 410 for the quote, Conflict ``book.taken``, ``quote.used`` (by somebody else),
    ``booking.customer_blocked``, ``booking.too_many_open``,
    ``order.too_many_unpaid``, ``order.overtime_due``, ``room.maintenance``, ``coupon.used``,
    ``merchant.suspended``.
    """
    unpaid = by is None and series_id is None
    asked = await _asked(session, customer, quote_id, queue=unpaid)
    quote, room, store, merchant = asked
    number = new_number(clocks.now, store.tz)
    seen = await gate.look(
        session, customer, room, clocks,
        number=number, quote_id=quote.id, starts_at=quote.starts_at,
    )  # fmt: skip
    if seen.ordered:
        return Placed(await _ordered(session, customer, quote_id))
    check_valid(quote, clocks)
    await gate.admit(session, customer, store, room, merchant, seen, clocks, unpaid=unpaid)
    if seen.number_taken:
        number = await _free_number(session, store, clocks)
    order_id = new_id()
    try:
        if claim_id is None:
            claim = await claims.hold(
                session, room, order_id, quote.starts_at, quote.ends_at, clocks
            )
        else:
            claim = await claims.adopt(session, claim_id, order_id)
    except claims.RoomTaken:  # by the same tap, a moment ago?
        if (await gate.look(session, customer, room, clocks, quote_id=quote.id)).ordered:
            return Placed(await _ordered(session, customer, quote_id))
        raise
    order = made(
        Order,
        id=order_id,
        merchant_id=store.merchant_id,
        store_id=store.id,
        room_id=room.id,
        account_id=customer.account_id,
        claim_id=claim.id,
        quote_id=quote.id,
        number=number,
        starts_at=quote.starts_at,
        ends_at=quote.ends_at,
        hold_expires_at=clocks.now + (hold_for or timedelta(seconds=store.hold_s)),
        source="staff" if by is not None and series_id is None else source,
        made_by=None if by is None else by.ref,
        staff_note=staff_note,
        series_id=series_id,
        total_fen=quote.total_fen,
        created_at=clocks.now,
    )
    lines = [
        made(
            OrderLine,
            id=new_id(),
            merchant_id=store.merchant_id,
            store_id=store.id,
            order_id=order.id,
            position=position,
            kind=line.get("kind", "room_time"),
            text=line["text"],
            amount_fen=line["amount_fen"],
            detail=line,
        )
        for position, line in enumerate(quote.lines)
    ]
    session.add_all([order, *lines])
    event = await note(session, order, "placed", by=(by or customer).ref, clocks=clocks)
    if order.total_fen:
        _let_go_later(session, order)
    await write_new(session)
    if quote.coupon_id is not None:
        await coupons.use(session, customer.account_id, quote.coupon_id, order.id, clocks)
    deposit = await deposits.begin(session, order, clocks) if seen.deposits else None
    if order.total_fen == 0:
        if deposit is None:
            await settle_free(session, order, clocks)
        else:
            _let_go_later(session, order)
    if deposit is not None or order.total_fen == 0:
        return Placed(order)
    return Placed(order, Beside(lines, [event], seen.balance_fen, seen.before_until))


def _let_go_later(session: AsyncSession, order: Order) -> None:
    """The room is held for so long, and no longer."""
    schedule_first(
        session,
        merchant_id=order.merchant_id,
        kind=HOLD,
        ref=order.id,
        run_at=order.hold_expires_at,
    )


async def forget_quotes(session: AsyncSession, now: datetime) -> None:
    """Delete quotes that ran out a day ago and were never ordered from. ``now`` is business time."""
    ordered = select(col(Order.id)).where(col(Order.quote_id) == col(Quote.id)).exists()
    await session.exec(
        delete(Quote).where(col(Quote.expires_at) < now - timedelta(days=1), ~ordered)
    )


async def _ordered(session: AsyncSession, customer: Customer, quote_id: str) -> Order:
    """The order that was made from a quote. Raises Conflict ``quote.used`` if it is another's."""
    known = (await session.exec(_of_quote(), params={"quote_id": quote_id})).one()
    if known.account_id != customer.account_id:
        raise Conflict("quote.used", "这份报价已经用过了，请重新选择时间")
    return known


@built
def _of_quote() -> SelectOfScalar[Order]:
    return scoped(System(), Order).where(col(Order.quote_id) == bindparam("quote_id"))


async def _asked(
    session: AsyncSession, customer: Customer, quote_id: str, *, queue: bool
) -> tuple[Quote, Room, Store, Merchant]:
    """The quote and whose room it is; one query, in which the customer queues. Raises NotFound."""
    who, theirs = stand_in(customer)
    found = (await session.execute(_whole(who, queue), {"quote_id": quote_id, **theirs})).first()
    if found is None:
        raise quote_unknown()
    quote, room, store, merchant, of_store, of_room = found
    booking_rules.know(session, room, of_store, of_room)
    keep(session, room, store)  # the answer shows them
    return quote, room, store, merchant


@built
def _whole(who: Customer, queue: bool) -> Any:
    whole = (
        scoped(who, Quote)
        .where(col(Quote.id) == bindparam("quote_id"))
        .join(Room, col(Room.id) == col(Quote.room_id))
        .join(Store, col(Store.id) == col(Room.store_id))
        .join(Merchant, col(Merchant.id) == col(Store.merchant_id))
        .add_columns(Room, Store, Merchant)
    )
    whole = booking_rules.beside(whole)
    return gate.queueing(whole, who) if queue else whole


async def _free_number(session: AsyncSession, store: Store, clocks: Clocks) -> str:
    while True:
        number = new_number(clocks.now, store.tz)
        taken = await session.exec(select(col(Order.id)).where(col(Order.number) == number))
        if taken.first() is None:
            return number
