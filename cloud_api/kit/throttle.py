"""How often somebody may do something: fixed windows in a table, shared by all processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import FromClause, bindparam, case, literal, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, delete, select
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


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``limit`` of ``key`` (``what:who``) in ``window_s`` seconds."""

    key: str
    limit: int
    window_s: int

    def values(self, now: datetime) -> dict[str, Any]:
        """What a statement that counts one is sent with; ``now`` is wire time.

        ``who`` may be an address or a number: only a keyed hash of it is stored.
        """
        what, _, who = self.key.partition(":")
        stored = f"{what}:{vault().index(who)[:32]}"
        since = now - timedelta(seconds=self.window_s)
        return {"counted": stored, "counted_at": now, "since": since}

    def judge(self, count: int, start: datetime, now: datetime) -> None:
        """Raise TooOften if ``count`` since ``start`` is beyond the limit."""
        if count > self.limit:
            left = start + timedelta(seconds=self.window_s) - now
            raise TooOften(max(1, round(left.total_seconds())))


async def hit(session: AsyncSession, key: str, limit: int, window_s: int, now: datetime) -> None:
    """Count one of ``key`` (``what:who``); raise TooOften beyond ``limit`` in ``window_s`` seconds.

    ``now`` is wire time. One statement, so that no two processes count past each other.
    """
    most = Limit(key, limit, window_s)
    statement = _hit(is_sqlite(session))
    count, start = (await session.execute(statement, most.values(now))).one()
    most.judge(count, start, now)


def hit_if(there: FromClause, *, within: bool = False) -> Any:
    """Part of a statement for PostgreSQL: one is counted if ``there`` has a row. See ``Limit.values``.

    ``within``: only up to the limit; beyond it nothing is counted, and there is no row.
    """
    counted: Any = select(bindparam("counted"), _at(), literal(1)).select_from(there)
    into = postgresql.insert(Throttle.__table__)  # type: ignore[attr-defined]
    left = or_(_over(), col(Throttle.count) < bindparam("most")) if within else None
    return _counted(into.from_select(["key", "window_start", "count"], counted), left)


def _at() -> Any:
    # A bare value would be written as another text than the column's, which no longer sorts.
    return bindparam("counted_at", type_=UTCDateTime())


@built
def _hit(sqlite_: bool) -> Any:
    insert: Any = sqlite.insert if sqlite_ else postgresql.insert
    into = insert(Throttle.__table__)  # type: ignore[attr-defined]
    return _counted(into.values(key=bindparam("counted"), window_start=_at(), count=1))


def _over() -> Any:
    return col(Throttle.window_start) <= bindparam("since")


def _counted(insert: Any, where: Any = None) -> Any:
    over, now = _over(), _at()
    return insert.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "count": case((over, 1), else_=col(Throttle.count) + 1),
            "window_start": case((over, now), else_=col(Throttle.window_start)),
        },
        where=where,
    ).returning(col(Throttle.count), col(Throttle.window_start))


async def forget_old(session: AsyncSession, now: datetime) -> None:
    """Delete counts whose window is long over; ``now`` is wire time."""
    old = col(Throttle.window_start) < now - timedelta(days=2)
    await session.exec(delete(Throttle).where(old))
