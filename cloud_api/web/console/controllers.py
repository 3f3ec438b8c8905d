"""The controllers of all stores: which version each runs, how it is, and a bundle for who helps."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlmodel import col

from cloud_api.devices import diagnostics, status
from cloud_api.devices.models import StoreCredential, StoreStatus
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import DEVICE_ENROL, DEVICE_READ
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.running import BundleRow, ControllerCard, ControllersPage

router = APIRouter(prefix="/console/controllers", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
_CLOCKS = {"synced": "对准了", "holdover": "靠自己走着", "untrusted": "不能相信"}
_NEWEST = version("kaimen")
_SOON = timedelta(days=30)


@router.get("")
async def all_controllers(seen: Seen, who: Who) -> Response:
    """One card a store. Needs device.read."""
    who.need(DEVICE_READ)
    may, now = DEVICE_ENROL in who.permissions, seen.cloud.clocks.real
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        ids = [store.id for store in frame.stores]
        rows = {
            row.store_id: row
            for row in await session.exec(
                scoped(System(), StoreStatus).where(col(StoreStatus.store_id).in_(ids))
            )
        }
        live = scoped(System(), StoreCredential).where(
            col(StoreCredential.store_id).in_(ids), col(StoreCredential.revoked_at).is_(None)
        )
        ends = {row.store_id: row.expires_at for row in await session.exec(live)}
        bundles = await diagnostics.last(session, who, ids) if may else []
    cards = []
    for store in frame.stores:
        row = rows.get(store.id)
        view = status.NOTHING if row is None else status.view(row, now)
        enrolled = store.id in ends
        state, tone = _("没有控制器"), "is-offline"
        if enrolled:
            state, tone = (_("在线"), "is-free") if view.online else (_("离线"), "is-offline")
        away = [board for board in view.boards.values() if board != "online"]
        total = len(view.boards)
        cards.append(
            ControllerCard(
                id=store.id,
                store_name=store.name,
                state=state,
                tone=tone,
                version=view.version or "—",
                behind=bool(view.version) and view.version != _NEWEST,
                clock=_(_CLOCKS.get(view.clock, _("不能相信"))) if view.version else "—",
                waiting=view.outbox_depth,
                document=f"{view.epoch}.{view.rev}" if view.rev else "—",
                boards=_("{n} 块，{away} 块不在线").format(n=total, away=len(away))
                if away
                else _("{n} 块都在线").format(n=total),
                heard_at=view.reported_at,
                cert_ends=ends.get(store.id),
                cert_soon=enrolled and ends[store.id] - now < _SOON,
                bundles=tuple(
                    BundleRow(
                        f"/api/v1/console/diagnostics/{one.id}",
                        one.why,
                        one.created_at,
                        one.received_at is not None,
                    )
                    for one in bundles
                    if one.store_id == store.id
                )[:3],
            )
        )
    model = ControllersPage(tuple(cards), _NEWEST, may)
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/controllers.html", model, here="controllers")
