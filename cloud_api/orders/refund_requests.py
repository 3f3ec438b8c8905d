"""A guest asks for money back: rules propose, staff within their limit decide, the money goes as it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.claims import service as claims
from cloud_api.kit.actor import Actor, Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.kit.money import yuan
from cloud_api.kit.notices import notify
from cloud_api.orders import changes, refund_rules
from cloud_api.orders.books import part_of
from cloud_api.orders.differences import free_tag, give_back
from cloud_api.orders.models import Order, RefundRequest
from cloud_api.orders.money import REVOKE
from cloud_api.orders.sums import recount
from cloud_api.orders.transitions import lock_order, move, note
from cloud_api.payments import service as payments
from cloud_api.staff.permissions import ORDER_REFUND

TABLE: Final[dict[str, frozenset[str]]] = {
    "open": frozenset({"approved", "declined", "withdrawn"}),
    "approved": frozenset(),
    "declined": frozenset(),
    "withdrawn": frozenset(),
}
OFTEN: Final = 3  # so many requests for one order; more is for the telephone
_SYSTEM: Final = System()


async def ask(
    session: AsyncSession,
    customer: Customer,
    order_id: str,
    why: str,
    amount_fen: int | None,
    clocks: Clocks,
) -> RefundRequest:
    """Ask for money back for one's own order; a request that is open is given back as it is.

    Raises NotFound, KaimenError ``refund.why``, ``refund.amount``, Conflict ``refund.nothing_paid``,
    ``refund.too_often``.
    """
    _need_why(why)
    order = await lock_order(session, customer, order_id)
    earlier = await of_order(session, order.id)
    if earlier and earlier[-1].state == "open":
        return earlier[-1]
    if len(earlier) >= OFTEN:
        raise Conflict("refund.too_often", "这个订单已经申请过多次，请直接联系店家")
    return await _ask(session, order, customer.ref, why, amount_fen, clocks)


async def ask_for(
    session: AsyncSession,
    staff: Staff,
    order_id: str,
    why: str,
    amount_fen: int | None,
    clocks: Clocks,
) -> RefundRequest:
    """Ask for a guest who wrote or telephoned; who may approve it decides. Needs ``order.refund``, of any amount.

    Raises as ``ask``; as often as there is a reason.
    """
    staff.need(ORDER_REFUND)
    _need_why(why)
    order = await lock_order(session, staff, order_id)
    earlier = await of_order(session, order.id)
    if earlier and earlier[-1].state == "open":
        return earlier[-1]
    made = await _ask(session, order, staff.ref, why, amount_fen, clocks)
    await _record(session, staff, order, made, "refund.ask", why, clocks)
    return made


def _need_why(why: str) -> None:
    if len(why.strip()) < 2:
        raise KaimenError("refund.why", "请写明为什么要退款", status=422, field="why")


async def _ask(
    session: AsyncSession,
    order: Order,
    by: str,
    why: str,
    amount_fen: int | None,
    clocks: Clocks,
) -> RefundRequest:
    proposal = refund_rules.propose(order, clocks.now)
    if order.status == "pending_payment" or proposal.kept_fen == 0:
        raise Conflict("refund.nothing_paid", "这个订单没有可以退的钱")
    asked = proposal.kept_fen if amount_fen is None else amount_fen
    if not 0 < asked <= proposal.kept_fen:
        raise KaimenError(
            "refund.amount",
            _("最多能退 {money}").format(money=yuan(proposal.kept_fen)),
            status=422,
            field="amount_fen",
        )
    made = RefundRequest(
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        account_id=order.account_id,
        order_id=order.id,
        why=why.strip(),
        asked_fen=asked,
        proposal_fen=min(proposal.amount_fen, asked),
        proposal_text=proposal.text,
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    await note(
        session,
        order,
        "refund_requested",
        by=by,
        why=made.why,
        body={"amount_fen": asked, "number": made.id},
        clocks=clocks,
    )
    return made


async def withdraw(
    session: AsyncSession, customer: Customer, order_id: str, request_id: str, clocks: Clocks
) -> RefundRequest:
    """The guest does not want it any more. Raises NotFound, Conflict ``refund.decided``."""
    order = await lock_order(session, customer, order_id)
    found = await _get(session, customer, request_id, order.id)
    if found.state != "withdrawn":
        await _move(session, found, "withdrawn", decided_at=clocks.now)
        await note(session, order, "refund_withdrawn", by=customer.ref, clocks=clocks)
    return found


async def approve(
    session: AsyncSession,
    staff: Staff,
    request_id: str,
    amount_fen: int,
    why: str,
    clocks: Clocks,
) -> RefundRequest:
    """Give back ``amount_fen``, all of what was asked or a part. Needs ``order.refund`` and its limit.

    An order that has not begun is cancelled with it. Raises NotFound, ``staff.limit``, KaimenError
    ``refund.amount``, ``refund.why`` for a part without a reason, Conflict ``refund.decided``.
    """
    staff.need(ORDER_REFUND)
    found, order = await _lock(session, staff, request_id)
    kept = refund_rules.propose(order, clocks.now).kept_fen
    if not 0 < amount_fen <= min(kept, found.asked_fen):
        raise KaimenError(
            "refund.amount",
            _("最多能退 {money}").format(money=yuan(min(kept, found.asked_fen))),
            status=422,
            field="amount_fen",
        )
    if amount_fen < found.asked_fen and len(why.strip()) < 2:
        raise KaimenError("refund.why", "少退的，请写明原因给顾客看", status=422, field="why")
    staff.need_refund(amount_fen)
    await _move(
        session,
        found,
        "approved",
        approved_fen=amount_fen,
        decided_by=staff.ref,
        decided_why=why.strip(),
        decided_at=clocks.now,
    )
    if order.status in {"paid", "ready"}:
        await _cancel(session, staff, order, clocks)
    refunds = await payments.refunds_in(session, part_of(order.id))
    await give_back(
        session,
        order,
        amount_fen,
        tag=free_tag(refunds, "Q"),
        reason=later("顾客申请退款"),
        by=staff.ref,
        clocks=clocks,
    )
    await recount(session, order)
    await _record(session, staff, order, found, "refund.approve", why, clocks)
    return found


async def decline(
    session: AsyncSession, staff: Staff, request_id: str, why: str, clocks: Clocks
) -> RefundRequest:
    """Say no, with a reason that the guest reads. Needs ``order.refund``.

    Raises NotFound, KaimenError ``refund.why``, Conflict ``refund.decided``.
    """
    staff.need(ORDER_REFUND)
    if len(why.strip()) < 2:
        raise KaimenError("refund.why", "请写明不退的原因，顾客会看到", status=422, field="why")
    found, order = await _lock(session, staff, request_id)
    await _move(
        session,
        found,
        "declined",
        decided_by=staff.ref,
        decided_why=why.strip(),
        decided_at=clocks.now,
    )
    await note(
        session,
        order,
        "refund_declined",
        by=staff.ref,
        why=why.strip(),
        body={"amount_fen": found.asked_fen, "number": found.id},
        clocks=clocks,
    )
    await _record(session, staff, order, found, "refund.decline", why, clocks)
    return found


async def pass_up(
    session: AsyncSession, staff: Staff, request_id: str, why: str, clocks: Clocks
) -> RefundRequest:
    """Leave it to the manager: beyond one's limit, or one's judgement. Needs ``order.refund``."""
    staff.need(ORDER_REFUND)
    found, order = await _lock(session, staff, request_id)
    if found.state != "open":
        raise Conflict("refund.decided", "这个申请已经处理过了", state_now=found.state)
    if found.passed_up_by is not None:
        return found
    found.passed_up_by, found.passed_up_why = staff.ref, why.strip()
    session.add(found)
    await session.flush()
    await notify(
        session,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        event="refund.requested",
        to="role:manager",
        subject=f"order:{order.id}",
        data={
            "room_id": order.room_id,
            "number": order.number,
            "starts_at": order.starts_at.isoformat(),
            "ends_at": order.ends_at.isoformat(),
            "reason": why.strip() or found.why,
            "amount_fen": found.asked_fen,
        },
        key=f"up.{found.id}",
        at=clocks.now,
    )
    await _record(session, staff, order, found, "refund.pass_up", why, clocks)
    return found


async def of_order(session: AsyncSession, order_id: str) -> list[RefundRequest]:
    """What was asked for an order whose reading was allowed already, oldest first."""
    query = scoped(_SYSTEM, RefundRequest).where(col(RefundRequest.order_id) == order_id)
    rows = await session.exec(
        query.order_by(col(RefundRequest.id)).execution_options(populate_existing=True)
    )
    return list(rows.all())


async def of_orders(
    session: AsyncSession, order_ids: Sequence[str]
) -> dict[str, list[RefundRequest]]:
    """By order id, what was asked; one query for any number."""
    query = scoped(_SYSTEM, RefundRequest).where(col(RefundRequest.order_id).in_(list(order_ids)))
    found: dict[str, list[RefundRequest]] = {}
    for one in (await session.exec(query.order_by(col(RefundRequest.id)))).all():
        found.setdefault(one.order_id, []).append(one)
    return found


async def queue(
    session: AsyncSession, staff: Staff, *, decided: bool = False, store_id: str = ""
) -> list[RefundRequest]:
    """What waits for a decision, the oldest first; or what was decided, the newest first."""
    staff.need(ORDER_REFUND)
    query = scoped(staff, RefundRequest)
    if store_id:
        query = query.where(col(RefundRequest.store_id) == store_id)
    if decided:
        query = query.where(col(RefundRequest.state) != "open").order_by(
            col(RefundRequest.id).desc()
        )
    else:
        query = query.where(col(RefundRequest.state) == "open").order_by(col(RefundRequest.id))
    return list((await session.exec(query.limit(100))).all())


async def get(session: AsyncSession, actor: Actor, request_id: str) -> RefundRequest:
    """One request. Raises NotFound."""
    return await _get(session, actor, request_id)


async def _lock(
    session: AsyncSession, staff: Staff, request_id: str
) -> tuple[RefundRequest, Order]:
    found = await _get(session, staff, request_id)
    order = await lock_order(session, staff, found.order_id)
    await session.refresh(found)
    return found, order


async def _get(
    session: AsyncSession, actor: Actor, request_id: str, order_id: str | None = None
) -> RefundRequest:
    query = scoped(actor, RefundRequest).where(col(RefundRequest.id) == request_id)
    if order_id is not None:
        query = query.where(col(RefundRequest.order_id) == order_id)
    found = (await session.exec(query.execution_options(populate_existing=True))).one_or_none()
    if found is None:
        raise NotFound("refund_request", "没有这个退款申请")
    return found


async def _cancel(session: AsyncSession, staff: Staff, order: Order, clocks: Clocks) -> None:
    """An order that has not begun does not stand once its money goes back."""
    await changes.drop_all(session, order, by=staff.ref, clocks=clocks)
    await claims.release(session, order.claim_id, "cancelled:staff")
    await move(
        session,
        order,
        "cancelled",
        by=staff.ref,
        why=later("退款申请已同意"),
        clocks=clocks,
        cancel_why="staff",
    )
    await schedule(
        session,
        merchant_id=order.merchant_id,
        kind=REVOKE,
        ref=order.id,
        run_at=clocks.real,
        clock="wire",
    )


async def _move(session: AsyncSession, found: RefundRequest, to: str, **values: Any) -> None:
    if to not in TABLE[found.state]:
        raise Conflict("refund.decided", "这个申请已经处理过了", state_now=found.state)
    moved = await session.exec(
        update(RefundRequest)
        .where(col(RefundRequest.id) == found.id, col(RefundRequest.state) == found.state)
        .values(state=to, **values)
        .returning(col(RefundRequest.id))
        .execution_options(synchronize_session=False)
    )
    if moved.first() is None:
        raise Conflict("refund.decided", "这个申请刚刚有变化，请刷新再看")
    await session.refresh(found)


async def _record(
    session: AsyncSession,
    staff: Staff,
    order: Order,
    found: RefundRequest,
    action: str,
    why: str,
    clocks: Clocks,
) -> None:
    await audit.record(
        session,
        staff,
        action,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        subject=f"order:{order.id}",
        after={
            "number": order.number,
            "asked_fen": found.asked_fen,
            "approved_fen": found.approved_fen,
        },
        why=why,
        clocks=clocks,
    )
