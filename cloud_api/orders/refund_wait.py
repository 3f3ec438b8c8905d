"""Money, or the voucher, of a cancelled order that waits until its store says that nobody used it.

A store that has not heard of a cancelling would still open to the guest's pass or PIN. So where it is
offline, or its door may have been opened already, what comes back waits: until the store obeys a document
that takes the right back and has told all that happened before, or until the time is over unused. Who
went in before the store heard pays for it, and has it: the order lives again where its room is still free
(``used``). A store that says nothing for a week keeps nobody's money.

``TABLE`` has every change of a wait. While it waits, ``Order.waiting_fen`` says how much: it is no fee
and not on its way yet (orders/books.py). A voucher that paid is whole again only after the wait: packages
above register with ``when_unused`` what gives it back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import update
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import service as claims
from cloud_api.coupons import service as coupons
from cloud_api.devices.status import get_status, online
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, schedule
from cloud_api.kit.i18n import later
from cloud_api.kit.models import DueJob
from cloud_api.orders.books import deposit_later, deposit_of, wait_of
from cloud_api.orders.cancel_rules import left_fen
from cloud_api.orders.models import Order, OrderLine, RefundWait
from cloud_api.orders.money import refund_part
from cloud_api.orders.transitions import change, events_of, note, system_lock
from cloud_api.stores.models import Store

TABLE: Final[dict[str, frozenset[str]]] = {
    "waiting": frozenset({"back", "kept"}),
    "back": frozenset(),
    "kept": frozenset(),
}
LOOK: Final = "order.refund_wait"  # ref: order id
AT_MOST: Final = timedelta(days=7)  # after the order's time
BY_STAFF: Final = "staff"  # Order.cancel_why
_AGAIN_S: Final = 120.0
_IN_THERE: Final = (
    2**31 - 1
)  # told_epoch and told_rev of a wait for the end of a stay: no document comes so far
_SYSTEM: Final = System()

WhenUnused = Callable[[AsyncSession, Order, str, str, datetime, Clocks], Awaitable[None]]
"""Gets the order, locked, the status it had, by whom and when it was cancelled (business time)."""
_when_unused: Final[dict[str, WhenUnused]] = {}


def when_unused(name: str, one: WhenUnused) -> None:
    """Be called when an order is cancelled that nobody can have used, at once or when its wait ends.

    In the transaction of either. The same name again replaces.
    """
    _when_unused[name] = one


async def cancelled(session: AsyncSession, order: Order, was: str, by: str, clocks: Clocks) -> None:
    """Follower: nothing waits, so what paid may come back now (orders/followers.py)."""
    if order.status == "cancelled" and await wait_of(session, order.id) is None:
        await _unused(session, order, was, by, clocks.now, clocks)


async def needed(session: AsyncSession, order: Order, refund_fen: int, clocks: Clocks) -> bool:
    """Whether something would come back to a guest who cancels ``order`` now and could still get in."""
    if order.status != "ready" or not (refund_fen or await _beside_fen(session, order.id)):
        return False
    store = await session.get_one(Store, order.store_id)
    heard = store.id in await online(session, {store.id})
    return could_enter(order, store, online=heard, now=clocks.now)


def could_enter(order: Order, store: Store, *, online: bool, now: datetime) -> bool:
    """Whether the door may have been opened, or would be by a store that has not heard."""
    if order.status != "ready":
        return False
    return not online or now >= order.starts_at - timedelta(seconds=store.lead_s)


async def begin(session: AsyncSession, order: Order, refund_fen: int, clocks: Clocks) -> None:
    """Let ``refund_fen`` of an order that is being cancelled wait, its deposit and the voucher that paid it.

    Before it moves, so that who follows its cancelling sees the wait. ``order`` is locked by the caller.
    """
    store = await session.get_one(Store, order.store_id)
    over = order.ends_at + timedelta(seconds=store.grace_s)
    session.add(
        RefundWait(
            order_id=order.id,
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            account_id=order.account_id,
            claim_id=order.claim_id,
            amount_fen=refund_fen or await _beside_fen(session, order.id),
            over_at=over,
            created_at=clocks.now,
        )
    )
    if refund_fen:
        await change(session, order, waiting_fen=refund_fen)
    await schedule(session, merchant_id=order.merchant_id, kind=LOOK, ref=order.id, run_at=over)


async def tell(
    session: AsyncSession, order: Order, refund_fen: int, by: str, clocks: Clocks
) -> None:
    """Write into the order's history that something waits."""
    voucher = await _voucher_fen(session, order.id)
    kind = "refund_waits" if refund_fen else "voucher_waits" if voucher else "deposit_waits"
    await note(session, order, kind, by=by, clocks=clocks, body={"amount_fen": refund_fen})


async def told(
    session: AsyncSession, store_id: str, epoch: int, rev: int, revoked: frozenset[str]
) -> None:
    """The store's document (epoch, rev) takes back the rights of the claims ``revoked``."""
    await session.exec(
        update(RefundWait)
        .where(
            col(RefundWait.store_id) == store_id,
            col(RefundWait.state) == "waiting",
            col(RefundWait.told_rev).is_(None),
            col(RefundWait.claim_id).in_(revoked),
        )
        .values(told_epoch=epoch, told_rev=rev)
        .execution_options(synchronize_session=False)
    )


async def obeyed(
    session: AsyncSession, store_id: str, epoch: int, rev: int, depth: int, clocks: Clocks
) -> None:
    """The store obeys (epoch, rev) and has ``depth`` events yet to tell: with none, money goes back."""
    if depth:
        return
    query = scoped(_SYSTEM, RefundWait).where(
        col(RefundWait.store_id) == store_id,
        col(RefundWait.state) == "waiting",
        or_(
            col(RefundWait.told_epoch) < epoch,
            (col(RefundWait.told_epoch) == epoch) & (col(RefundWait.told_rev) <= rev),
        ),
    )
    for one in (await session.exec(query.order_by(col(RefundWait.order_id)).limit(200))).all():
        await _back(session, one.order_id, clocks)


async def used(session: AsyncSession, order: Order, clocks: Clocks) -> bool:
    """The store tells that somebody went in before it heard: True where the room was free and is theirs again.

    Then the caller moves the order on, and nothing is kept as a fee. Where somebody else has the room by
    now the stay ends with the right to enter it: a guest who cancelled pays the whole all the same, one
    whom staff cancelled what they use (``used_for``).
    """
    wait = await wait_of(session, order.id)
    if wait is None:
        return False
    if await claims.restore(session, order.claim_id):
        await _settle(session, wait, "kept", clocks)
        await coupons.take_again(session, order.id, clocks)  # used elsewhere: that stays as well
        await change(session, order, waiting_fen=0, cancel_fee_fen=0)
        await deposit_later(session, order, clocks, used=True)
        return True
    if order.cancel_why == BY_STAFF and order.waiting_fen:
        wait.told_epoch = wait.told_rev = _IN_THERE
        session.add(wait)
        await session.flush()
        return False
    await _keep(session, order, wait, left_fen(order), clocks)
    return False


async def used_for(session: AsyncSession, order: Order, used_s: int, clocks: Clocks) -> None:
    """The stay of an order that staff cancelled under its guests is over: its share of the price is kept."""
    wait = await wait_of(session, order.id)
    if wait is None or wait.told_rev != _IN_THERE:
        return
    whole = round((order.ends_at - order.starts_at).total_seconds())
    kept = order.waiting_fen * min(used_s, whole) // whole
    back = order.waiting_fen - kept
    await _keep(session, order, wait, kept, clocks)
    await refund_part(session, order, back, by="system", reason=later("订单取消"), clocks=clocks)


async def _keep(
    session: AsyncSession, order: Order, wait: RefundWait, most_fen: int, clocks: Clocks
) -> None:
    await _settle(session, wait, "kept", clocks)
    kept = min(order.waiting_fen, most_fen)
    await change(session, order, waiting_fen=0, cancel_fee_fen=order.cancel_fee_fen + kept)
    await deposit_later(session, order, clocks, used=True)
    if kept or await _voucher_fen(session, order.id):
        by, kind = f"store:{order.store_id}", "refund_kept" if kept else "voucher_kept"
        await note(session, order, kind, by=by, clocks=clocks, body={"amount_fen": kept})


async def look(cloud: Cloud, job: DueJob) -> None:
    """Job: the order's time is over. A store that is heard of and tells of no use has seen none."""
    clocks = cloud.clocks
    async with cloud.db.write() as session:
        wait = await wait_of(session, job.ref)
        if wait is None:
            return
        status = await get_status(session, _SYSTEM, wait.store_id, clocks.real)
        silent = status.stale or status.outbox_depth > 0 or wait.told_rev == _IN_THERE
        if silent and clocks.now < wait.over_at + AT_MOST:
            raise Again(_AGAIN_S, "the store has not told whether the order was used")
        await _back(session, job.ref, clocks)


async def _back(session: AsyncSession, order_id: str, clocks: Clocks) -> None:
    order = await system_lock(session, order_id)
    wait = await wait_of(session, order_id)
    if wait is None:
        return
    await _settle(session, wait, "back", clocks)
    back = min(order.waiting_fen, left_fen(order))
    await change(session, order, waiting_fen=0)
    await refund_part(session, order, back, by="system", reason=later("订单取消"), clocks=clocks)
    await deposit_later(session, order, clocks)
    told = [one for one in await events_of(session, [order.id]) if one.now == "cancelled"]
    by = told[-1].by if told else "system"
    await _unused(session, order, "ready", by, wait.created_at, clocks)


async def _unused(
    session: AsyncSession, order: Order, was: str, by: str, at: datetime, clocks: Clocks
) -> None:
    for one in _when_unused.values():
        await one(session, order, was, by, at, clocks)


async def _beside_fen(session: AsyncSession, order_id: str) -> int:
    """What there is to come back beside a refund: the voucher's worth, or the deposit."""
    deposit = await deposit_of(session, order_id)
    held = 0 if deposit is None or not deposit.taken else deposit.held_fen
    return await _voucher_fen(session, order_id) or held


async def _voucher_fen(session: AsyncSession, order_id: str) -> int:
    """What the voucher is worth that paid an order; 0 where none did."""
    query = select(OrderLine.amount_fen).where(
        col(OrderLine.order_id) == order_id, col(OrderLine.kind) == "voucher"
    )
    return -sum((await session.exec(query)).all())


async def _settle(session: AsyncSession, wait: RefundWait, to: str, clocks: Clocks) -> None:
    assert to in TABLE[wait.state]
    wait.state, wait.settled_at = to, clocks.now
    session.add(wait)
    await session.flush()


def until(order: Order, store: Store) -> datetime:
    """When the money goes back at the latest if the store is heard of by then."""
    return order.ends_at + timedelta(seconds=store.grace_s)
