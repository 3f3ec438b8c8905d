"""Quiet hours: when a message that can wait may go out. Local wall time, may cross midnight."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


def next_loud(at: datetime, quiet_from: str | None, quiet_until: str | None, tz: str) -> datetime:
    """``at`` itself, or the end of the quiet hours that it falls into."""
    if not quiet_from or not quiet_until or quiet_from == quiet_until:
        return at
    zone = ZoneInfo(tz)
    local = at.astimezone(zone)
    begin, end = time.fromisoformat(quiet_from), time.fromisoformat(quiet_until)
    clock = local.time().replace(tzinfo=None)
    over_midnight = begin > end
    quiet = (clock >= begin or clock < end) if over_midnight else begin <= clock < end
    if not quiet:
        return at
    day = local.date()
    if over_midnight and clock >= begin:
        day += timedelta(days=1)
    return datetime.combine(day, end, zone)
