"""Staff steering devices by hand for a while, and ending that; always with a reason.

Nothing is believed to have happened before the store said so: each act is a command, whose answer is
the store's own. The store refuses to cut power under a paid stay; who forces it needs a permission.
"""

from __future__ import annotations

from typing import Any, Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.devices import profiles
from cloud_api.devices.commands import create_command
from cloud_api.devices.models import Binding, Board, DeviceCommand
from cloud_api.devices.status import get_status
from cloud_api.kit.actor import Actor, Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.staff.permissions import DEVICE_BULK, DEVICE_CONTROL, DEVICE_FORCE
from cloud_api.stores import service as stores
from store_link.rules import AirAim

VALID_S = 10
SWITCH: Final = "switch.set"
CLIMATE: Final = "climate.set"
SPEAKER: Final = "speaker.say"
BULK: Final[dict[str, tuple[frozenset[str], bool]]] = {
    # what: the roles it reaches, and to which level
    "all_off": (frozenset({"table", "light", "ac", "fan"}), False),
    "lights_on": (frozenset({"light"}), True),
    "lights_off": (frozenset({"light"}), False),
}


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

    ``force`` needs device.force as well: without it the store itself refuses to cut power under a paid
    stay. Raises NotFound ``binding.not_found``, KaimenError ``binding.not_a_switch`` or
    ``why.missing``, and StoreOffline.
    """
    binding = await _binding(session, actor, binding_id, SWITCH)
    if force:
        actor.need(DEVICE_FORCE)
    args = {"on": on, "for_s": for_s, "force": force}
    return await _send(session, actor, binding, "set", args, reason(why), clocks, instance)


async def set_climate(
    session: AsyncSession,
    actor: Staff,
    binding_id: str,
    *,
    aim: AirAim,
    for_s: int,
    why: str,
    clocks: Clocks,
    instance: str,
) -> DeviceCommand:
    """Hold ``aim`` for ``for_s`` seconds; then the store brings back what was before.

    Needs device.control. Raises KaimenError ``binding.no_climate``, those of ``profiles.need_aim``, and
    Conflict ``climate.store_too_old``.
    """
    binding = await _binding(session, actor, binding_id, CLIMATE)
    profiles.need_aim(await _profile(session, actor, binding), binding.channel, aim)
    await need_new_enough(session, actor, binding, aim)
    args = aim.model_dump(exclude_none=True) | {"for_s": for_s}
    return await _send(session, actor, binding, "climate", args, reason(why), clocks, instance)


async def need_new_enough(
    session: AsyncSession, actor: Actor, binding: Binding, aim: AirAim
) -> None:
    """A store whose program is older knows temperatures alone, and would overlook the rest in silence.

    Raises Conflict ``climate.store_too_old``.
    """
    if aim.mode is None and aim.fan is None:
        return
    said = await get_status(session, actor, binding.store_id)
    if said.online and said.reported_at is not None and binding.id not in said.airs:
        raise Conflict(
            "climate.store_too_old", "门店的控制器还没更新，现在只能调温度；更新后就能换模式和风速"
        )


async def say(
    session: AsyncSession,
    actor: Staff,
    binding_id: str,
    *,
    clip: str,
    why: str,
    clocks: Clocks,
    instance: str,
) -> DeviceCommand:
    """Have a clip of the speaker's own list played, once. Needs device.control.

    Raises KaimenError ``binding.no_speaker``, ``speaker.no_clip`` (422) with the clips there are.
    """
    binding = await _binding(session, actor, binding_id, SPEAKER)
    known = profiles.clips(await _profile(session, actor, binding))
    if clip not in known:
        raise KaimenError(
            "speaker.no_clip",
            "这个喇叭没有录这一句，换一句",
            status=422,
            field="clip",
            extra={"clips": list(known)},
        )
    return await _send(
        session, actor, binding, "say", {"clip": clip}, why.strip(), clocks, instance
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
    binding = await _binding(session, actor, binding_id, SWITCH, CLIMATE)
    return await _send(session, actor, binding, "clear", {}, why.strip(), clocks, instance)


async def bulk(
    session: AsyncSession,
    actor: Staff,
    store_id: str,
    *,
    what: str,
    for_s: int,
    why: str,
    force: bool,
    clocks: Clocks,
    instance: str,
) -> list[tuple[Binding, DeviceCommand]]:
    """One command for each device of a store that ``what`` reaches (a key of BULK). Needs device.bulk.

    What serves a paid stay is left alone by the store, unless ``force`` (device.force). Raises
    StoreOffline: then nothing was sent to any.
    """
    actor.need(DEVICE_BULK)
    if force:
        actor.need(DEVICE_FORCE)
    roles, on = BULK[what]
    store = await stores.get_store(session, actor, store_id)
    told = reason(why)
    query = (
        scoped(actor, Binding)
        .where(
            col(Binding.store_id) == store.id,
            col(Binding.capability) == SWITCH,
            col(Binding.role).in_(roles),
        )
        .order_by(col(Binding.id))
    )
    args = {"on": on, "for_s": for_s, "force": force}
    made = []
    for binding in (await session.exec(query)).all():
        command = await create_command(
            session,
            actor,
            store=store,
            target=binding.id,
            action="set",
            args=args,
            why=told,
            order_id=None,
            clocks=clocks,
            instance=instance,
            valid_s=VALID_S,
        )
        made.append((binding, command))
    await audit.record(
        session,
        actor,
        "device.bulk",
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=f"store:{store.id}",
        after={"what": what, "devices": len(made), "for_s": for_s, "force": force},
        why=told,
        clocks=clocks,
    )
    return made


def reason(why: str) -> str:
    """A reason that says something. Raises KaimenError ``why.missing`` (422)."""
    text = why.strip()
    if len(text) < 2:
        raise KaimenError("why.missing", "写一下原因，至少两个字", status=422, field="why")
    return text


async def _send(
    session: AsyncSession,
    actor: Staff,
    binding: Binding,
    action: str,
    args: dict[str, Any],
    why: str,
    clocks: Clocks,
    instance: str,
) -> DeviceCommand:
    command = await create_command(
        session,
        actor,
        store=await stores.get_store(session, actor, binding.store_id),
        target=binding.id,
        action=action,
        args=args,
        why=why,
        order_id=None,
        clocks=clocks,
        instance=instance,
        valid_s=VALID_S,
    )
    await audit.record(
        session,
        actor,
        f"device.{action}",
        merchant_id=binding.merchant_id,
        store_id=binding.store_id,
        subject=f"binding:{binding.id}",
        after={"command": command.id, **args},
        why=why,
        clocks=clocks,
    )
    return command


_NOT_THAT: Final = {
    SWITCH: ("binding.not_a_switch", "这个设备不能开关"),
    CLIMATE: ("binding.no_climate", "这个设备不能调温度"),
    SPEAKER: ("binding.no_speaker", "这个设备不会说话"),
}


async def _binding(
    session: AsyncSession, actor: Staff, binding_id: str, *capabilities: str
) -> Binding:
    actor.need(DEVICE_CONTROL)
    query = scoped(actor, Binding).where(col(Binding.id) == binding_id)
    found = (await session.exec(query)).one_or_none()
    if found is None:
        raise NotFound("binding")
    if found.capability not in capabilities:
        code, sentence = _NOT_THAT[capabilities[0]]
        raise KaimenError(code, sentence, status=422, field="binding_id")
    return found


async def _profile(session: AsyncSession, actor: Staff, binding: Binding) -> str:
    query = scoped(actor, Board).where(col(Board.id) == binding.board_id)
    return (await session.exec(query)).one().profile
