"""Writing to the outbox: what must happen outside after this transaction has committed.

The relay (store_channel/relay.py) drains a stream in order of ``seq``, one relay at a time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.database import announce_after_commit
from cloud_api.kit.models import OutboxRow

OUTBOX = "outbox"


async def put(
    session: AsyncSession,
    *,
    merchant_id: str,
    stream: str,
    topic: str,
    body: dict[str, Any],
    now: datetime,
    expires_at: datetime | None = None,
) -> None:
    """Add a row in the caller's transaction and wake this process's relay after the commit.

    ``now`` and ``expires_at`` are wire time; a row past ``expires_at`` is dropped, never sent late.
    """
    session.add(
        OutboxRow(
            merchant_id=merchant_id,
            stream=stream,
            topic=topic,
            body=body,
            created_at=now,
            expires_at=expires_at,
        )
    )
    announce_after_commit(session, OUTBOX, stream)


async def desired_changed(
    session: AsyncSession, *, merchant_id: str, store_id: str, now: datetime
) -> None:
    """Something that stands in a store's desired document changed: build and publish it again."""
    await put(session, merchant_id=merchant_id, stream=store_id, topic="desired", body={}, now=now)
