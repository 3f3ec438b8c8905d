"""From what a cause said (ids, instants, fen) to the words of one recipient's language."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms.reasons import reason
from cloud_api.alarms.rules import SEVERITY_NAMES
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.dates import day_time
from cloud_api.kit.money import yuan
from cloud_api.notifications.models import NoticeTemplate
from cloud_api.notifications.texts import TEXTS, fill, in_language
from cloud_api.stores.models import Door, Room, Store


@dataclass(frozen=True, slots=True)
class Facts:
    """What an event is about, looked up once for all who hear of it."""

    event: str
    data: dict[str, Any]
    store: Store | None
    room: str
    link: str

    @property
    def tz(self) -> str:
        """The store's time zone."""
        return self.store.tz if self.store is not None else "Asia/Shanghai"

    def values(self, language: str) -> dict[str, str]:
        """The variables of the event's templates."""
        data = self.data
        found = {
            "store": self.store.name if self.store is not None else "",
            "phone": self.store.phone if self.store is not None else "",
            "room": self.room,
            "link": self.link,
        }
        for name in ("number", "reason", "detail", "device", "name", "place"):
            found[name] = in_language(str(data.get(name) or ""), language)
        why = reason(data)
        if why is not None:
            found["detail"] = in_language(why, language)
        if "minutes" in data:
            found["minutes"] = str(data["minutes"])
        if "alarm" in data:
            found["alarm"] = in_language(str(data["alarm"]), language)
        if "severity" in data:
            name = SEVERITY_NAMES.get(str(data["severity"]), "")
            found["severity"] = in_language(name, language)
        if "amount_fen" in data:
            found["amount"] = yuan(int(data["amount_fen"]))
        for name in ("starts_at", "ends_at", "at"):
            if name in data:
                found[name] = moment(datetime.fromisoformat(str(data[name])), self.tz, language)
        return found


def moment(at: datetime, tz: str, language: str) -> str:
    """``11月23日 14:00``, or ``Nov 23 14:00``."""
    local = at.astimezone(ZoneInfo(tz))
    return day_time(local, language)


async def facts_of(
    session: AsyncSession,
    event: str,
    data: dict[str, Any],
    store_id: str | None,
    subject: str,
    public_url: str,
) -> Facts:
    """Look up the names behind the ids."""
    store = None if store_id is None else await session.get(Store, store_id)
    room = ""
    if data.get("room_id"):
        found = await session.get(Room, str(data["room_id"]))
        room = "" if found is None else found.name
    elif data.get("door_id"):
        door = await session.get(Door, str(data["door_id"]))
        room = "" if door is None else door.name
    return Facts(event, data, store, room, link_of(event, subject, public_url))


def link_of(event: str, subject: str, public_url: str) -> str:
    """The page that the notice is about."""
    kind, _, key = subject.partition(":")
    customer = TEXTS[event].audience == "customer"
    paths = {
        "order": f"/orders/{key}" if customer else f"/console/orders/{key}",
        "alarm": "/console/alarms",
        "invoice": "/console/invoices",
        "voucher": f"/me/vouchers/{key}",
        "platform_use": "/console/platform-vouchers",
        "group_order": f"/groupbuy/orders/{key}",
        "cleaning": f"/console/cleaning/tasks/{key}",
    }
    return public_url.rstrip("/") + paths.get(kind, "/" if customer else "/console")


@dataclass(frozen=True, slots=True)
class Words:
    """What one recipient reads on one channel."""

    title: str
    body: str
    template: str = ""
    params: tuple[tuple[str, str], ...] = ()


async def templates_of(
    session: AsyncSession, merchant_id: str, event: str
) -> dict[tuple[str, str], NoticeTemplate]:
    """A merchant's own templates of an event, by (channel, language)."""
    query = scoped(System(), NoticeTemplate).where(
        col(NoticeTemplate.merchant_id) == merchant_id, col(NoticeTemplate.event) == event
    )
    return {(row.channel, row.language): row for row in (await session.exec(query)).all()}


def words(
    event: str,
    own: dict[tuple[str, str], NoticeTemplate],
    channel: str,
    language: str,
    values: dict[str, str],
) -> Words:
    """The merchant's words for this channel, else for all channels, else ours; filled in."""
    text = TEXTS[event]
    title, body = in_language(text.title, language), in_language(text.body, language)
    template = ""
    params: tuple[tuple[str, str], ...] = ()
    for row in _rows(own, channel, language):
        title, body = row.title or title, row.body or body
        if row.channel == channel and row.provider_template:
            template = row.provider_template
            params = tuple((str(name), fill(str(how), values)) for name, how in row.provider_params)
    return Words(fill(title, values), fill(body, values), template, params)


def _rows(
    own: dict[tuple[str, str], NoticeTemplate], channel: str, language: str
) -> list[NoticeTemplate]:
    """From the most general to the most particular; the last one wins."""
    keys = [("*", language), (channel, "zh_Hans"), (channel, language)]
    return [own[key] for key in dict.fromkeys(keys) if key in own]
