"""Small sentences that several pages share, in the page's language; templates word the rest."""

from __future__ import annotations

from datetime import datetime, timedelta

from cloud_api.kit.dates import said
from cloud_api.kit.i18n import gettext as _
from cloud_api.stores.models import Room, Store
from cloud_api.web.rendering import STATIC

ARTS = frozenset(path.stem for path in (STATIC / "art").glob("room-*.svg"))
_PLAIN = "room-scroll"


def art(room: Room | None) -> str:
    """The drawing of a room; one we have, whatever the owner wrote."""
    return room.art if room is not None and room.art in ARTS else _PLAIN


def sign(store: Store) -> str:
    """What stands over the door: the name without the branch."""
    return store.name.partition("·")[0].strip() or store.name


def hours(minutes: int) -> str:
    """``2 小时``, ``1 小时 30 分``, ``45 分钟``."""
    whole, rest = divmod(minutes, 60)
    if not rest:
        return _("{n} 小时").format(n=whole)
    return _("{h} 小时 {m} 分").format(h=whole, m=rest) if whole else _("{n} 分钟").format(n=rest)


def moment(at: datetime, now: datetime) -> str:
    """``19:05``, ``明天 19:05``, ``11月25日 周三 19:05``; both in the same zone."""
    return said(at, now)


def minutes_up(span: timedelta) -> int:
    """Whole minutes, rounded up, never below nought."""
    return max(0, -(-int(span.total_seconds()) // 60))
