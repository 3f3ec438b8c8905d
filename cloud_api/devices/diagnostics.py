"""A store's diagnostics bundle: asked for with consent, masked in the store, encrypted here, kept two weeks."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.devices.commands import create_command
from cloud_api.devices.control import reason
from cloud_api.devices.models import DeviceCommand, Diagnostics
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.staff.permissions import DEVICE_ENROL
from cloud_api.stores import service as stores

KEPT: Final = timedelta(days=14)
LATE: Final = timedelta(minutes=10)  # a store that sends later sends what nobody waits for
MAX_BYTES: Final = 240 << 10  # below what any request may bring
VALID_S: Final = 10


async def ask(
    session: AsyncSession,
    actor: Staff,
    store_id: str,
    *,
    why: str,
    clocks: Clocks,
    instance: str,
) -> tuple[Diagnostics, DeviceCommand]:
    """Ask a store for its bundle. Needs device.enrol; the reason given is the consent that is kept.

    Raises StoreOffline, KaimenError ``why.missing``.
    """
    actor.need(DEVICE_ENROL)
    store = await stores.get_store(session, actor, store_id)
    told = reason(why)
    row = Diagnostics(
        merchant_id=store.merchant_id,
        store_id=store.id,
        asked_by=actor.ref,
        why=told,
        created_at=clocks.real,
    )
    session.add(row)
    command = await create_command(
        session,
        actor,
        store=store,
        target=store.id,
        action="diagnose",
        args={"bundle": row.id, "consent": actor.ref},
        why=told,
        order_id=None,
        clocks=clocks,
        instance=instance,
        valid_s=VALID_S,
    )
    await audit.record(
        session,
        actor,
        "diagnostics.ask",
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=f"store:{store.id}",
        why=told,
        clocks=clocks,
    )
    return row, command


async def receive(
    session: AsyncSession, store_id: str, bundle: str, content: bytes, clocks: Clocks
) -> None:
    """Take what a store sends, once. Raises NotFound for what nobody asked of this store, or too late."""
    query = scoped(System(), Diagnostics).where(
        col(Diagnostics.id) == bundle, col(Diagnostics.store_id) == store_id
    )
    row = (await session.exec(query.with_for_update())).one_or_none()
    if row is None or row.received_at is not None or clocks.real - row.created_at > LATE:
        raise NotFound("diagnostics", "没有人要这份诊断包，或已经太晚")
    try:
        row.content = content.decode("utf-8")
    except UnicodeDecodeError:
        raise KaimenError("diagnostics.bad", "诊断包不是文本", status=422, field="body") from None
    row.received_at = clocks.real
    session.add(row)
    await session.execute(
        delete(Diagnostics).where(col(Diagnostics.created_at) < clocks.real - KEPT)
    )


async def last(session: AsyncSession, actor: Staff, store_ids: list[str]) -> list[Diagnostics]:
    """The bundles there are, the newest first. Needs device.enrol."""
    actor.need(DEVICE_ENROL)
    query = scoped(actor, Diagnostics).where(col(Diagnostics.store_id).in_(store_ids))
    return list((await session.exec(query.order_by(col(Diagnostics.id).desc()).limit(50))).all())


async def get(session: AsyncSession, actor: Staff, bundle: str) -> Diagnostics:
    """One that came. Needs device.enrol. Raises NotFound."""
    actor.need(DEVICE_ENROL)
    query = scoped(actor, Diagnostics).where(col(Diagnostics.id) == bundle)
    row = (await session.exec(query)).one_or_none()
    if row is None or row.content is None:
        raise NotFound("diagnostics", "诊断包还没到，或已经过期")
    return row
