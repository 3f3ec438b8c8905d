"""Addresses of other software: make, change, stop, try, replay. Needs staff.edit, or staff.read to look."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import delete, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import record
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.models import FeedEntry
from cloud_api.kit.paging import page_of
from cloud_api.staff.permissions import STAFF_EDIT, STAFF_READ
from cloud_api.webhooks import sending
from cloud_api.webhooks.models import Webhook, WebhookDelivery
from cloud_api.webhooks.signing import new_secret

MOST: Final = 10
"""Addresses that are told at once; those that are stopped do not count."""
KEPT: Final = 50
"""And with the stopped ones."""
KEEP_OLD: Final = timedelta(hours=24)


async def listed(session: AsyncSession, actor: Staff) -> list[Webhook]:
    """The merchant's addresses; who works in some stores sees those of these. Needs staff.read."""
    actor.need(STAFF_READ)
    found = (await session.exec(scoped(actor, Webhook).order_by(col(Webhook.id)))).all()
    return [hook for hook in found if actor.within(hook.store_ids)]


async def one(session: AsyncSession, actor: Staff, webhook_id: str) -> Webhook:
    """One of the merchant's. Needs staff.read; raises NotFound."""
    actor.need(STAFF_READ)
    query = scoped(actor, Webhook).where(col(Webhook.id) == webhook_id)
    found = (await session.exec(query)).first()
    if found is None or not actor.within(found.store_ids):
        raise NotFound("webhook", "没有这个推送地址")
    return found


async def make(
    session: AsyncSession,
    actor: Staff,
    values: dict[str, Any],
    *,
    private_too: bool,
    clocks: Clocks,
) -> Webhook:
    """A new address with a new secret; it hears of what happens from now on. Needs staff.edit.

    Raises KaimenError ``webhook.url``, ``webhook.stores`` (422), Conflict ``webhook.too_many``.
    """
    actor.need(STAFF_EDIT)
    host = check_url(values["url"], private_too=private_too)
    values = {**values, "store_ids": _reach(actor, values.get("store_ids"))}
    await _room(session, actor, new=True)
    newest = (await session.exec(select(func.max(col(FeedEntry.id))))).one()
    made = Webhook(
        merchant_id=actor.merchant_id,
        host=host,
        secret=new_secret(),
        from_feed=int(newest or 0),
        kept_by=actor.ref,
        created_at=clocks.real,
        **values,
    )
    session.add(made)
    await session.flush()
    await _note(session, actor, "webhook.make", made, clocks)
    return made


async def _room(session: AsyncSession, actor: Staff, *, new: bool) -> None:
    """Raise Conflict ``webhook.too_many`` where no other address may be told."""
    there = (await session.exec(scoped(actor, Webhook))).all()
    if sum(hook.enabled for hook in there) >= MOST:
        raise Conflict(
            "webhook.too_many", _("最多 {most} 个在推的地址，先暂停一个").format(most=MOST)
        )
    if new and len(there) >= KEPT:
        raise Conflict(
            "webhook.too_many", _("最多留 {most} 个地址，先删掉不用的").format(most=KEPT)
        )


def _reach(actor: Staff, store_ids: list[str] | None) -> list[str] | None:
    """The stores that an address hears of: nobody has it told of more than they work in."""
    if store_ids is not None and not store_ids:
        raise KaimenError("webhook.stores", "选至少一个门店", status=422, field="store_ids")
    if actor.store_ids is None:
        return store_ids
    if not set(store_ids or ()) <= actor.store_ids:
        raise KaimenError("webhook.stores", "只能选你管的门店", status=422, field="store_ids")
    return sorted(actor.store_ids) if store_ids is None else store_ids


def check_url(url: str, *, private_too: bool) -> str:
    """The host of an address that may be told. Raises KaimenError ``webhook.url`` (422)."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    secure = parts.scheme == "https" or (parts.scheme == "http" and private_too)
    if not host or not secure or parts.username is not None or not url.isprintable():
        raise KaimenError(
            "webhook.url", "写一个 https:// 开头的地址，不带用户名", status=422, field="url"
        )
    return host


async def turn(
    session: AsyncSession, actor: Staff, webhook_id: str, enabled: bool, clocks: Clocks
) -> Webhook:
    """Stop an address, or start it again: it hears of what happens from then on. Needs staff.edit.

    Who starts it answers for it from now on. Raises NotFound, Conflict ``webhook.too_many``.
    """
    actor.need(STAFF_EDIT)
    found = await one(session, actor, webhook_id)
    if found.enabled == enabled:
        return found
    if enabled:
        await _room(session, actor, new=False)
    found.enabled, found.stopped_why, found.failing_since = enabled, "", None
    if enabled:
        newest = (await session.exec(select(func.max(col(FeedEntry.id))))).one()
        found.from_feed, found.kept_by = int(newest or 0), actor.ref
        await signal(
            session, merchant_id=found.merchant_id, store_id=None, kind=sending.FAILING,
            subject=f"webhook:{found.id}", active=False, data={}, at=clocks.real,
        )  # fmt: skip
    session.add(found)
    await _note(session, actor, "webhook.start" if enabled else "webhook.stop", found, clocks)
    return found


async def remove(session: AsyncSession, actor: Staff, webhook_id: str, clocks: Clocks) -> None:
    """Forget an address that is stopped, and what was told to it. Needs staff.edit.

    Raises NotFound, Conflict ``webhook.running``: who deletes what is told would not see what waits.
    """
    actor.need(STAFF_EDIT)
    found = await one(session, actor, webhook_id)
    if found.enabled:
        raise Conflict("webhook.running", "它还在推。先暂停，再删")
    await session.exec(delete(WebhookDelivery).where(col(WebhookDelivery.webhook_id) == found.id))
    await signal(
        session, merchant_id=found.merchant_id, store_id=None, kind=sending.FAILING,
        subject=f"webhook:{found.id}", active=False, data={}, at=clocks.real,
    )  # fmt: skip
    await _note(session, actor, "webhook.remove", found, clocks)
    await session.delete(found)


async def rotate(session: AsyncSession, actor: Staff, webhook_id: str, clocks: Clocks) -> Webhook:
    """A new secret; the old one signs beside it for a day. Needs staff.edit."""
    actor.need(STAFF_EDIT)
    found = await one(session, actor, webhook_id)
    found.old_secret, found.old_until = found.secret, clocks.real + KEEP_OLD
    found.secret = new_secret()
    session.add(found)
    await _note(session, actor, "webhook.rotate", found, clocks)
    return found


async def ping(cloud: Cloud, session: AsyncSession, actor: Staff, webhook_id: str) -> None:
    """Send a test, also to an address that is stopped; it is tried once. Needs staff.edit."""
    actor.need(STAFF_EDIT)
    found = await one(session, actor, webhook_id)
    body = {"type": "webhook.test", "timestamp": cloud.clocks.real.isoformat(), "data": {}}
    await sending.put(cloud, session, found, "webhook.test", body, None)


async def deliveries(
    session: AsyncSession, actor: Staff, webhook_id: str, cursor: str | None, limit: int
) -> tuple[list[WebhookDelivery], str | None]:
    """An address's deliveries, newest first. Needs staff.read."""
    found = await one(session, actor, webhook_id)
    query = scoped(actor, WebhookDelivery).where(col(WebhookDelivery.webhook_id) == found.id)
    return await page_of(
        session, query, by=WebhookDelivery.created_at, key=WebhookDelivery.id,
        cursor=cursor, limit=limit,
    )  # fmt: skip


async def replay(
    session: AsyncSession, actor: Staff, delivery_id: str, clocks: Clocks
) -> WebhookDelivery:
    """Send a delivery again, with the same id, so that who had it knows. Needs staff.edit; NotFound."""
    actor.need(STAFF_EDIT)
    query = scoped(actor, WebhookDelivery).where(col(WebhookDelivery.id) == delivery_id)
    found = (await session.exec(query.with_for_update())).first()
    if found is None:
        raise NotFound("delivery", "没有这条推送记录")
    await one(session, actor, found.webhook_id)  # of a branch's own
    found.state, found.tries, found.replays = "waiting", 0, found.replays + 1
    session.add(found)
    await sending.soon(session, found.merchant_id, found.id, found.replays, clocks.real)
    return found


async def _note(
    session: AsyncSession, actor: Staff, act: str, hook: Webhook, clocks: Clocks
) -> None:
    await record(
        session,
        actor,
        act,
        merchant_id=hook.merchant_id,
        subject=f"webhook:{hook.id}",
        after={"name": hook.name, "host": hook.host, "kinds": hook.kinds},
        clocks=clocks,
    )
