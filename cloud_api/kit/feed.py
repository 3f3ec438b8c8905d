"""Writing to the live feed that browsers follow by SSE; kept in a table so that any process resumes it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, delete, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.database import announce_after_commit
from cloud_api.kit.models import FeedEntry
from cloud_api.kit.writing import made

FEED = "feed"
KEEP = timedelta(days=7)


async def tell(
    session: AsyncSession,
    *,
    merchant_id: str,
    topic: str,
    body: dict[str, Any],
    now: datetime,
    store_id: str | None = None,
    account_id: str | None = None,
) -> None:
    """Add a line. Staff of the store see it, and the customer ``account_id``; no personal data in it."""
    session.add(
        made(
            FeedEntry,
            merchant_id=merchant_id,
            store_id=store_id,
            account_id=account_id,
            topic=topic,
            body=body,
            at=now,
        )
    )
    announce_after_commit(session, FEED, store_id or merchant_id)


async def forget_old(session: AsyncSession, now: datetime) -> None:
    """Delete lines older than a week; the newest stays, so that ids go on from it."""
    newest = select(func.max(col(FeedEntry.id))).scalar_subquery()
    old = (col(FeedEntry.at) < now - KEEP, col(FeedEntry.id) < newest)
    await session.exec(delete(FeedEntry).where(*old))
