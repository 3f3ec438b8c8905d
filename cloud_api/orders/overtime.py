"""Overtime of an order: priced once, when the store's usage arrives; paid, or waived for a reason.

The deposit pays as far as it reaches, then the guest's balance, by themselves; the rest is due. It is a
debt of its own beside the order: the order's lines and total stay what was sold and paid. A payment for
it names ``overtime:<order id>``. While it is due, its guest books nothing more at that merchant.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Actor, Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.kit.money import yuan
from cloud_api.kit.notices import notify
from cloud_api.kit.statements import Bound
from cloud_api.orders import deposits
from cloud_api.orders.books import part_of
from cloud_api.orders.models import Order, OrderLine, OvertimeCharge
from cloud_api.orders.transitions import lock_order, note, system_lock
from cloud_api.payments import dispatch
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.records import lock_payment
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.payments.transitions import note as note_payment
from cloud_api.pricing.overtime import OFF, OvertimeRule, price
from cloud_api.staff.permissions import ORDER_WAIVE
from cloud_api.stored_value import paying
from cloud_api.stored_value import service as stored_value
from cloud_api.stores.models import Store
from store_link.clock import from_ms, ms
from store_link.messages import UsageBody

KIND: Final = "overtime"
PART: Final = "overtime_part"  # what money did that paid some of it
TABLE: Final[dict[str, frozenset[str]]] = {
    "free": frozenset(),  # nothing to pay: no rule, or within its free minutes
    "due": frozenset({"due", "paid", "waived"}),  # due again: some of it was paid
    "paid": frozenset(),
    "waived": frozenset(),
}


def pays(order_id: str) -> str:
    """How a payment names the overtime it is for."""
    return f"{KIND}:{order_id}"


def rule_of(store: Store) -> OvertimeRule:
    """The store's rule as it is now."""
    return OvertimeRule(
        mode=store.overtime_mode,
        free_minutes=store.overtime_free_minutes,
        unit_minutes=store.overtime_unit_minutes,
        unit_fen=store.overtime_unit_fen,
        per_cent=store.overtime_per_cent,
        cap_fen=store.overtime_cap_fen,
    )


async def charge(
    session: AsyncSession, store: Store, order: Order, body: UsageBody, clocks: Clocks
) -> OvertimeCharge | None:
    """Write down what a stay's overtime costs, with rule and evidence. Once: again gives what stands.

    None without a whole minute of it. ``order`` is locked by the caller.
    """
    if (known := await of_order(session, order.id)) is not None:
        return known
    if body.overtime_s < 60:
        return None
    rule = rule_of(store)
    priced = price(rule, body.overtime_s, await _hourly_fen(session, order))
    made = OvertimeCharge(
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        account_id=order.account_id,
        order_id=order.id,
        state="due" if priced.amount_fen else "free",
        seconds=body.overtime_s,
        minutes=priced.minutes,
        free_minutes=priced.free_minutes,
        units=priced.units,
        unit_minutes=priced.unit_minutes,
        unit_fen=priced.unit_fen,
        amount_fen=priced.amount_fen,
        capped=priced.capped,
        left_at=_left_at(body),
        evidence=_evidence(body),
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    if made.state == "due":
        await take(session, order, clocks)
    if made.state == "due":
        amount = {"amount_fen": made.owed_fen}
        await note(
            session, order, "overtime_due", by=f"store:{store.id}", clocks=clocks, body=amount
        )
        await notify(
            session,
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            event="overtime.due",
            to=f"account:{order.account_id}",
            subject=f"order:{order.id}",
            data={
                "order_id": order.id,
                "number": order.number,
                "room_id": order.room_id,
                "minutes": made.minutes,
                **amount,
            },
            key=order.id,
            at=clocks.now,
        )
    return made


async def take(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    """Take what is due from the deposit as far as that is free, then from the guest's balance.

    ``order`` is locked by the caller. Again takes what is there by then; a payment that is open for more
    than is left is closed.
    """
    owed = await of_order(session, order.id)
    if owed is None or owed.state != "due":
        return
    was = owed.owed_fen
    held = await deposits.take_overtime(session, order, was, clocks)
    await _cover(session, owed, held, clocks)
    await _from_balance(session, order, owed, clocks)
    if owed.owed_fen < was:
        await _close_open(session, order, clocks)


async def _close_open(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    for payment in await payments.payments_of(session, pays(order.id)):
        if payment.state in OPEN_PAYMENT:
            await payments.close_later(session, payment, clocks)


async def _cover(
    session: AsyncSession, owed: OvertimeCharge, amount_fen: int, clocks: Clocks
) -> bool:
    """Some of what is due is paid; whether that is all of it now."""
    covered = owed.covered_fen + amount_fen
    whole = covered >= owed.amount_fen
    state = "paid" if whole else "due"
    if amount_fen:
        settled = clocks.now if whole else None
        await _move(session, owed, state, covered_fen=covered, settled_at=settled)
    return whole


async def _from_balance(
    session: AsyncSession, order: Order, owed: OvertimeCharge, clocks: Clocks
) -> None:
    """Take from the guest's balance what it has of what is still due."""
    if owed.state != "due":
        return
    wallet = await stored_value.wallet_of(session, order.merchant_id, order.account_id)
    if wallet is None or wallet.total_fen <= 0:
        return
    wallet = await stored_value.lock_wallet(session, order.merchant_id, order.account_id, clocks)
    part = min(wallet.total_fen, owed.owed_fen)
    if part <= 0:
        return
    tried = await payments.payments_of(session, pays(order.id))
    payment = await paying.pay_all(
        session,
        store=await session.get_one(Store, order.store_id),
        account_id=order.account_id,
        pays=pays(order.id),
        part_of=part_of(order.id),
        number=f"{order.number}-T{len(tried) + 1}",
        amount_fen=part,
        subject=_("超时 {n} 分钟").format(n=owed.minutes),
        expires_at=clocks.now,
        clocks=clocks,
    )
    await dispatch.settle(session, payment.id, clocks)


async def so_far(session: AsyncSession, store: Store, order: Order, now: datetime) -> int | None:
    """What overtime costs a guest who leaves at ``now``, in fen; None before it begins or where it is free."""
    rule = rule_of(store)
    seconds = (now - order.ends_at).total_seconds() - store.grace_s
    if rule.mode == OFF or seconds < 0:
        return None
    return price(rule, int(seconds), await _hourly_fen(session, order)).amount_fen


async def of_order(session: AsyncSession, order_id: str) -> OvertimeCharge | None:
    """The overtime of an order whose reading was allowed already."""
    return (await of_orders(session, [order_id])).get(order_id)


async def of_orders(session: AsyncSession, order_ids: list[str]) -> dict[str, OvertimeCharge]:
    """By order id, the overtime of orders; one query for any number."""
    query = scoped(System(), OvertimeCharge).where(col(OvertimeCharge.order_id).in_(order_ids))
    rows = await session.exec(query.execution_options(populate_existing=True))
    return {row.order_id: row for row in rows}


async def check_nothing_due(session: AsyncSession, customer: Customer, merchant_id: str) -> None:
    """Raise Conflict ``order.overtime_due`` while this guest owes this merchant overtime."""
    query = owed(customer, merchant_id).order_by(col(OvertimeCharge.created_at))
    due_now = (await session.exec(query)).first()
    if due_now is not None:
        raise Conflict(
            "order.overtime_due",
            _("上次的超时费 {money} 还没付，付好就能订").format(money=yuan(due_now.owed_fen)),
            order_id=due_now.order_id,
            amount_fen=due_now.owed_fen,
            pay=f"/orders/{due_now.order_id}/pay",
        )


def owed(customer: Customer, merchant_id: Bound[str]) -> SelectOfScalar[OvertimeCharge]:
    """What this guest owes this merchant."""
    return scoped(customer, OvertimeCharge).where(
        col(OvertimeCharge.merchant_id) == merchant_id, col(OvertimeCharge.state) == "due"
    )


async def waive(
    session: AsyncSession, staff: Staff, order_id: str, why: str, clocks: Clocks
) -> OvertimeCharge:
    """Let a guest off what is due, for a reason. Needs ``order.waive``, within the role's limit.

    Again by anybody gives what stands. Raises NotFound ``overtime.not_found``, 422 ``overtime.why``,
    Conflict ``overtime.not_due`` where it was paid or is nothing.
    """
    staff.need(ORDER_WAIVE)
    if not why.strip():
        raise KaimenError("overtime.why", "请写明免收的原因", status=422, field="why")
    order = await lock_order(session, staff, order_id)
    owed = await of_order(session, order.id)
    if owed is None:
        raise NotFound("overtime", "这个订单没有超时")
    if owed.state == "waived":
        return owed
    if owed.state != "due":
        message = (
            _("超时费已经付过了，要退请走退款") if owed.state == "paid" else _("这次超时不收费")
        )
        raise Conflict("overtime.not_due", message, state_now=owed.state)
    staff.need_waiver(owed.owed_fen)
    amount = {"amount_fen": owed.owed_fen}
    await _move(
        session, owed, "waived", waived_by=staff.ref, waived_why=why.strip(), settled_at=clocks.now
    )
    await note(
        session,
        order,
        "overtime_waived",
        by=staff.ref,
        why=why.strip(),
        clocks=clocks,
        body=amount,
    )
    await audit.record(
        session,
        staff,
        "overtime.waive",
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        subject=f"order:{order.id}",
        before={"state": "due", **amount},
        after={"state": "waived", **amount},
        why=why.strip(),
        clocks=clocks,
    )
    await _close_open(session, order, clocks)
    return owed


async def settle(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    """Let a payment for overtime have its one effect; again changes nothing.

    Less than is due is a part of it. What is not due any more (waived or taken meanwhile, paid twice)
    goes back.
    """
    what = (await session.get_one(PaymentAttempt, payment_id)).pays
    order = await system_lock(session, what.partition(":")[2])
    payment = await lock_payment(session, payment_id)
    if payment.state != "succeeded" or payment.applied is not None:
        return
    owed = await of_order(session, order.id)
    body = {"payment": payment.number, "amount_fen": payment.amount_fen}
    if owed is not None and owed.state == "due":
        body["amount_fen"] = part = min(payment.amount_fen, owed.owed_fen)
        whole = await _cover(session, owed, part, clocks)
        applied = "overtime" if whole else PART
        kind = "overtime_paid" if payment.provider != paying.BALANCE else "overtime_from_balance"
        await note(session, order, kind, by="system", clocks=clocks, body=body)
    else:
        part, applied = 0, "overtime_refunded"
    if more := payment.amount_fen - part:
        await payments.ask_refund(
            session,
            payment.id,
            tag="dup",
            amount_fen=more,
            reason=later("超时费多付的部分退回") if part else later("超时费已经结清，全额退回"),
            clocks=clocks,
        )
        body = body | {"amount_fen": more}
        await note(session, order, "overtime_money_back", by="system", clocks=clocks, body=body)
    await note_payment(session, payment, applied=applied)


async def due(session: AsyncSession, actor: Actor, order_id: str) -> OvertimeCharge | None:
    """What is due for an order that ``actor`` may read; None if nothing is."""
    query = scoped(actor, OvertimeCharge).where(
        col(OvertimeCharge.order_id) == order_id, col(OvertimeCharge.state) == "due"
    )
    return (await session.exec(query)).one_or_none()


async def _move(session: AsyncSession, owed: OvertimeCharge, to: str, **values: Any) -> None:
    assert to in TABLE[owed.state]
    moved = await session.exec(
        update(OvertimeCharge)
        .where(col(OvertimeCharge.id) == owed.id, col(OvertimeCharge.state) == owed.state)
        .values(state=to, **values)
        .returning(col(OvertimeCharge.id))
        .execution_options(synchronize_session=False)
    )
    if moved.first() is None:
        raise Conflict("overtime.moved", "超时费刚刚有变化，请刷新再试")
    await session.refresh(owed)


async def _hourly_fen(session: AsyncSession, order: Order) -> int:
    """What the last hour of the stay cost."""
    lines = select(OrderLine).where(
        col(OrderLine.order_id) == order.id,
        col(OrderLine.kind).in_(("room_time", "slot", "package")),
    )
    last = (await session.exec(lines.order_by(col(OrderLine.position).desc()).limit(1))).first()
    return 0 if last is None else int(last.detail.get("hourly_fen") or 0)


def _left_at(body: UsageBody) -> datetime:
    """The last sign of somebody, else the end of the stay."""
    window = body.evidence.get("overtime")
    until = window.get("until") if isinstance(window, dict) else None
    sane = isinstance(until, int) and 0 <= until <= body.ended_at
    return from_ms(until if sane and isinstance(until, int) else body.ended_at)


def _evidence(body: UsageBody) -> dict[str, Any]:
    """What the verdict rested on, and for how long the room was watched."""
    told = body.evidence.get("signs")
    signs = [
        one
        for one in (told if isinstance(told, list) else [])
        if isinstance(one, list)
        and [type(part) for part in one] == [int, str]
        and 0 <= one[0] <= body.ended_at
    ]
    return {"signs": signs, "seconds": body.overtime_s, "left_at": ms(_left_at(body))}
