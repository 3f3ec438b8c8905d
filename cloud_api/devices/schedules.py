"""Devices that go by the time of day, and scenes: what the store's computer does by itself.

Kept here, sent in ``desired``, obeyed in the store whether or not there is a cloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.devices.models import Binding, Schedule
from cloud_api.kit import outbox
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.seen import unchanged
from cloud_api.staff.permissions import STORE_EDIT, STORE_READ
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room, Store
from store_link import rules as wire

MOST: Final = 32
ROLES: Final = ("table", "light", "ac", "fan", "other")
PHASES: Final = ("arrival", "in_use", "grace", "after", "cleaning")
_PAID: Final[tuple[wire.SceneStep, ...]] = tuple(
    wire.SceneStep(role=role, on=True) for role in ("table", "light", "ac", "fan")
)
DEFAULT: Final = wire.Scenes(in_use=_PAID, grace=_PAID)


async def of_stores(session: AsyncSession, actor: Staff, ids: Sequence[str]) -> list[Schedule]:
    """The schedules of some stores, by name. Needs store.read."""
    actor.need(STORE_READ)
    query = scoped(actor, Schedule).where(col(Schedule.store_id).in_(ids))
    return list((await session.exec(query.order_by(col(Schedule.name), col(Schedule.id)))).all())


async def get(session: AsyncSession, actor: Staff, schedule_id: str) -> Schedule:
    """One. Raises NotFound."""
    found = await session.exec(scoped(actor, Schedule).where(col(Schedule.id) == schedule_id))
    row = found.one_or_none()
    if row is None:
        raise NotFound("schedule", "没有这个定时，或不归你管")
    return row


async def save(
    session: AsyncSession,
    actor: Staff,
    store_id: str,
    schedule_id: str | None,
    fields: dict[str, Any],
    clocks: Clocks,
    saw: str | None = None,
) -> Schedule:
    """Make a schedule, or change one. Needs store.edit.

    Raises KaimenError ``schedule.bad_binding`` (422) for what is no switch of the store, and
    ``schedule.too_many``; Conflict ``schedule.changed`` (kit/seen.py).
    """
    actor.need(STORE_EDIT)
    store = await stores.get_store(session, actor, store_id)
    wanted = set(fields["bindings"])
    query = scoped(actor, Binding).where(
        col(Binding.store_id) == store.id,
        col(Binding.capability) == "switch.set",
        col(Binding.role) != "lock",
        col(Binding.id).in_(wanted),
    )
    if {one.id for one in await session.exec(query)} != wanted:
        raise KaimenError(
            "schedule.bad_binding", "定时只能管这家店的开关", status=422, field="bindings"
        )
    before = None
    if schedule_id is None:
        if len(await of_stores(session, actor, [store.id])) >= MOST:
            raise KaimenError(
                "schedule.too_many", _("一家店最多 {most} 个定时").format(most=MOST), status=409
            )
        row = Schedule(
            merchant_id=store.merchant_id, store_id=store.id, created_at=clocks.real, **fields
        )
    else:
        row = await get(session, actor, schedule_id)
        if row.store_id != store.id:
            raise NotFound("schedule", "没有这个定时，或不归你管")
        await session.refresh(row, with_for_update={"key_share": True})
        unchanged(saw, facts_of(row), fields, "schedule.changed")
        before = audit.facts(row, *fields)
        for name, value in fields.items():
            setattr(row, name, value)
    session.add(row)
    await session.flush()
    await _told(
        session, actor, store, "schedule.edit", f"schedule:{row.id}", clocks, before, fields
    )
    return row


def facts_of(row: Schedule) -> dict[str, Any]:
    """What a form shows of a schedule."""
    return audit.facts(row, "name", "bindings", "days", "begins", "ends", "active")


async def remove(session: AsyncSession, actor: Staff, schedule_id: str, clocks: Clocks) -> None:
    """Take a schedule away; its devices stay as they are. Needs store.edit."""
    actor.need(STORE_EDIT)
    row = await get(session, actor, schedule_id)
    store = await stores.get_store(session, actor, row.store_id)
    before = audit.facts(row, "name", "days", "begins", "ends")
    await session.delete(row)
    await _told(
        session, actor, store, "schedule.remove", f"schedule:{row.id}", clocks, before, None
    )


# ------------------------------------------------------------------------------------------- scenes


async def set_scenes(
    session: AsyncSession,
    actor: Staff,
    target: Store | Room,
    scenes: wire.Scenes | None,
    clocks: Clocks,
    saw: str | None = None,
) -> None:
    """What is on in each phase of a stay, in a store or in one of its rooms; None: the default, or the
    store's. Needs store.edit. Raises KaimenError ``scene.table_off`` (422): a paid room needs a table;
    Conflict ``scene.changed`` where they are not what was seen (kit/seen.py).
    """
    actor.need(STORE_EDIT)
    if scenes is not None and not any(step.role == "table" for step in scenes.in_use):
        raise KaimenError(
            "scene.table_off", "使用中要有桌子：客人付了钱", status=422, field="in_use"
        )
    store = target
    if isinstance(target, Room):
        store = await stores.get_store(session, actor, target.store_id)
    assert isinstance(store, Store)
    kind = "room" if isinstance(target, Room) else "store"
    await session.refresh(target, with_for_update={"key_share": True})
    wanted = None if scenes is None else scenes.model_dump(mode="json")
    unchanged(saw, facts_of_scenes(target), {"scenes": wanted}, "scene.changed")
    before = _named(target.scenes)
    target.scenes = wanted
    session.add(target)
    after = _named(target.scenes)
    await _told(session, actor, store, "scene.edit", f"{kind}:{target.id}", clocks, before, after)


def facts_of_scenes(target: Store | Room) -> dict[str, Any]:
    """What a form shows of a store's or a room's scenes."""
    return {"scenes": target.scenes}


def scenes_of(kept: dict[str, Any] | None) -> wire.Scenes | None:
    """What a row keeps, as the wire has it."""
    return None if kept is None else wire.Scenes.model_validate(kept)


def _named(kept: dict[str, Any] | None) -> dict[str, Any]:
    scenes = scenes_of(kept)
    if scenes is None:
        return {"scenes": None}
    return {
        phase: [step.role for step in getattr(scenes, phase) or () if step.on] for phase in PHASES
    }


async def set_times(
    session: AsyncSession,
    actor: Staff,
    binding_id: str,
    changes: dict[str, int | None],
    clocks: Clocks,
    saw: str | None = None,
) -> Binding:
    """How long before and after a stay a device runs by itself. Needs store.edit.

    Raises KaimenError ``binding.not_a_switch`` (422); a table goes with the paid time alone. Conflict
    ``binding.changed`` (kit/seen.py).
    """
    actor.need(STORE_EDIT)
    query = scoped(actor, Binding).where(col(Binding.id) == binding_id)
    binding = (await session.exec(query)).one_or_none()
    if binding is None:
        raise NotFound("binding")
    if binding.capability != "switch.set" or binding.role in ("lock", "table", "main"):
        raise KaimenError(
            "binding.not_a_switch", "桌子和锁只跟付费时间走", status=422, field="binding_id"
        )
    await session.refresh(binding, with_for_update={"key_share": True})
    unchanged(saw, facts_of_times(binding), changes, "binding.changed")
    before = audit.facts(binding, *changes)
    for name, value in changes.items():
        setattr(binding, name, value)
    session.add(binding)
    store = await stores.get_store(session, actor, binding.store_id)
    await _told(
        session, actor, store, "binding.edit", f"binding:{binding.id}", clocks, before, changes
    )
    return binding


def facts_of_times(binding: Binding) -> dict[str, Any]:
    """What a form shows of a device's own times."""
    return audit.facts(binding, "lead_s", "linger_s")


async def _told(
    session: AsyncSession,
    actor: Staff,
    store: Store,
    action: str,
    subject: str,
    clocks: Clocks,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    await audit.record(
        session,
        actor,
        action,
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=subject,
        before=before,
        after=after,
        clocks=clocks,
    )
    await outbox.desired_changed(
        session, merchant_id=store.merchant_id, store_id=store.id, now=clocks.real
    )
