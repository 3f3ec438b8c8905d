"""How a door hangs on the store's devices: its lock, its contact, its reader of codes."""

from __future__ import annotations

from typing import Any, Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.devices.models import Binding
from cloud_api.kit import outbox
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.seen import unchanged
from cloud_api.staff.permissions import STORE_EDIT
from cloud_api.stores import service as stores
from cloud_api.stores.models import Door

NEEDS: Final = {
    "lock_binding_id": ("lock.pulse", "这里要选一把锁"),
    "contact_binding_id": ("door.contact", "这里要选一个门磁"),
    "reader_binding_id": ("input.code", "这里要选一个读码器"),
    "cards_binding_id": ("input.card", "这里要选一个读卡器"),
}


def facts_of(door: Door) -> dict[str, Any]:
    """What a form shows of a door."""
    return audit.facts(door, "name", "pulse_ms", *NEEDS)


async def edit_door(
    session: AsyncSession,
    actor: Staff,
    door_id: str,
    changes: dict[str, Any],
    clocks: Clocks,
    saw: str | None = None,
) -> Door:
    """Change a door; sent to the store at once. Needs store.edit; ``changes`` passed the schema.

    Raises NotFound ``door.not_found``, KaimenError ``door.bad_binding`` (422): of another store, or no
    device of the kind; Conflict ``door.changed`` where it is not what was seen (kit/seen.py).
    """
    actor.need(STORE_EDIT)
    door = await stores.get_door(session, actor, door_id)
    await session.refresh(door, with_for_update={"key_share": True})
    now = facts_of(door)
    unchanged(saw, now, {**now, **changes}, "door.changed")
    for field, (capability, sentence) in NEEDS.items():
        if changes.get(field) is None:
            continue
        query = scoped(actor, Binding).where(
            col(Binding.id) == changes[field],
            col(Binding.store_id) == door.store_id,
            col(Binding.capability) == capability,
        )
        if (await session.exec(query)).one_or_none() is None:
            raise KaimenError("door.bad_binding", sentence, status=422, field=field)
    before = audit.facts(door, *changes)
    for name, value in changes.items():
        setattr(door, name, value)
    session.add(door)
    await audit.record(
        session,
        actor,
        "door.edit",
        merchant_id=door.merchant_id,
        store_id=door.store_id,
        subject=f"door:{door.id}",
        before=before,
        after=audit.facts(door, *changes),
        clocks=clocks,
    )
    await outbox.desired_changed(
        session, merchant_id=door.merchant_id, store_id=door.store_id, now=clocks.real
    )
    return door
