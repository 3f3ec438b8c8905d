"""A guest leaves early: said at once to a store that is there, and in its desired document anyway."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.devices import service as devices
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.outbox import desired_changed
from cloud_api.orders import leaving
from cloud_api.orders.models import Order
from cloud_api.orders.transitions import change, lock_order, note
from cloud_api.stores.models import Store
from store_link.messages import Action


async def finish(
    session: AsyncSession, actor: Customer | Staff, order_id: str, clocks: Clocks, instance: str
) -> tuple[Order, DeviceCommand | None]:
    """End a stay now. The order completes when the store reports the end.

    The command is None when the store is offline: its desired document says it too, and it will act
    on that. Raises NotFound, Conflict ``finish.not_running`` before the time or after the end.
    """
    order = await lock_order(session, actor, order_id)
    store = await session.get_one(Store, order.store_id)
    opens = order.starts_at - timedelta(seconds=store.lead_s)
    running = order.status == "in_use" or (order.status == "ready" and clocks.now >= opens)
    if not running:
        message = _("还没开始，不需要结束") if order.status == "ready" else _("这个订单不在使用中")
        raise Conflict("finish.not_running", message, status_now=order.status)
    if not order.finished_early:
        await change(session, order, finished_early=True)
        back = await leaving.early_back(session, order, clocks.now)
        await note(
            session, order, leaving.ASKED, by=actor.ref, clocks=clocks, body={"back_fen": back}
        )
        await desired_changed(
            session, merchant_id=order.merchant_id, store_id=order.store_id, now=clocks.real
        )
        if isinstance(actor, Staff):
            await audit.record(
                session,
                actor,
                "order.finish",
                merchant_id=order.merchant_id,
                store_id=order.store_id,
                subject=f"order:{order.id}",
                after={"number": order.number},
                clocks=clocks,
            )
    try:
        command = await devices.create_command(
            session,
            actor,
            store=store,
            target=order.claim_id,
            action=Action.FINISH,
            args={},
            why="guest leaves early" if isinstance(actor, Customer) else "ended by staff",
            order_id=order.id,
            clocks=clocks,
            instance=instance,
        )
    except KaimenError as error:
        if error.code != "store.offline":
            raise
        return order, None
    return order, command
