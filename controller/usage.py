"""A stay's account when it ends: how long it was used, on power, over time, and what shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.timekeeper import Now
from store_link.messages import StayState, UsageBody

if TYPE_CHECKING:
    from controller.stay import StayRecord


def usage_of(before: StayRecord, after: StayRecord, now: Now) -> UsageBody:
    """What is reported of a stay that ends ``now``: as it was, and as it is over; seconds, Wh."""
    used = grace = over = 0.0
    if before.use_end is not None:
        if before.entered is not None:
            used = max(0.0, min(now.line, before.use_end) - before.entered)
        grace = min(max(0.0, now.line - before.use_end), float(before.grace_s))
    if before.state is StayState.OVERTIME and before.over_since is not None:
        until = before.taken_last if before.taken_last is not None else before.over_since
        over = min(max(0.0, until - before.over_since), float(before.cap_s))
    evidence = before.evidence
    if before.over_since is not None and over >= 1:
        began = now.ms - round((now.line - before.over_since) * 1000)
        evidence = {**evidence, "overtime": {"from": began, "until": began + round(over * 1000)}}
    return UsageBody(
        stay=before.id,
        room=before.room,
        entered_at=before.entered_at,
        ended_at=now.ms,
        used_s=round(used),
        power_on_s=round(after.power_s),
        overtime_s=round(over),
        grace_used_s=round(grace),
        evidence=evidence,
        energy_wh=None if before.energy_wh is None else round(before.energy_wh),
    )
