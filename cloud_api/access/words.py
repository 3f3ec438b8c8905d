"""The sentence of each of a door's answers: what is so, and what one can do."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from cloud_api.access.decide import Case
from cloud_api.kit.dates import said
from cloud_api.kit.i18n import gettext as _

KEYS: Final[dict[Case, str]] = {
    Case.LOGIN: "door.login",
    Case.READY: "door.ready",
    Case.EARLY: "door.early",
    Case.OTHER_ROOM: "door.other_room",
    Case.NONE_FREE: "door.none",
    Case.NONE_TAKEN: "door.taken",
    Case.UNPAID: "door.unpaid",
    Case.STORE_OFFLINE: "door.store_offline",
    Case.LOCK_DEAD: "door.board_dead",
    Case.ENDED: "door.ended",
    Case.CLEANING: "door.cleaning",
    Case.MAINTENANCE: "door.maintenance",
    Case.OPEN: "door.open",
}


def sentence(case: Case, *, room: str, right_room: str, time: str) -> str:
    """The sentence in the request's language. ``time`` is already worded, ``""`` where there is none."""
    texts = {
        Case.LOGIN: _("登录以后，这里告诉你能不能进"),
        Case.READY: _("到了，请进"),
        Case.EARLY: _("早到了，{time} 起可以进"),
        Case.OTHER_ROOM: _("这间不是你的，你订的是{room}"),
        Case.NONE_FREE: _("你现在没有订这里，{room}空着"),
        Case.NONE_TAKEN: _("你现在没有订这里，这间有人"),
        Case.UNPAID: _("还差付款，付好就能开门"),
        Case.STORE_OFFLINE: _("门店暂时断网，用通行码照样能进"),
        Case.LOCK_DEAD: _("门锁没有反应，请联系店家，或再试一次"),
        Case.ENDED: _("时段已结束"),
        Case.CLEANING: _("正在保洁，{time} 后可以用") if time else _("正在保洁，请稍等"),
        Case.MAINTENANCE: _("这间在维护，暂时不能用"),
        Case.OPEN: _("店家把{room}打开了，谁都可以进"),
    }
    named = right_room if case is Case.OTHER_ROOM else room
    return texts[case].format(room=named, time=time)


def still_inside(message: str) -> str:
    """The sentence for a guest whose room is not empty yet."""
    return message + _("。前面的客人还在里面，先敲门")


def clock(at: datetime, now: datetime, tz: str) -> str:
    """``19:00`` today, ``明天 19:00``, ``11月25日 周三 19:00``; in the store's zone."""
    zone = ZoneInfo(tz)
    return said(at.astimezone(zone), now.astimezone(zone))
