"""Staff switching a binding by hand for a while, and ending that; always with a reason."""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.commands import create_command
from cloud_api.devices.models import Binding, DeviceCommand
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.staff.permissions import DEVICE_CONTROL
from cloud_api.stores import service as stores

VALID_S = 10


async def set_binding(
    session: AsyncSession,
    actor: Staff,
    binding_id: str,
    *,
    on: bool,
    for_s: int,
    why: str,
    force: bool,
    clocks: Clocks,
    instance: str,
) -> DeviceCommand:
    """Switch a binding and hold it so for ``for_s`` seconds. Needs device.control.

    Raises NotFound ``binding.not_found``, KaimenError ``binding.not_a_switch`` or ``why.missing``, and
    StoreOffline. The store itself refuses to cut power under a paid stay without ``force``.
    """
    binding = await _binding(session, actor, binding_id)
    return await create_command(
        session,
        actor,
        store=await stores.get_store(session, actor, binding.store_id),
        target=binding.id,
        action="set",
        args={"on": on, "for_s": for_s, "force": force},
        why=reason(why),
        order_id=None,
        clocks=clocks,
        instance=instance,
        valid_s=VALID_S,
    )


async def clear_binding(
    session: AsyncSession,
    actor: Staff,
    binding_id: str,
    *,
    why: str,
    clocks: Clocks,
    instance: str,
) -> DeviceCommand:
    """End an override: the binding follows the stay again. Needs device.control."""
    binding = await _binding(session, actor, binding_id)
    return await create_command(
        session,
        actor,
        store=await stores.get_store(session, actor, binding.store_id),
        target=binding.id,
        action="clear",
        args={},
        why=why.strip(),
        order_id=None,
        clocks=clocks,
        instance=instance,
        valid_s=VALID_S,
    )


def reason(why: str) -> str:
    """A reason that says something. Raises KaimenError ``why.missing`` (422)."""
    text = why.strip()
    if len(text) < 2:
        raise KaimenError("why.missing", "写一下原因，至少两个字", status=422, field="why")
    return text


async def _binding(session: AsyncSession, actor: Staff, binding_id: str) -> Binding:
    actor.need(DEVICE_CONTROL)
    query = scoped(actor, Binding).where(col(Binding.id) == binding_id)
    found = (await session.exec(query)).one_or_none()
    if found is None:
        raise NotFound("binding")
    if found.capability != "switch.set":
        raise KaimenError(
            "binding.not_a_switch", "这个设备不能开关", status=422, field="binding_id"
        )
    return found
