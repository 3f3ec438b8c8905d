"""A booking as a file for the phone's own calendar (RFC 5545)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud_api.kit.actor import System
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import service as orders
from cloud_api.stores import service as stores
from cloud_api.web.pages import Visit, visit

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
_FOLD = 74  # octets of a line, the space of its continuation apart


@router.get("/orders/{order_id}/calendar.ics")
async def calendar(seen: Seen, order_id: str) -> Response:
    """The visit with place and a reminder half an hour before."""
    async with seen.cloud.db.read() as session:
        order = await orders.get_order(session, seen.customer, order_id)
        store = await stores.get_store(session, System(), order.store_id)
        room = await stores.get_room(session, System(), order.room_id)
    url = f"{seen.cloud.settings.public_url.rstrip('/')}/orders/{order.id}"
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Kaimen//visit//ZH",
        "BEGIN:VEVENT",
        f"UID:{order.id}@kaimen",
        f"DTSTAMP:{_utc(seen.now)}",
        f"DTSTART:{_utc(order.starts_at)}",
        f"DTEND:{_utc(order.ends_at)}",
        f"SUMMARY:{_text(f'{room.name} · {store.name}')}",
        f"LOCATION:{_text(store.address)}",
        f"DESCRIPTION:{_text(_('扫房门上的码，点一下开门'))} {url}",
        f"URL:{url}",
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        f"DESCRIPTION:{_text(room.name)}",
        "TRIGGER:-PT30M",
        "END:VALARM",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    body = "".join(f"{_fold(line)}\r\n" for line in lines)
    return Response(
        body,
        media_type="text/calendar; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="kaimen-{order.number}.ics"'},
    )


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    """Escaped as a TEXT value (3.3.11)."""
    for plain, escaped in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        text = text.replace(plain, escaped)
    return text


def _fold(line: str) -> str:
    """At most 75 octets a line, never within a character (3.1)."""
    made, size = "", 0
    for char in line:
        octets = len(char.encode())
        if size + octets > _FOLD:
            made, size = made + "\r\n ", 1
        made, size = made + char, size + octets
    return made
