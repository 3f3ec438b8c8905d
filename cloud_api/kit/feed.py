"""Writing to the live feed that browsers follow by SSE; kept in a table so that any process resumes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.database import announce_after_commit
from cloud_api.kit.models import FeedEntry

FEED = "feed"


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
        FeedEntry(
            merchant_id=merchant_id,
            store_id=store_id,
            account_id=account_id,
            topic=topic,
            body=body,
            at=now,
        )
    )
    announce_after_commit(session, FEED, store_id or merchant_id)
