"""What the phone keeps: the app's manifest, its service worker, and the passes for a dead spot.

A page kept by the worker shows what the phone saved last; nothing of one person is in the worker's own
store. Passes are asked for again each minute while there is network (``js/pocket.js``).
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import service as access
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders.models import Order
from cloud_api.stores import service as stores
from cloud_api.web import qr
from cloud_api.web.customer.readers import reader_of_room
from cloud_api.web.pages import Visit, page, visit
from cloud_api.web.rendering import STATIC, STATIC_URL, static_url
from cloud_api.web.view_models import Shell

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]

AHEAD: Final = timedelta(hours=24)
MOST: Final = 3  # bookings whose passes one phone keeps
_SHEETS = (
    "tokens", "base", "parts/button", "parts/chip", "parts/card", "parts/strip", "parts/sheet", "parts/form",
    "parts/feedback", "parts/timeline", "parts/ring", "parts/door", "parts/device", "parts/nav", "parts/tile",
    "customer",
)  # fmt: skip
KEPT: Final = (
    *(f"css/{sheet}.css" for sheet in _SHEETS),
    "js/offline.js",
    "vendor/barlow/kaimen-num-500.woff2",
    "vendor/barlow/kaimen-num-600.woff2",
    "vendor/lucide/sprite.svg",
    "art/mark.svg",
)
_ICONS = (
    ("art/icon-192.png", "192x192", "any"),
    ("art/icon-512.png", "512x512", "any"),
    ("art/icon-mask-512.png", "512x512", "maskable"),
)


@router.get("/manifest.webmanifest")
async def manifest(seen: Seen) -> Response:
    """The app as the phone's home screen knows it (W3C Web Application Manifest)."""
    told: dict[str, Any] = {
        "id": "/",
        "name": "Kaimen 开门",
        "short_name": _("开门"),
        "description": _("订包间、扫码开门、续时，都在这里"),
        "lang": seen.lang,
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "orientation": "portrait",
        "background_color": "#F2F5F3",
        "theme_color": "#0A7A5A",
        "icons": [
            {"src": static_url(path), "sizes": sizes, "type": "image/png", "purpose": purpose}
            for path, sizes, purpose in _ICONS
        ],
        "shortcuts": [
            {"name": _("扫码开门"), "url": "/scan", "icons": [_shortcut_icon()]},
            {"name": _("我的订单"), "url": "/orders", "icons": [_shortcut_icon()]},
        ],
    }
    return JSONResponse(told, media_type="application/manifest+json")


def _shortcut_icon() -> dict[str, str]:
    return {"src": static_url("art/icon-192.png"), "sizes": "192x192", "type": "image/png"}


@router.get("/sw.js")
async def worker() -> Response:
    """The service worker with the list of what it keeps; another list is another worker."""
    return Response(_worker(), media_type="text/javascript", headers={"Cache-Control": "no-cache"})


@cache
def _worker() -> str:
    # A font is named by the style sheet, without a hash.
    kept = [f"{STATIC_URL}/{p}" if p.endswith(".woff2") else static_url(p) for p in KEPT]
    body = (STATIC / "js" / "worker.js").read_text(encoding="utf-8")
    template = (STATIC.parent / "templates" / "customer" / "offline.html").read_bytes()
    stamp = hashlib.sha256(body.encode() + template + "".join(kept).encode()).hexdigest()[:10]
    return f"const STAMP = {json.dumps(stamp)};\nconst KEPT = {json.dumps(kept)};\n{body}"


@router.get("/offline")
async def offline(seen: Seen) -> Response:
    """What the worker shows where there is no network. The same for everybody who reads this language."""
    # No token and no name: the worker keeps this page, also after somebody logged out.
    shell = Shell(now=seen.now, csrf="", lang=seen.lang, theme=seen.theme)
    return page(seen, "customer/offline.html", None, shell=shell)


@router.get("/me/passes")
async def passes(seen: Seen) -> Response:
    """Fresh passes of the coming day for the phone to keep; of nobody, nothing."""
    found: list[dict[str, Any]] = []
    if isinstance(seen.who, Customer):
        async with seen.cloud.db.read() as session:
            coming = await _coming(session, seen.who, seen.cloud.clocks.now)
        for order in coming:
            found.append(await _kept(seen, order))
    return JSONResponse(
        {"now": seen.now.isoformat(timespec="seconds"), "items": found},
        headers={"Cache-Control": "no-store"},
    )


async def _coming(session: AsyncSession, who: Customer, now: datetime) -> list[Order]:
    query = (
        scoped(who, Order)
        .where(
            col(Order.status).in_(["paid", "ready", "in_use"]),
            col(Order.starts_at) < now + AHEAD,
            col(Order.ends_at) > now - AHEAD,
        )
        .order_by(col(Order.starts_at))
        .limit(MOST)
    )
    return list((await session.exec(query)).all())


async def _kept(seen: Visit, order: Order) -> dict[str, Any]:
    """A booking as the phone keeps it; times in words, since a dead spot has no store's zone."""
    async with seen.cloud.db.read() as session:
        store = await stores.get_store(session, System(), order.store_id)
        room = await stores.get_room(session, System(), order.room_id)
        reader = await reader_of_room(session, order.store_id, order.room_id)
    here = seen.at(store.tz)
    begin, end = here.local(order.starts_at), here.local(order.ends_at)
    told: dict[str, Any] = {
        "order": order.id,
        "number": order.number,
        "room": room.name,
        "store": store.name,
        "address": store.address,
        "phone": store.phone,
        "day": _("{m}月{d}日").format(m=begin.month, d=begin.day),
        "range": f"{begin:%H:%M}–{end:%H:%M}",
        "svg": "",
        "pin": "",
        "until": "",
    }
    if not reader.passes:
        return told
    try:
        async with seen.cloud.db.write() as session:
            made = await access.order_pass(
                session, seen.customer, order.id, seen.cloud.clocks, seen.cloud.settings.data_dir
            )
    except KaimenError:  # over, or moved a moment ago: the next minute tells
        return told
    return told | {
        "svg": qr.svg(made.pass_),
        "pin": made.pin if reader.pins else "",
        "until": made.expires.isoformat(timespec="seconds"),
    }
