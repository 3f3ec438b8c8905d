"""How often somebody may do something: fixed windows in a table, shared by all processes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, case
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.columns import UTCDateTime
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.models import Throttle
from cloud_api.kit.statements import built, is_sqlite


class TooOften(KaimenError):
    """429 with ``retry_after`` in seconds."""

    def __init__(self, retry_after: int) -> None:
        wait = (
            _("{n} 秒").format(n=retry_after)
            if retry_after < 120
            else _("{n} 分钟").format(n=retry_after // 60)
        )
        super().__init__(
            "too_often",
            _("太频繁了，过 {wait}再试").format(wait=wait),
            status=429,
            extra={"retry_after": retry_after},
        )


async def hit(session: AsyncSession, key: str, limit: int, window_s: int, now: datetime) -> None:
    """Count one of ``key`` (``what:who``); raise TooOften beyond ``limit`` in ``window_s`` seconds.

    ``now`` is wire time. ``who`` may be an address or a number: only a keyed hash of it is stored.
    One statement, so that no two processes count past each other.
    """
    what, _, who = key.partition(":")
    stored = f"{what}:{vault().index(who)[:32]}"
    since = now - timedelta(seconds=window_s)
    values = {"key": stored, "now": now, "since": since}
    count, start = (await session.exec(_hit(is_sqlite(session)), params=values)).one()
    if count > limit:
        left = start + timedelta(seconds=window_s) - now
        raise TooOften(max(1, round(left.total_seconds())))


@built
def _hit(sqlite_: bool) -> Any:
    over = col(Throttle.window_start) <= bindparam("since")
    # A bare value would be written as another text than the column's, which no longer sorts.
    now = bindparam("now", type_=UTCDateTime())
    insert: Any = sqlite.insert if sqlite_ else postgresql.insert
    return (
        insert(Throttle.__table__)  # type: ignore[attr-defined]
        .values(key=bindparam("key"), window_start=now, count=1)
        .on_conflict_do_update(
            index_elements=["key"],
            set_={
                "count": case((over, 1), else_=col(Throttle.count) + 1),
                "window_start": case((over, now), else_=col(Throttle.window_start)),
            },
        )
        .returning(col(Throttle.count), col(Throttle.window_start))
    )


async def forget_old(session: AsyncSession, now: datetime) -> None:
    """Delete counts whose window is long over; ``now`` is wire time."""
    old = col(Throttle.window_start) < now - timedelta(days=2)
    await session.exec(delete(Throttle).where(old))
