"""Whether a voucher opens a room for somebody at a time, and if not, why: pure, the same for every way.

Times of day and weekdays are judged in the store's zone; a window from 22:00 to 30:00 reaches into the
next morning and belongs to the day on which it begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from cloud_api.kit.dates import full
from cloud_api.kit.i18n import gettext as _
from cloud_api.vouchers.models import Voucher

_DAYS: Final = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A stable code and a sentence."""

    code: str
    message: str


def refuse(
    voucher: Voucher, *, store_id: str, room_id: str, starts_at: datetime, tz: str
) -> Refusal | None:
    """None where the voucher may be used for a stay that begins at ``starts_at``."""
    zone = ZoneInfo(tz)
    if voucher.state in {"refunding", "refunded"}:
        return Refusal("voucher.refunded", _("这张券已经退款了"))
    if voucher.state == "expired" or starts_at >= voucher.valid_until:
        day = full(voucher.valid_until.astimezone(zone), starts_at.astimezone(zone))
        return Refusal("voucher.expired", _("这张券 {day} 到期了").format(day=day))
    if starts_at < voucher.valid_from:
        day = full(voucher.valid_from.astimezone(zone), starts_at.astimezone(zone))
        return Refusal("voucher.not_yet", _("这张券 {day} 起才能用").format(day=day))
    if store_id not in voucher.store_ids:
        return Refusal("voucher.other_store", _("这张券不能在这家店用"))
    if voucher.room_ids and room_id not in voucher.room_ids:
        return Refusal("voucher.other_room", _("这张券不能用在这个包间，换一间试试"))
    if not in_window(voucher, starts_at, tz):
        return Refusal("voucher.other_time", _("这张券 {when} 可用").format(when=when(voucher)))
    return None


class Hours(Protocol):
    """What has days and hours: a voucher, a campaign."""

    weekdays: int
    from_minute: int
    until_minute: int


def when(voucher: Hours) -> str:
    """The days and hours of a voucher in words: 周一至周五 10:00–18:00."""
    return f"{_days(voucher.weekdays)} {_hours(voucher)}".strip()


def in_window(voucher: Hours, starts_at: datetime, tz: str) -> bool:
    """Whether a stay may begin at ``starts_at``, by days and hours in zone ``tz``."""
    local = starts_at.astimezone(ZoneInfo(tz))
    for back in (0, 1):  # yesterday's window may reach into this morning
        day = local - timedelta(days=back)
        minute = local.hour * 60 + local.minute + back * 1440
        if (
            voucher.weekdays >> day.weekday() & 1
            and voucher.from_minute <= minute < voucher.until_minute
        ):
            return True
    return False


def _days(mask: int) -> str:
    if mask == 127:
        return _("每天")
    if mask == 31:
        return _("周一至周五")
    if mask == 96:
        return _("周末")
    return _("、").join(_(name) for bit, name in enumerate(_DAYS) if mask >> bit & 1)


def _hours(voucher: Hours) -> str:
    if (voucher.from_minute, voucher.until_minute) == (0, 1440):
        return ""
    until = voucher.until_minute
    night = _("次日 ") if until > 1440 else ""
    until = until - 1440 if until > 1440 else until
    return f"{_clock(voucher.from_minute)}–{night}{_clock(until)}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
