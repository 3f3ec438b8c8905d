"""What a store says of itself: presence and reports, kept as the last word, told when something changed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import or_
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.models import StoreStatus
from cloud_api.kit import feed
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.orders import changes, refund_wait
from cloud_api.store_channel import judge
from store_link.clock import from_ms
from store_link.presence import LATE_MS
from store_link.reports import Presence, Reported

log = structlog.get_logger(__name__)

SILENT_AFTER = timedelta(seconds=90)  # a store reports every 30 s at least


async def take_presence(
    cloud: Cloud, merchant_id: str, message: Presence, *, retained: bool
) -> None:
    """A store came or went. A ``lost`` of another connection than the present one is a late will.

    A retained ``online`` may be old (the broker itself was away): it counts from when it was sent.
    """
    now = cloud.clocks.real
    async with cloud.db.write() as session:
        row = await _row(session, message.store, merchant_id)
        was = row.online
        if message.state == "lost":
            if row.nonce is not None and row.nonce != message.nonce:
                log.info("late_will_ignored", store=message.store)
                return
            row.online, row.nonce = False, None
        elif retained and row.nonce == message.nonce:
            return  # what we know already; whether it still lives, its reports say
        else:
            row.boot, row.nonce = message.boot, message.nonce
            row.presence_at = min(now, from_ms(message.sent_at)) if retained else now
            row.online = _heard(row) >= now - SILENT_AFTER
        session.add(row)
        if row.online != was:
            await _tell_online(session, row, now)


async def take_reported(
    cloud: Cloud, merchant_id: str, message: Reported, *, retained: bool
) -> None:
    """A report: kept whole; listeners hear of it when more than its times changed."""
    now = cloud.clocks.real
    async with cloud.db.write() as session:
        row = await _row(session, message.store, merchant_id)
        was, before = row.online, row.reported
        if before is not None and _older(message, before, row.nonce, retained=retained):
            return
        row.reported = message.model_dump(mode="json")
        row.reported_at = min(now, from_ms(message.sent_at)) if retained else now
        row.epoch, row.rev = message.epoch, message.rev
        if not retained:
            row.boot, row.nonce = message.boot, message.nonce
            row.online = True
        elif message.nonce == row.nonce and row.reported_at >= now - SILENT_AFTER:
            row.online = True  # the broker kept a fresh word of the connection that stands
        session.add(row)
        if row.online != was:
            await _tell_online(session, row, now)
        await changes.obeyed(session, row.store_id, row.epoch, row.rev, cloud.clocks)
        depth = message.outbox.depth
        await refund_wait.obeyed(session, row.store_id, row.epoch, row.rev, depth, cloud.clocks)
        if before is None or _essence(before) != _essence(row.reported):
            await judge.report(session, cloud, row, before)
            await feed.tell(
                session,
                merchant_id=merchant_id,
                store_id=message.store,
                topic="device",
                body={"event": "reported", **_essence(row.reported)},
                now=now,
            )


async def sweep_silent(cloud: Cloud) -> int:
    """Stores that said nothing for 90 s are offline, whatever the broker believes; how many."""
    now = cloud.clocks.real
    limit = now - SILENT_AFTER
    silent = (
        scoped(System(), StoreStatus)
        .where(
            col(StoreStatus.online).is_(True),
            or_(col(StoreStatus.reported_at).is_(None), col(StoreStatus.reported_at) < limit),
            or_(col(StoreStatus.presence_at).is_(None), col(StoreStatus.presence_at) < limit),
        )
        .limit(500)
    )
    async with cloud.db.read() as session:
        if (await session.exec(silent.limit(1))).first() is None:
            return 0
    async with cloud.db.write() as session:
        rows = list(await session.exec(silent.with_for_update()))
        for row in rows:
            row.online = False
            session.add(row)
            await _tell_online(session, row, now)
    return len(rows)


async def _row(session: AsyncSession, store_id: str, merchant_id: str) -> StoreStatus:
    values = {
        "store_id": store_id,
        "merchant_id": merchant_id,
        "online": False,
        "epoch": 0,
        "rev": 0,
    }
    await insert_or_ignore(session, StoreStatus, values)
    query = scoped(System(), StoreStatus).where(col(StoreStatus.store_id) == store_id)
    return (await session.exec(query.with_for_update())).one()


async def _tell_online(session: AsyncSession, row: StoreStatus, now: datetime) -> None:
    await judge.store_online(session, row, now)
    await feed.tell(
        session,
        merchant_id=row.merchant_id,
        store_id=row.store_id,
        topic="store",
        body={"event": "presence", "online": row.online},
        now=now,
    )


def _heard(row: StoreStatus) -> datetime:
    """When the store last said anything on this connection; ``presence_at`` is set."""
    assert row.presence_at is not None
    if row.reported is None or row.reported_at is None or row.reported.get("nonce") != row.nonce:
        return row.presence_at
    return max(row.presence_at, row.reported_at)


def _older(message: Reported, before: dict[str, Any], nonce: str | None, *, retained: bool) -> bool:
    """A report of an earlier connection that was overtaken by one of the present.

    A live one that claims to be minutes older is none: the store's clock was ahead and was set right.
    """
    behind_ms = int(before.get("sent_at", 0)) - message.sent_at
    late = behind_ms > 0 and (retained or behind_ms < LATE_MS)
    return message.nonce != nonce and before.get("nonce") == nonce and late


def _essence(reported: dict[str, Any]) -> dict[str, Any]:
    """A report without the times that change each time, small enough for the feed."""
    return {
        "applied": [reported["epoch"], reported["rev"]],
        "clock": reported["clock"],
        "boards": {board["id"]: board["state"] for board in reported["boards"]},
        "values": {
            name: [value["value"], value["quality"]] for name, value in reported["values"].items()
        },
        "stays": {stay["id"]: stay["state"] for stay in reported["stays"]},
        "overrides": {one["binding"]: [one["on"], one["until"]] for one in reported["overrides"]},
        "outbox_full": reported["outbox"]["full"],
    }
