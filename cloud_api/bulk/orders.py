"""Many orders at once: confirm, a word to the guests, and cancel, with what goes back shown before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.bulk.service import Told, each
from cloud_api.claims.booking_rules import rules_of
from cloud_api.kit.actor import BIG_REFUND_FEN, Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.orders import cancel as cancelling
from cloud_api.orders import cancel_rules, confirm, tell
from cloud_api.orders.models import Order
from cloud_api.orders.service import get_order
from cloud_api.staff.permissions import ORDER_CANCEL, TICKET_HANDLE
from cloud_api.stores.models import Store


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What cancelling an order now would do: all goes back, or what the room's rules leave of it.

    ``code`` and ``message`` say why it cannot be cancelled at all, ``rule_message`` why not by the rules.
    """

    order: Order
    back_fen: int
    rule_back_fen: int
    rule_fee_fen: int
    code: str = ""
    message: str = ""
    rule_message: str = ""


async def foresee(
    session: AsyncSession, actor: Staff, ids: Sequence[str], clocks: Clocks
) -> list[Foreseen]:
    """In the order of ``ids``; changes nothing. Needs order.cancel. Raises NotFound for a foreign one."""
    actor.need(ORDER_CANCEL)
    query = scoped(actor, Order).where(col(Order.id).in_(ids))
    found = {one.id: one for one in (await session.exec(query)).all()}
    told = []
    for order_id in dict.fromkeys(ids):
        order = found.get(order_id)
        if order is None:
            raise NotFound("order")
        store = await session.get_one(Store, order.store_id)
        whole = cancel_rules.decide_staff(order)
        ruled = cancel_rules.decide(
            order, await rules_of(session, store, order.room_id), clocks.now
        )
        told.append(
            Foreseen(
                order,
                whole.refund_fen,
                ruled.refund_fen,
                ruled.fee_fen,
                whole.code,
                whole.message,
                "" if ruled.allowed else ruled.message,
            )
        )
    return told


async def cancel(
    cloud: Cloud, actor: Staff, ids: Sequence[str], why: str, *, by_rules: bool
) -> Told:
    """Cancel orders, each by itself; ``by_rules`` keeps the fee that the guest would owe.

    Needs order.cancel, and order.refund where money goes back; much money altogether wants the second factor
    once, before anything is done. A cancelled order does not come back.
    """
    async with cloud.db.read() as session:
        seen = await foresee(session, actor, ids, cloud.clocks)
    if sum(one.rule_back_fen if by_rules else one.back_fen for one in seen) >= BIG_REFUND_FEN:
        actor.need_fresh()
    over = {one.order.id for one in seen if one.order.status == "cancelled"}

    async def act(session: AsyncSession, order_id: str) -> bool:
        if order_id in over:
            return False
        await cancelling.cancel_by_staff(
            session, actor, order_id, why, cloud.clocks, by_rules=by_rules
        )
        return True

    return Told(await each(cloud, ids, act), None)


async def say_yes(cloud: Cloud, actor: Staff, ids: Sequence[str]) -> Told:
    """Confirm orders that wait for the house. Needs order.create. Guests are told at once: no way back."""

    async def act(session: AsyncSession, order_id: str) -> bool:
        was = await get_order(session, actor, order_id)
        if was.status == "ready":
            return False
        await confirm.confirm(session, actor, order_id, cloud.clocks)
        return True

    return Told(await each(cloud, ids, act), None)


async def message(cloud: Cloud, actor: Staff, ids: Sequence[str], text: str) -> Told:
    """Send the guests of orders a few words, by the ways they get other notices. Needs ticket.handle.

    Only for bookings that are still to come or running: nobody is written to about what is over.
    """
    actor.need(TICKET_HANDLE)

    async def act(session: AsyncSession, order_id: str) -> bool:
        order = await get_order(session, actor, order_id)
        if order.status not in {"pending_payment", "paid", "ready", "in_use"}:
            raise KaimenError("message.over", "这单已经结束或取消了，不再给客人发", status=409)
        await tell.by_house(session, actor, order, text, cloud.clocks)
        return True

    return Told(await each(cloud, ids, act), None)
