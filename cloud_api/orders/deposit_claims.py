"""Claims on a deposit: what staff want to keep of it for damage.

A claim names amount, reason and picture. Its guest sees it and may object within a day; what nobody
objects to is kept, what is objected to somebody decides. What is let go pays overtime that is due, then
goes back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import later
from cloud_api.kit.models import DueJob
from cloud_api.orders import books, deposits, overtime
from cloud_api.orders.books import deposit_of
from cloud_api.orders.models import DepositClaim, Order
from cloud_api.orders.transitions import lock_order, note, system_lock
from cloud_api.staff.permissions import ORDER_REFUND

CLAIM: Final = "deposit.claim"  # ref: claim id
OBJECT_FOR: Final = timedelta(hours=24)
CLAIMS: Final[dict[str, frozenset[str]]] = {
    "open": frozenset({"disputed", "kept", "dropped"}),
    "disputed": frozenset({"kept", "dropped"}),
    "kept": frozenset(),
    "dropped": frozenset(),
}


async def claim(
    session: AsyncSession,
    staff: Staff,
    order_id: str,
    amount_fen: int,
    why: str,
    photo: str,
    clocks: Clocks,
) -> DepositClaim:
    """Want to keep some of a deposit for damage. Needs ``order.refund``.

    Raises NotFound, KaimenError ``deposit.why``, ``deposit.photo``, Conflict ``deposit.not_held`` (with
    ``held_fen``).
    """
    staff.need(ORDER_REFUND)
    order = await lock_order(session, staff, order_id)
    if len(why.strip()) < 2:
        raise KaimenError("deposit.why", "请写明损坏了什么", status=422, field="why")
    if not photo.strip():
        raise KaimenError("deposit.photo", "请附照片，顾客要看得到凭据", status=422, field="photo")
    deposit = await deposit_of(session, order.id)
    free = 0 if deposit is None else await deposits.free(session, deposit)
    if deposit is None or amount_fen > free:
        raise deposits.not_held(free)
    made = DepositClaim(
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        account_id=order.account_id,
        deposit_id=deposit.id,
        order_id=order.id,
        amount_fen=amount_fen,
        why=why.strip(),
        photo=photo.strip(),
        by=staff.ref,
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    await note(
        session,
        order,
        "deposit_claimed",
        by=staff.ref,
        why=made.why,
        body={"amount_fen": amount_fen},
        clocks=clocks,
    )
    await schedule(
        session,
        merchant_id=order.merchant_id,
        kind=CLAIM,
        ref=made.id,
        run_at=clocks.now + OBJECT_FOR,
    )
    await _record(session, staff, order, "deposit.claim", amount_fen, made.why, clocks)
    return made


async def object_to(
    session: AsyncSession,
    customer: Customer,
    order_id: str,
    claim_id: str,
    words: str,
    clocks: Clocks,
) -> DepositClaim:
    """The guest does not agree; somebody else than a rule decides then.

    Raises NotFound, KaimenError ``deposit.why``, Conflict ``deposit.decided``.
    """
    if len(words.strip()) < 2:
        raise KaimenError("deposit.why", "请写明为什么不同意", status=422, field="why")
    order = await lock_order(session, customer, order_id)
    found = await _claim(session, order, claim_id)
    if found.state == "disputed":
        return found
    await _move_claim(session, found, "disputed", objection=words.strip())
    await note(
        session,
        order,
        "deposit_disputed",
        by=customer.ref,
        why=found.objection,
        body={"amount_fen": found.amount_fen},
        clocks=clocks,
    )
    return found


async def decide(
    session: AsyncSession,
    staff: Staff,
    order_id: str,
    claim_id: str,
    keep: bool,
    why: str,
    clocks: Clocks,
) -> DepositClaim:
    """Keep what was claimed, or let it go. Needs ``order.refund``; a claim that is disputed is not
    decided by who made it. Raises NotFound, Conflict ``deposit.decided``, ``deposit.own_claim``,
    ``deposit.not_held`` (with ``held_fen``) where less is held than was claimed.
    """
    staff.need(ORDER_REFUND)
    order = await lock_order(session, staff, order_id)
    found = await _claim(session, order, claim_id)
    if found.state == "open" and keep:
        raise Conflict("deposit.may_object", "顾客还可以提出异议，24 小时后自动生效")
    if found.state == "disputed" and keep and found.by == staff.ref:
        raise Conflict("deposit.own_claim", "顾客有异议，请别的同事来定")
    if len(why.strip()) < 2:
        raise KaimenError("deposit.why", "请写明理由", status=422, field="why")
    await _decided(session, order, found, keep, staff.ref, why.strip(), clocks)
    await _record(
        session,
        staff,
        order,
        "deposit.keep" if keep else "deposit.drop",
        found.amount_fen,
        why,
        clocks,
    )
    return found


async def claim_due(cloud: Cloud, job: DueJob) -> None:
    """Job ``deposit.claim``: nobody objected in time. A claim on money that is not there is let go."""
    async with cloud.db.write() as session:
        found = await session.get_one(DepositClaim, job.ref)
        order = await system_lock(session, found.order_id)
        await session.refresh(found)
        if found.state != "open":
            return
        deposit = await deposit_of(session, order.id)
        keep = deposit is not None and found.amount_fen <= deposit.held_fen
        why = later("无异议") if keep else later("押金退还")
        await _decided(session, order, found, keep, "system", why, cloud.clocks)


async def _decided(
    session: AsyncSession,
    order: Order,
    found: DepositClaim,
    keep: bool,
    by: str,
    why: str,
    clocks: Clocks,
) -> None:
    await _move_claim(
        session,
        found,
        "kept" if keep else "dropped",
        decided_by=by,
        decided_why=why,
        decided_at=clocks.now,
    )
    deposit = await deposit_of(session, order.id)
    assert deposit is not None
    if keep:
        await deposits.keep(session, order, found.amount_fen)
    await note(
        session,
        order,
        "deposit_kept" if keep else "deposit_dropped",
        by=by,
        why=why,
        body={"amount_fen": found.amount_fen},
        clocks=clocks,
    )
    if not keep:
        await overtime.take(session, order, clocks)
    over = order.status in {"completed", "cancelled"}
    if over and deposit.return_at is not None and deposit.return_at <= clocks.now:
        await schedule(
            session,
            merchant_id=order.merchant_id,
            kind=books.DEPOSIT_RETURN,
            ref=order.id,
            run_at=clocks.now,
        )


async def _claim(session: AsyncSession, order: Order, claim_id: str) -> DepositClaim:
    query = select(DepositClaim).where(
        col(DepositClaim.id) == claim_id, col(DepositClaim.order_id) == order.id
    )
    found = (await session.exec(query.execution_options(populate_existing=True))).one_or_none()
    if found is None:
        raise NotFound("claim", "没有这条扣押金的记录")
    return found


async def _move_claim(session: AsyncSession, found: DepositClaim, to: str, **values: Any) -> None:
    if to not in CLAIMS[found.state]:
        raise Conflict("deposit.decided", "这一条已经处理过了", state_now=found.state)
    moved = await session.exec(
        update(DepositClaim)
        .where(col(DepositClaim.id) == found.id, col(DepositClaim.state) == found.state)
        .values(state=to, **values)
        .returning(col(DepositClaim.id))
        .execution_options(synchronize_session=False)
    )
    if moved.first() is None:
        raise Conflict("deposit.decided", "这一条刚刚有变化，请刷新再看")
    await session.refresh(found)


async def _record(
    session: AsyncSession,
    staff: Staff,
    order: Order,
    action: str,
    amount_fen: int,
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
        after={"amount_fen": amount_fen},
        why=why,
        clocks=clocks,
    )
