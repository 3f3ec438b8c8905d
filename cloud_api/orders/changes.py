"""Changing an order's time or room, and extending it: held until paid, applied once, confirmed by the store.

States: held → applied | lapsed. While it is held the order's own time stands untouched. An extension
counts as confirmed when the store's report names the document that carries it, or a later one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, update
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import moving
from cloud_api.claims import service as claims
from cloud_api.claims.booking_rules import rules_of
from cloud_api.kit.actor import Actor, Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.i18n import later
from cloud_api.kit.models import DueJob
from cloud_api.kit.outbox import desired_changed
from cloud_api.orders import leaving
from cloud_api.orders.books import part_of
from cloud_api.orders.cancel_rules import left_fen
from cloud_api.orders.change_price import sum_of
from cloud_api.orders.differences import give_back
from cloud_api.orders.models import Order, OrderChange, OrderLine
from cloud_api.orders.money import FORGOTTEN, FORGOTTEN_AFTER, GRANT, moved_on
from cloud_api.orders.offers import EXTENSION, Offer, store_hears
from cloud_api.orders.sums import recount
from cloud_api.orders.transitions import change, freed, note, system_lock
from cloud_api.payments import dispatch, hold_end
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.records import lock_payment
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.payments.transitions import note as note_payment
from cloud_api.pricing.lines import TIMED
from cloud_api.stores.models import Room, Store

TABLE: Final[dict[str, frozenset[str]]] = {
    "held": frozenset({"applied", "lapsed"}),
    "lapsed": frozenset({"applied"}),  # money came late, and the time was still free
    "applied": frozenset(),
}
END: Final = "order.change_end"  # the job at the end of what is held; ref: change id
KINDS: Final = {"move": "change", EXTENSION: "extension"}  # how payments name them


def pays(one: OrderChange) -> str:
    """How a payment names the change it is for."""
    return f"{KINDS[one.kind]}:{one.id}"


async def hold(
    session: AsyncSession,
    actor: Customer | Staff,
    order: Order,
    offer: Offer,
    clocks: Clocks,
    *,
    why: str = "",
    free: bool = False,
) -> OrderChange:
    """Take what was offered: held until it is paid, or applied at once where nothing is to be paid.

    ``order`` is locked by the caller. ``free``: the house gives the difference away. Another change
    that is still held gives way. Raises RoomTaken.
    """
    for other in await open_of(session, order.id):
        await lapse(session, order, other, by=actor.ref, clocks=clocks)
    await moving.lock_rooms(session, (order.room_id, offer.room.id))
    claim = await claims.get(session, order.claim_id)
    lacking = moving.pieces(
        (claim.block_from, claim.block_until),
        (offer.starts_at, offer.block_until),
        same_room=claim.room_id == offer.room.id,
    )
    made = OrderChange(
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        account_id=order.account_id,
        order_id=order.id,
        kind=offer.kind,
        by=actor.ref,
        why=why,
        was_room_id=order.room_id,
        was_starts_at=order.starts_at,
        was_ends_at=order.ends_at,
        room_id=offer.room.id,
        starts_at=offer.starts_at,
        ends_at=offer.ends_at,
        lines=offer.lines,
        fee_fen=0 if free else offer.fee_fen,
        diff_fen=0 if free else offer.diff_fen,
        total_fen=order.total_fen if free else offer.total_fen,
        claim_ids=await moving.hold_pieces(session, offer.room, order.id, lacking, clocks),
        hold_expires_at=clocks.now + await _hold_time(session, order),
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    if made.diff_fen <= 0:
        await apply(session, order, made, by=actor.ref, clocks=clocks)
        return made
    await note(
        session, order, f"{made.kind}_held", by=actor.ref, why=why, clocks=clocks, body=_body(made)
    )
    await schedule(
        session,
        merchant_id=order.merchant_id,
        kind=END,
        ref=made.id,
        run_at=made.hold_expires_at,
    )
    return made


async def _hold_time(session: AsyncSession, order: Order) -> timedelta:
    store = await session.get_one(Store, order.store_id)
    return timedelta(seconds=store.hold_s)


async def apply(
    session: AsyncSession, order: Order, one: OrderChange, *, by: str, clocks: Clocks
) -> None:
    """The order is of its new time and room now: claim, price, right to enter, what the store knows."""
    room = await session.get_one(Room, one.room_id)
    store = await session.get_one(Store, order.store_id)
    cleaning = (await rules_of(session, store, room.id)).cleaning
    await moving.move_to(
        session,
        order.claim_id,
        one.claim_ids,
        one.room_id,
        one.starts_at,
        one.ends_at,
        one.ends_at + cleaning,
    )
    if one.diff_fen or one.fee_fen or one.total_fen != order.total_fen:
        await _price(session, order, one)
    await change(
        session,
        order,
        room_id=one.room_id,
        starts_at=one.starts_at,
        ends_at=one.ends_at,
        total_fen=one.total_fen,
    )
    await _set(session, one, "applied", applied_at=clocks.now)
    await note(
        session, order, f"{one.kind}_applied", by=by, why=one.why, clocks=clocks, body=_body(one)
    )
    if one.diff_fen < 0:
        back = min(-one.diff_fen, order.paid_fen - order.refunded_fen - order.refunding_fen)
        await give_back(
            session,
            order,
            back,
            tag=f"C{one.id[-8:]}",
            reason=later("改订单退差价"),
            by=by,
            clocks=clocks,
        )
        await recount(session, order)
    await desired_changed(
        session, merchant_id=order.merchant_id, store_id=order.store_id, now=clocks.real
    )
    await schedule(
        session,
        merchant_id=order.merchant_id,
        kind=GRANT,
        ref=order.id,
        run_at=clocks.real,
        clock="wire",
    )
    await schedule(
        session,
        merchant_id=order.merchant_id,
        kind=FORGOTTEN,
        ref=order.id,
        run_at=order.ends_at + FORGOTTEN_AFTER,
    )
    await moved_on(session, order)
    await freed(session, order, clocks)


async def _price(session: AsyncSession, order: Order, one: OrderChange) -> None:
    """New lines of time in the place of the old ones (a move), or after them (an extension)."""
    query = select(OrderLine).where(col(OrderLine.order_id) == order.id)
    lines = (await session.exec(query.order_by(col(OrderLine.position)))).all()
    kept = [line for line in lines if one.kind == EXTENSION or line.kind not in TIMED]
    if one.kind != EXTENSION:
        gone = [line.id for line in lines if line.kind in TIMED]
        await session.exec(delete(OrderLine).where(col(OrderLine.id).in_(gone)))
    fresh: list[dict[str, Any]] = [
        {"kind": line.get("kind", "room_time"), **line} for line in one.lines
    ]
    if one.fee_fen:
        fresh.append(
            {"kind": "change_fee", "text": later("改订单手续费"), "amount_fen": one.fee_fen}
        )
    rest = one.total_fen - sum(line.amount_fen for line in kept) - sum_of(fresh)
    if rest:  # what was taken off before was more than the new time costs
        fresh.append({"kind": "discount", "text": later("优惠用不完的部分"), "amount_fen": rest})
    after = max((line.position for line in lines), default=-1) + 1
    for position, line in enumerate(fresh, after):
        session.add(
            OrderLine(
                merchant_id=order.merchant_id,
                store_id=order.store_id,
                order_id=order.id,
                position=position,
                kind=str(line["kind"]),
                text=str(line["text"]),
                amount_fen=int(line["amount_fen"]),
                detail=line,
            )
        )
    await session.flush()


async def lapse(
    session: AsyncSession, order: Order, one: OrderChange, *, by: str, clocks: Clocks
) -> None:
    """Give up what is held; the order stays as it was. Nothing if it is not held any more."""
    if one.state != "held":
        return
    await moving.let_go(session, one.claim_ids, "change_lapsed")
    await _set(session, one, "lapsed")
    for attempt in await attempts_of(session, order.id, one):
        if attempt.state in OPEN_PAYMENT:
            await payments.close_later(session, attempt, clocks)
    await note(session, order, f"{one.kind}_lapsed", by=by, clocks=clocks, body=_body(one))


async def drop(
    session: AsyncSession, actor: Customer | Staff, order: Order, change_id: str, clocks: Clocks
) -> None:
    """The guest thinks better of it. Raises NotFound; what is applied stays."""
    one = await find(session, actor, order.id, change_id)
    if one.state == "applied":
        raise Conflict("change.applied", "已经改好了，要改回去请再改一次")
    await lapse(session, order, one, by=actor.ref, clocks=clocks)


async def ended(cloud: Cloud, job: DueJob) -> None:
    """Job ``order.change_end``: as with an order's hold, ask for the money first, then let go."""
    async with cloud.db.read() as session:
        one = await session.get_one(OrderChange, job.ref)
        attempts = await attempts_of(session, one.order_id, one)
    if one.state != "held":
        return
    if await hold_end.money_came(cloud, job, attempts):
        return
    async with cloud.db.write() as session:
        order = await system_lock(session, one.order_id)
        one = await find(session, System(), order.id, one.id)
        if one.state != "held":
            return
        hold_end.nothing_comes(await attempts_of(session, order.id, one))
        await lapse(session, order, one, by="system", clocks=cloud.clocks)


async def settle(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    """Money for a change came: apply it, or if its time is gone give the money back. Once."""
    what = (await session.get_one(PaymentAttempt, payment_id)).pays
    one = await session.get_one(OrderChange, dispatch.ref_of(what))
    order = await system_lock(session, one.order_id)
    payment = await lock_payment(session, payment_id)
    if payment.state != "succeeded" or payment.applied is not None:
        return
    one = await find(session, System(), order.id, one.id)
    if await _still(session, order, one, clocks):
        await note_payment(session, payment, applied=KINDS[one.kind])
        await recount(session, order)
        await apply(session, order, one, by=f"customer:{order.account_id}", clocks=clocks)
    else:
        await lapse(session, order, one, by="system", clocks=clocks)
        await note_payment(session, payment, applied=f"{KINDS[one.kind]}_refunded")
        await payments.ask_refund(
            session,
            payment.id,
            tag="late",
            amount_fen=payment.amount_fen,
            reason=later("改订单没有成，全额退回"),
            clocks=clocks,
        )
        await recount(session, order)
        body = {"payment": payment.number, "amount_fen": payment.amount_fen}
        await note(session, order, "money_back_change", by="system", clocks=clocks, body=body)


async def _still(session: AsyncSession, order: Order, one: OrderChange, clocks: Clocks) -> bool:
    """Whether the change can be applied now: held, or what it lacked is free again and nothing moved."""
    running = {"ready", "in_use"} if one.kind == EXTENSION else {"paid", "ready"}
    same = (order.room_id, order.starts_at, order.ends_at) == (
        one.was_room_id,
        one.was_starts_at,
        one.was_ends_at,
    )
    if order.status not in running or order.finished_early or not same:
        return False
    if one.kind != EXTENSION:
        try:  # it may have gone away while the guest paid
            await store_hears(session, order, min(one.starts_at, order.starts_at), clocks)
        except Conflict:
            return False
    if one.state == "held":
        return True
    if one.state != "lapsed" or clocks.now >= one.ends_at:
        return False
    room = await session.get_one(Room, one.room_id)
    await moving.lock_rooms(session, (order.room_id, room.id))
    claim = await claims.get(session, order.claim_id)
    store = await session.get_one(Store, order.store_id)
    until = one.ends_at + (await rules_of(session, store, room.id)).cleaning
    lacking = moving.pieces(
        (claim.block_from, claim.block_until),
        (one.starts_at, until),
        same_room=claim.room_id == room.id,
    )
    try:
        one.claim_ids = await moving.hold_pieces(session, room, order.id, lacking, clocks)
    except claims.RoomTaken:
        return False
    session.add(one)
    await session.flush()
    return True


async def told(session: AsyncSession, store_id: str, epoch: int, rev: int) -> None:
    """The store's document (epoch, rev) carries every change applied so far."""
    await session.exec(
        update(OrderChange)
        .where(
            col(OrderChange.store_id) == store_id,
            col(OrderChange.state) == "applied",
            col(OrderChange.told_rev).is_(None),
            col(OrderChange.confirmed_at).is_(None),
        )
        .values(told_epoch=epoch, told_rev=rev)
        .execution_options(synchronize_session=False)
    )


async def obeyed(
    session: AsyncSession, store_id: str, epoch: int, rev: int, clocks: Clocks
) -> None:
    """The store says that it obeys (epoch, rev): what that document carries is confirmed."""
    query = scoped(System(), OrderChange).where(
        col(OrderChange.store_id) == store_id,
        col(OrderChange.confirmed_at).is_(None),
        or_(
            col(OrderChange.told_epoch) < epoch,
            (col(OrderChange.told_epoch) == epoch) & (col(OrderChange.told_rev) <= rev),
        ),
    )
    for one in (await session.exec(query.order_by(col(OrderChange.order_id)).limit(200))).all():
        order = await system_lock(session, one.order_id)
        await _confirm(session, order, one, by=f"store:{store_id}", clocks=clocks)


async def carried(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    """A new pass with the new end was handed out: the store will obey it without having heard."""
    query = scoped(System(), OrderChange).where(
        col(OrderChange.order_id) == order.id,
        col(OrderChange.state) == "applied",
        col(OrderChange.confirmed_at).is_(None),
    )
    for one in (await session.exec(query)).all():
        await _confirm(session, order, one, by="pass", clocks=clocks)


async def _confirm(
    session: AsyncSession, order: Order, one: OrderChange, *, by: str, clocks: Clocks
) -> None:
    done = await session.exec(
        update(OrderChange)
        .where(col(OrderChange.id) == one.id, col(OrderChange.confirmed_at).is_(None))
        .values(confirmed_at=clocks.now)
        .returning(col(OrderChange.id))
        .execution_options(synchronize_session=False)
    )
    if done.first() is None:
        return
    kind = "extended" if one.kind == EXTENSION else "moved"
    await note(session, order, kind, by=by, clocks=clocks, body=_body(one))


async def undelivered(session: AsyncSession, order: Order, ended_s: float, clocks: Clocks) -> None:
    """The stay ended ``ended_s`` (epoch seconds) as if never extended, and no store ever heard of it:
    what was paid for the extension goes back.
    """
    store = await session.get_one(Store, order.store_id)
    query = scoped(System(), OrderChange).where(
        col(OrderChange.order_id) == order.id,
        col(OrderChange.kind) == EXTENSION,
        col(OrderChange.state) == "applied",
        col(OrderChange.confirmed_at).is_(None),
        col(OrderChange.diff_fen) > 0,
    )
    for one in (await session.exec(query)).all():
        if ended_s > one.was_ends_at.timestamp() + store.grace_s + 120:
            continue
        back = min(one.diff_fen, left_fen(order))  # some may have gone back for another reason
        if back <= 0:
            continue
        await give_back(
            session,
            order,
            back,
            tag=f"E{one.id[-8:]}",
            reason=later("续时没有送到门店，退回续时费"),
            by="system",
            clocks=clocks,
        )
        await leaving.take_off(session, order, leaving.UNDELIVERED, later("续时没有送到门店"), back)
        await recount(session, order)
        await note(session, order, "extension_unused", by="system", clocks=clocks, body=_body(one))


async def find(session: AsyncSession, actor: Actor, order_id: str, change_id: str) -> OrderChange:
    """One change of an order as it is now. Raises NotFound."""
    query = scoped(actor, OrderChange).where(
        col(OrderChange.id) == change_id, col(OrderChange.order_id) == order_id
    )
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound("change", "没有这次改动")
    return found


async def open_of(session: AsyncSession, order_id: str) -> list[OrderChange]:
    """What is held for an order and not paid."""
    query = scoped(System(), OrderChange).where(
        col(OrderChange.order_id) == order_id, col(OrderChange.state) == "held"
    )
    return list((await session.exec(query)).all())


async def drop_all(session: AsyncSession, order: Order, *, by: str, clocks: Clocks) -> None:
    """The order is over: nothing stays held beside it."""
    for one in await open_of(session, order.id):
        await lapse(session, order, one, by=by, clocks=clocks)


async def attempts_of(
    session: AsyncSession, order_id: str, one: OrderChange
) -> list[PaymentAttempt]:
    """The tries to pay a change, oldest first."""
    tried = await payments.payments_in(session, part_of(order_id))
    return [attempt for attempt in tried if attempt.pays == pays(one)]


async def _set(session: AsyncSession, one: OrderChange, to: str, **values: Any) -> None:
    assert to in TABLE[one.state]
    moved = await session.exec(
        update(OrderChange)
        .where(col(OrderChange.id) == one.id, col(OrderChange.state) == one.state)
        .values(state=to, **values)
        .returning(col(OrderChange.id))
        .execution_options(synchronize_session=False)
    )
    if moved.first() is None:
        raise Conflict("order.moved", "订单刚刚有变化，请刷新再试")
    await session.refresh(one)


def _body(one: OrderChange) -> dict[str, Any]:
    """Before and after, for the record."""
    minutes = round((one.ends_at - one.was_ends_at).total_seconds() / 60)
    return {
        "change": one.id,
        "number": one.id[-8:],
        "was": [one.was_room_id, one.was_starts_at.isoformat(), one.was_ends_at.isoformat()],
        "now": [one.room_id, one.starts_at.isoformat(), one.ends_at.isoformat()],
        "amount_fen": abs(one.diff_fen),
        "fee_fen": one.fee_fen,
        "minutes": minutes,
    }
