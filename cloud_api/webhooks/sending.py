"""From the feed to addresses: which lines are whose, and one try after another.

``follow`` reads the feed in order of its ids. A line of a transaction that committed late has a lower id than
others before it, so lines younger than ``SETTLED`` are read again; UNIQUE(webhook, line) makes one delivery of it.
An address is looked up once per try and the connection goes to exactly that address (as notices do); no answer
leads on to another.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, schedule
from cloud_api.kit.i18n import later
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import DueJob, FeedEntry
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.notifications.channels.hosts import HostRefused, public_address
from cloud_api.staff.models import StaffMember
from cloud_api.webhooks.models import Webhook, WebhookDelivery
from cloud_api.webhooks.signing import headers

FOLLOW: Final = "webhook.follow"
SEND: Final = "webhook.send"  # ref: "<delivery id>.<replays>"
FAILING: Final = "webhook.failing"
SETTLED: Final = timedelta(seconds=30)
STEPS_S: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Between tries, as Standard Webhooks suggest: 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 hours."""
STOP_AFTER: Final = timedelta(days=5)
TOPICS: Final = ("order", "alarm", "room", "store", "cleaning")
_TIMEOUT: Final = httpx.Timeout(10, connect=3)
_BATCH: Final = 500
_SAID: Final = 500
_SYSTEM: Final = System()


def kind_of(entry: FeedEntry) -> str:
    """``order.paid``, ``alarm.raised``, ``room.maintenance`` … of a line of the feed."""
    body = entry.body
    if entry.topic == "order" and body.get("groupbuy"):
        return f"group_order.{body.get('status')}"
    if entry.topic == "order" and body.get("platform_use"):
        return f"platform_voucher.{body.get('state')}"
    if entry.topic == "store" and body.get("event") == "presence":
        return "store.online" if body.get("online") else "store.offline"
    word = {
        "order": body.get("status"),
        "alarm": body.get("event"),
        "room": body.get("mode") or body.get("event"),
        "cleaning": body.get("state"),
    }.get(entry.topic)
    return f"{entry.topic}.{word or body.get('event') or 'changed'}"


async def follow(cloud: Cloud) -> int:
    """Make deliveries of what the feed has for each address; how many are new."""
    made = 0
    async with cloud.db.read() as session:
        query = scoped(_SYSTEM, Webhook).where(col(Webhook.enabled).is_(True))
        hooks = (await session.exec(query)).all()
        here = await _here(session, hooks)
    for hook in hooks:
        async with cloud.db.write() as session:
            if hook.kept_by.startswith("staff:") and hook.kept_by not in here:
                await _hold(cloud, session, hook)
            else:
                made += await _of_hook(cloud, session, hook)
    return made


async def _here(session: AsyncSession, hooks: Sequence[Webhook]) -> set[str]:
    """Of those who answer for addresses, who still works here."""
    ids = [one.kept_by.partition(":")[2] for one in hooks]
    query = select(col(StaffMember.id)).where(
        col(StaffMember.id).in_(ids), col(StaffMember.active).is_(True)
    )
    return {f"staff:{one}" for one in (await session.exec(query)).all()}


async def _hold(cloud: Cloud, session: AsyncSession, hook: Webhook) -> None:
    """Who left chose where this goes and knows its secret: it waits for somebody to look at it, and says so."""
    row = (
        await session.exec(select(Webhook).where(col(Webhook.id) == hook.id).with_for_update())
    ).first()
    if row is not None and row.enabled and row.kept_by == hook.kept_by:
        await _stop(session, row, later("加它的人已经停用，看过地址再恢复"), cloud.clocks.real)


async def _stop(session: AsyncSession, row: Webhook, why: str, now: datetime) -> None:
    """Tell an address nothing more until somebody starts it again, with an alarm."""
    row.enabled, row.stopped_why = False, why
    session.add(row)
    await signal(
        session,
        merchant_id=row.merchant_id,
        store_id=None,
        kind=FAILING,
        subject=f"webhook:{row.id}",
        active=True,
        data={"detail": f"{row.name} · {row.host}: {why}"},
        at=now,
    )


async def _of_hook(cloud: Cloud, session: AsyncSession, hook: Webhook) -> int:
    query = (
        scoped(_SYSTEM, FeedEntry)
        .where(
            col(FeedEntry.merchant_id) == hook.merchant_id,
            col(FeedEntry.id) > hook.from_feed,
            col(FeedEntry.topic).in_(TOPICS),
        )
        .order_by(col(FeedEntry.id))
        .limit(_BATCH)
    )
    entries = (await session.exec(query)).all()
    made, upto = 0, hook.from_feed
    settled = True
    for entry in entries:
        assert entry.id is not None
        settled = settled and entry.at <= cloud.clocks.real - SETTLED
        if settled:
            upto = entry.id
        kind = kind_of(entry)
        if wants(hook, kind, entry.store_id):
            made += await _deliver(cloud, session, hook, kind, entry)
    if upto != hook.from_feed:
        await session.exec(update(Webhook).where(col(Webhook.id) == hook.id).values(from_feed=upto))
    return made


def wants(hook: Webhook, kind: str, store_id: str | None) -> bool:
    """Whether an address hears of this: by its kinds (``order`` is all of order's) and its stores."""
    if hook.store_ids is not None and store_id not in hook.store_ids:
        return False
    return not hook.kinds or kind in hook.kinds or kind.partition(".")[0] in hook.kinds


async def _deliver(
    cloud: Cloud, session: AsyncSession, hook: Webhook, kind: str, entry: FeedEntry
) -> bool:
    body = {
        "type": kind,
        "timestamp": entry.at.isoformat(),
        "data": {"store_id": entry.store_id, **entry.body},
    }
    return await put(cloud, session, hook, kind, body, entry.id)


async def put(
    cloud: Cloud,
    session: AsyncSession,
    hook: Webhook,
    kind: str,
    body: dict[str, Any],
    feed_id: int | None,
) -> bool:
    """A delivery and its first try; False where this line has one already."""
    values = {
        "id": f"msg_{new_id()}",
        "merchant_id": hook.merchant_id,
        "webhook_id": hook.id,
        "feed_id": feed_id,
        "kind": kind,
        "body": body,
        "state": "waiting",
        "tries": 0,
        "replays": 0,
        "said": "",
        "created_at": cloud.clocks.real,
    }
    if not await insert_or_ignore(session, WebhookDelivery, values):
        return False
    await soon(session, hook.merchant_id, str(values["id"]), 0, cloud.clocks.real)
    return True


async def soon(
    session: AsyncSession, merchant_id: str, delivery_id: str, replays: int, now: datetime
) -> None:
    """Have a delivery tried now."""
    await schedule(
        session,
        merchant_id=merchant_id,
        kind=SEND,
        ref=f"{delivery_id}.{replays}",
        run_at=now,
        clock="wire",
        max_attempts=3,
    )


async def send(cloud: Cloud, job: DueJob) -> None:
    """Job ``webhook.send``: one try. Raises Again until it was taken or the steps are over."""
    async with cloud.db.read() as session:
        delivery = await session.get(WebhookDelivery, job.ref.rpartition(".")[0])
        hook = None if delivery is None else await session.get(Webhook, delivery.webhook_id)
    if delivery is None or hook is None:  # deleted meanwhile
        return
    if delivery.state != "waiting" or f"{delivery.replays}" != job.ref.rpartition(".")[2]:
        return
    if not hook.enabled and delivery.feed_id is not None:
        await _end(cloud, delivery, state="failed", said="stopped")
        return
    begun = time.perf_counter()
    status, said = await _try(cloud, hook, delivery)
    took = round(1000 * (time.perf_counter() - begun))
    good = status is not None and 200 <= status < 300
    tries = delivery.tries + 1
    over = tries > len(STEPS_S) or delivery.feed_id is None
    state = "sent" if good else "failed" if over else "waiting"
    await _end(
        cloud, delivery, state=state, tries=tries, status=status, took_ms=took, said=said,
        tried_at=cloud.clocks.real,
    )  # fmt: skip
    await _judge(cloud, hook, good, gone=status == 410)
    if state == "waiting":
        raise Again(STEPS_S[tries - 1], said)


async def _try(cloud: Cloud, hook: Webhook, delivery: WebhookDelivery) -> tuple[int | None, str]:
    """The answer's status and beginning; None and what was wrong where there was no answer."""
    body = json.dumps(delivery.body, ensure_ascii=False, separators=(",", ":")).encode()
    now = cloud.clocks.real
    secrets = [hook.secret]
    if hook.old_secret is not None and hook.old_until is not None and now < hook.old_until:
        secrets.append(hook.old_secret)
    parts = urlsplit(hook.url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        address = await public_address(cloud, host, port)
    except HostRefused as refused:
        return None, str(refused)
    shown = f"[{address}]" if ":" in address else address
    pinned = parts._replace(netloc=f"{shown}:{port}").geturl()
    told = headers(secrets, delivery.id, round(now.timestamp()), body)
    told["host"] = parts.netloc.rpartition("@")[2]
    request = cloud.http.build_request(
        "POST", pinned, content=body, headers=told, timeout=_TIMEOUT,
        extensions={"sni_hostname": host, "timeout": _TIMEOUT.as_dict()},
    )  # fmt: skip
    try:
        answer = await cloud.http.send(request, stream=True, follow_redirects=False)
        try:
            first = b""
            async for chunk in answer.aiter_bytes():
                first += chunk
                if len(first) >= _SAID:
                    break
        finally:
            await answer.aclose()
    except httpx.HTTPError as error:
        return None, type(error).__name__
    return answer.status_code, first[:_SAID].decode(errors="replace").replace("\0", "")


async def _end(cloud: Cloud, delivery: WebhookDelivery, **values: Any) -> None:
    async with cloud.db.write() as session:
        await session.exec(
            update(WebhookDelivery)
            .where(
                col(WebhookDelivery.id) == delivery.id,
                col(WebhookDelivery.replays) == delivery.replays,
            )
            .values(**values)
        )


async def _judge(cloud: Cloud, hook: Webhook, good: bool, *, gone: bool) -> None:
    """Whether an address works; one that has failed for days, or says that it is gone, is stopped."""
    now = cloud.clocks.real
    if good and hook.failing_since is None:
        return
    async with cloud.db.write() as session:
        row = (
            await session.exec(select(Webhook).where(col(Webhook.id) == hook.id).with_for_update())
        ).first()
        if row is None:  # deleted meanwhile
            return
        row.failing_since = None if good else row.failing_since or now
        since = row.failing_since
        if not good and row.enabled and (gone or (since is not None and now - since >= STOP_AFTER)):
            why = later("对方说地址没有了（410）") if gone else later("连续五天没有送到")
            await _stop(session, row, why, now)
        session.add(row)
