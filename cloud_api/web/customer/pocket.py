"""What the phone keeps: the app's manifest, its service worker, and the passes for a dead spot.

A page kept by the worker shows what the phone saved last; nothing of one person is in the worker's own
store. Passes are asked for again each minute while there is network (``js/pocket.js``).
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import JSONResponse
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import service as access
from cloud_api.branding.looks import Look
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
KEPT: Final = (
    "css/parts.css",
    "css/parts/brand.css",
    "css/customer.css",
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
async def manifest(seen: Seen, house: Annotated[str, Query(max_length=64)] = "") -> Response:
    """The app as the phone's home screen knows it (W3C Web Application Manifest).

    ``house``: a merchant's own, where several share the server: another app with another start.
    """
    look = seen.of(house).look
    start = f"/?house={quote(house, safe='')}" if look != seen.looks.home else "/"
    told: dict[str, Any] = {
        "id": start,
        "name": look.name if look.version else "Kaimen 开门",
        "short_name": look.short or _("开门"),
        "description": look.slogan or _("订包间、扫码开门、续时，都在这里"),
        "lang": seen.lang,
        "start_url": start,
        "scope": "/",
        "display": "standalone",
        "orientation": "portrait",
        "background_color": "#F2F5F3",
        "theme_color": look.ramp.light.brand if look.ramp else "#0A7A5A",
        "icons": _icons(look),
        "shortcuts": [
            {"name": _("扫码开门"), "url": "/scan", "icons": _icons(look)[:1]},
            {"name": _("我的订单"), "url": "/orders", "icons": _icons(look)[:1]},
        ],
    }
    return JSONResponse(told, media_type="application/manifest+json")


def _icons(look: Look) -> list[dict[str, str]]:
    own = (look.icon(192), look.icon(512), look.mask)
    return [
        {"src": mine or static_url(path), "sizes": sizes, "type": "image/png", "purpose": purpose}
        for mine, (path, sizes, purpose) in zip(own, _ICONS, strict=True)
    ]


@router.get("/sw.js")
async def worker(seen: Seen) -> Response:
    """The service worker with the list of what it keeps; another list is another worker.

    It keeps one page, of the installation's look. So a merchant's change is another worker with a store of
    its own, and no merchant's logo or colour stands on another's page.
    """
    look = seen.looks.home
    own = [path for path in (look.css, look.icon(192), look.icon(64)) if path]
    return Response(
        _worker(f"{look.merchant_id}.{look.version}", tuple(own)),
        media_type="text/javascript",
        headers={"Cache-Control": "no-cache"},
    )


@lru_cache(maxsize=8)
def _worker(stamp_of_look: str, own: tuple[str, ...]) -> str:
    # A font is named by the style sheet, without a hash.
    kept = [f"{STATIC_URL}/{p}" if p.endswith(".woff2") else static_url(p) for p in KEPT]
    kept += own
    body = (STATIC / "js" / "worker.js").read_text(encoding="utf-8")
    template = (STATIC.parent / "templates" / "customer" / "offline.html").read_bytes()
    whole = body.encode() + template + stamp_of_look.encode() + "".join(kept).encode()
    stamp = hashlib.sha256(whole).hexdigest()[:10]
    return f"const STAMP = {json.dumps(stamp)};\nconst KEPT = {json.dumps(kept)};\n{body}"


@router.get("/offline")
async def offline(seen: Seen) -> Response:
    """What the worker shows where there is no network. The same for everybody who reads this language."""
    # No token and no name: the worker keeps this page, also after somebody logged out.
    shell = Shell(now=seen.now, csrf="", lang=seen.lang, theme=seen.theme, look=seen.looks.home)
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
    here = seen.at_store(store)
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
