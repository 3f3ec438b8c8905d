"""Deposits 押金: paid with the order, held, and given back after the stay unless staff claim some of it.

Claims stand in orders/deposit_claims.py. What is claimed and not decided stays held, whatever else wants
it: overtime is taken from the rest, and nothing goes back until somebody decided.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Actor, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.kit.models import DueJob
from cloud_api.kit.money import yuan
from cloud_api.kit.seen import unchanged
from cloud_api.kit.statements import Bound
from cloud_api.orders.books import deposit_of, wait_of
from cloud_api.orders.differences import give_back
from cloud_api.orders.models import Deposit, DepositClaim, DepositRule, Order, OvertimeCharge
from cloud_api.orders.sums import recount
from cloud_api.orders.transitions import note, system_lock
from cloud_api.staff.permissions import PRICE_EDIT
from cloud_api.stores.service import get_room, get_store

OPEN_CLAIM: Final = ("open", "disputed")
TABLE: Final[dict[str, frozenset[str]]] = {
    "waiting": frozenset({"held", "void"}),
    "held": frozenset({"settled"}),
    "void": frozenset({"held"}),  # money came late, and the room was still free
    "settled": frozenset(),
}
_SYSTEM: Final = System()


async def rule_of(session: AsyncSession, store_id: str, room_id: str) -> DepositRule | None:
    """The rule of a room: its own, else its store's."""
    query = of_store(store_id)
    rules = {rule.room_id: rule for rule in (await session.exec(query)).all()}
    return rules.get(room_id) or rules.get(None)


def of_store(store_id: Bound[str]) -> SelectOfScalar[DepositRule]:
    """The rules of a store and of its rooms."""
    return scoped(_SYSTEM, DepositRule).where(col(DepositRule.store_id) == store_id)


async def rules_of(session: AsyncSession, actor: Actor, store_id: str) -> list[DepositRule]:
    """A store's rules: its own first, then of rooms."""
    query = scoped(actor, DepositRule).where(col(DepositRule.store_id) == store_id)
    return sorted((await session.exec(query)).all(), key=lambda rule: rule.room_id or "")


def facts_of(rule: DepositRule | None) -> dict[str, Any]:
    """What a form shows of a rule; of none, that nothing is asked."""
    if rule is None:
        return {"amount_fen": 0, "return_minutes": 30}
    return audit.facts(rule, "amount_fen", "return_minutes")


async def put_rule(
    session: AsyncSession,
    staff: Staff,
    store_id: str,
    room_id: str | None,
    amount_fen: int,
    return_minutes: int,
    clocks: Clocks,
    saw: str | None = None,
) -> DepositRule:
    """Say what deposit a store or one of its rooms asks from now on; nothing is no deposit.

    Needs ``price.edit``. Raises NotFound, Conflict ``deposit_rule.changed`` (kit/seen.py).
    """
    staff.need(PRICE_EDIT)
    store = await get_store(session, staff, store_id)
    if room_id is not None and (await get_room(session, staff, room_id)).store_id != store.id:
        raise NotFound("room")
    await session.refresh(store, with_for_update={"key_share": True})  # there may be no rule yet
    query = scoped(staff, DepositRule).where(
        col(DepositRule.store_id) == store.id,
        col(DepositRule.room_id) == room_id
        if room_id is not None
        else col(DepositRule.room_id).is_(None),
    )
    rule = (await session.exec(query.with_for_update())).one_or_none()
    wanted = {"amount_fen": amount_fen, "return_minutes": return_minutes}
    unchanged(saw, facts_of(rule), wanted, "deposit_rule.changed")
    was = None if rule is None else {"amount_fen": rule.amount_fen}
    if rule is None:
        rule = DepositRule(merchant_id=store.merchant_id, store_id=store.id, room_id=room_id)
    rule.amount_fen, rule.return_minutes = amount_fen, return_minutes
    session.add(rule)
    await session.flush()
    await audit.record(
        session,
        staff,
        "deposit.rule",
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=f"room:{room_id}" if room_id else f"store:{store.id}",
        before=was,
        after=wanted,
        clocks=clocks,
    )
    return rule


async def begin(session: AsyncSession, order: Order, clocks: Clocks) -> Deposit | None:
    """Ask for the deposit of a new order's room, where there is one."""
    rule = await rule_of(session, order.store_id, order.room_id)
    if rule is None or rule.amount_fen == 0:
        return None
    deposit = Deposit(
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        account_id=order.account_id,
        order_id=order.id,
        amount_fen=rule.amount_fen,
        return_minutes=rule.return_minutes,
        created_at=clocks.now,
    )
    session.add(deposit)
    await session.flush()
    return deposit


async def to_pay(session: AsyncSession, order: Order) -> int:
    """What is to be paid for a new order: its price and its deposit, in fen."""
    deposit = await deposit_of(session, order.id)
    asked = deposit is not None and not deposit.taken
    return order.total_fen + (deposit.amount_fen if deposit is not None and asked else 0)


async def taken(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    """The money of the order came, its deposit with it."""
    deposit = await deposit_of(session, order.id)
    if deposit is not None and not deposit.taken:
        await _move(session, deposit, "held")
        await note(
            session,
            order,
            "deposit_held",
            by="system",
            body={"amount_fen": deposit.amount_fen},
            clocks=clocks,
        )


async def take_overtime(
    session: AsyncSession, order: Order, amount_fen: int, clocks: Clocks
) -> int:
    """Take overtime out of the deposit of a locked order as far as that reaches: how much, in fen."""
    deposit = await deposit_of(session, order.id)
    amount_fen = 0 if deposit is None else min(amount_fen, await free(session, deposit))
    if deposit is None or amount_fen == 0:
        return 0
    await _change(session, deposit, overtime_fen=deposit.overtime_fen + amount_fen)
    await recount(session, order)
    await note(
        session,
        order,
        "overtime_from_deposit",
        by="system",
        body={"amount_fen": amount_fen},
        clocks=clocks,
    )
    return amount_fen


async def keep(session: AsyncSession, order: Order, amount_fen: int) -> None:
    """Keep so much of the deposit of a locked order for damage.

    Raises Conflict ``deposit.not_held`` (with ``held_fen``) where less is held.
    """
    deposit = await deposit_of(session, order.id)
    held = 0 if deposit is None else deposit.held_fen
    if deposit is None or amount_fen > held:
        raise not_held(held)
    await _change(session, deposit, damage_fen=deposit.damage_fen + amount_fen)
    await recount(session, order)


def not_held(held_fen: int) -> Conflict:
    """The refusal of whoever wants more of a deposit than there is."""
    return Conflict(
        "deposit.not_held",
        _("押金里还能扣 {money}").format(money=yuan(held_fen)),
        held_fen=held_fen,
    )


async def return_due(cloud: Cloud, job: DueJob) -> None:
    """Job ``deposit.return``: give back what nobody claims; wait while something is undecided."""
    async with cloud.db.write() as session:
        order = await system_lock(session, job.ref)
        deposit = await deposit_of(session, order.id)
        if deposit is None or deposit.state in {"settled", "void"}:
            return
        if deposit.state == "waiting":
            if order.status == "cancelled":
                await _move(session, deposit, "void")
            return
        early = deposit.return_at is not None and cloud.clocks.now < deposit.return_at
        if early or order.status == "in_use":
            return  # noted before the store told that somebody is in: the next one is noted
        if await claims_of(session, order.id, open_only=True):
            return  # whoever decides it schedules the rest
        if await wait_of(session, order.id) is not None:
            return  # the store may yet tell that somebody went in: refund_wait.py schedules it
        owes = select(OvertimeCharge).where(
            col(OvertimeCharge.order_id) == order.id, col(OvertimeCharge.state) == "due"
        )
        if (await session.exec(owes)).first() is None:
            await give_all_back(session, order, by="system", clocks=cloud.clocks)
            return
    raise Again(1800, "overtime is due")


async def give_all_back(session: AsyncSession, order: Order, *, by: str, clocks: Clocks) -> int:
    """What is still held goes back the way it came; the order is locked. Returns it in fen."""
    deposit = await deposit_of(session, order.id)
    if deposit is None or deposit.state != "held":
        return 0
    back = deposit.held_fen
    if back:
        await give_back(
            session,
            order,
            back,
            tag="D1",
            reason=later("押金退还"),
            by=by,
            clocks=clocks,
            purpose="deposit",
        )
    await _change(session, deposit, returned_fen=deposit.returned_fen + back)
    await _move(session, deposit, "settled", settled_at=clocks.now)
    await recount(session, order)
    return back


async def claims_of(
    session: AsyncSession, order_id: str, *, open_only: bool = False
) -> list[DepositClaim]:
    """What was claimed of an order's deposit, oldest first."""
    query = scoped(_SYSTEM, DepositClaim).where(col(DepositClaim.order_id) == order_id)
    if open_only:
        query = query.where(col(DepositClaim.state).in_(OPEN_CLAIM))
    rows = await session.exec(
        query.order_by(col(DepositClaim.id)).execution_options(populate_existing=True)
    )
    return list(rows.all())


async def free(session: AsyncSession, deposit: Deposit) -> int:
    """What is held and not claimed, in fen."""
    claimed = await claims_of(session, deposit.order_id, open_only=True)
    return max(0, deposit.held_fen - sum(one.amount_fen for one in claimed))


async def _move(session: AsyncSession, deposit: Deposit, to: str, **values: Any) -> None:
    assert to in TABLE[deposit.state], (deposit.state, to)
    await _change(session, deposit, state=to, **values)


async def _change(session: AsyncSession, deposit: Deposit, **values: Any) -> None:
    await session.exec(
        update(Deposit)
        .where(col(Deposit.id) == deposit.id, col(Deposit.state) == deposit.state)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    await session.refresh(deposit)
