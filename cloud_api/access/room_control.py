"""A guest steering what is in the room of a running stay: light, table, air, temperature.

Only what serves this room alone, only while the stay runs, and never beyond its end: what a guest holds is
let go when the order ends, so that the next one finds the room as its scene wants it. Friends open the door
and nothing else.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices import profiles
from cloud_api.devices import service as devices
from cloud_api.devices.control import CLIMATE, SWITCH, VALID_S, need_new_enough
from cloud_api.devices.models import Binding, Board, DeviceCommand
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.throttle import hit
from cloud_api.orders import service as orders
from cloud_api.orders.models import Order
from cloud_api.stores import service as stores
from cloud_api.stores.models import Store
from store_link.rules import AirAim

ROLES: Final = frozenset({"table", "light", "ac", "fan", "vent"})
LIMIT: Final = (60, 600)  # acts in ten minutes and customer
_LONGEST_S: Final = 86_400
_SHORTEST_S: Final = 60
_HELD: Final = ("set", "climate")
NOTHING: Final = AirAim()


def steers(binding: Binding, room_id: str) -> bool:
    """Whether a guest of the room may steer this: what other rooms share is not one guest's."""
    if list(binding.rooms) != [room_id]:
        return False
    return binding.capability == CLIMATE or (binding.capability == SWITCH and binding.role in ROLES)


async def act(
    session: AsyncSession,
    who: Customer,
    order_id: str,
    binding_id: str,
    clocks: Clocks,
    instance: str,
    *,
    on: bool | None = None,
    aim: AirAim = NOTHING,
) -> DeviceCommand:
    """Switch, or set the air conditioner to ``aim``, until the stay ends.

    Raises NotFound for the order or device, Conflict ``stay.not_running``, KaimenError
    ``device.wrong_action``, those of ``profiles.need_aim`` (422), Conflict ``climate.store_too_old``,
    TooOften, and StoreOffline.
    """
    order = await orders.get_order(session, who, order_id)
    await hit(session, f"room:{who.account_id}", *LIMIT, clocks.real)
    if order.status != "in_use" or order.finished_early:
        raise Conflict("stay.not_running", "这一场没有在用，房里的设备动不了")
    binding = await session.get(Binding, binding_id)
    if binding is None or binding.store_id != order.store_id or not steers(binding, order.room_id):
        raise NotFound("device", "这间没有这个设备")
    store = await stores.get_store(session, System(), order.store_id)
    args = await _args(session, binding, on, aim)
    return await devices.create_command(
        session,
        who,
        store=store,
        target=binding.id,
        action="climate" if binding.capability == CLIMATE else "set",
        args=args | {"for_s": _until_end(order, clocks.now)},
        why="",
        order_id=order.id,
        clocks=clocks,
        instance=instance,
        valid_s=VALID_S,
    )


async def _args(
    session: AsyncSession, binding: Binding, on: bool | None, aim: AirAim
) -> dict[str, Any]:
    if binding.capability == SWITCH and on is not None and aim.empty:
        return {"on": on, "force": not on}  # the guest's own power, paid for by whom it is cut
    if binding.capability != CLIMATE or aim.empty or on is not None:
        raise KaimenError("device.wrong_action", "这个设备不能这样调", status=422)
    board = await session.get_one(Board, binding.board_id)
    profiles.need_aim(board.profile, binding.channel, aim)
    await need_new_enough(session, System(), binding, aim)
    return aim.model_dump(exclude_none=True)


def _until_end(order: Order, now: datetime) -> int:
    left = (order.ends_at - now) // timedelta(seconds=1)
    return max(_SHORTEST_S, min(left, _LONGEST_S))


async def let_go(session: AsyncSession, order: Order, was: str, by: str, clocks: Clocks) -> None:
    """Follows orders: when a stay is over, what its guest held follows the room's scene again.

    A store that is offline is told nothing later; there the time of what was held runs out by itself.
    """
    if was != "in_use" or order.status == "in_use":
        return
    query = scoped(System(), DeviceCommand).where(
        col(DeviceCommand.order_id) == order.id,
        col(DeviceCommand.action).in_(_HELD),
        col(DeviceCommand.by).startswith("customer:"),
    )
    targets = {command.target for command in (await session.exec(query)).all()}
    if not targets:
        return
    store = await session.get_one(Store, order.store_id)
    for target in sorted(targets):
        try:
            await devices.create_command(
                session,
                System(),
                store=store,
                target=target,
                action="clear",
                args={},
                why="",
                order_id=order.id,
                clocks=clocks,
                instance="",
                valid_s=VALID_S,
            )
        except devices.StoreOffline:
            return
