"""What is due again and again (every night): slots on the calendar become due jobs, each slot once.

Every process plans; the due job's UNIQUE(kind, ref, run_at) makes one of it. The slot that was last
due is planned as well, so what fell into a time without a worker is made up for, once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.settings import Settings

INSTALLATION: Final = "installation"  # stands for the merchant of what belongs to none

At = Callable[[Settings], str | None]
_daily: dict[str, At] = {}


def every_day(kind: str, at: At) -> None:
    """Run due jobs of ``kind`` daily at ``at(settings)``: local "HH:MM", or None for never."""
    _daily[kind] = at


async def plan(cloud: Cloud) -> None:
    """Make sure that the last and the next slot of everything that recurs are there."""
    now = cloud.clocks.real
    slots = [
        (kind, slot)
        for kind, at in sorted(_daily.items())
        if (local := at(cloud.settings)) is not None
        for slot in around(now, local, cloud.settings.timezone)
    ]
    if not slots:
        return
    async with cloud.db.write() as session:
        for kind, slot in slots:
            await schedule(
                session,
                merchant_id=INSTALLATION,
                kind=kind,
                ref=f"{slot:%Y-%m-%d}",
                run_at=slot,
                clock="wire",
            )


def around(now: datetime, local: str, tz: str) -> tuple[datetime, datetime]:
    """The last slot at ``local`` ("HH:MM" in ``tz``) that is not after ``now``, and the next one."""
    zone = ZoneInfo(tz)
    hour, minute = map(int, local.split(":"))
    today = now.astimezone(zone).date()
    slots = [
        datetime.combine(today + timedelta(days=days), time(hour, minute), zone).astimezone(
            now.tzinfo
        )
        for days in (-1, 0, 1)
    ]
    return max(s for s in slots if s <= now), min(s for s in slots if s > now)
