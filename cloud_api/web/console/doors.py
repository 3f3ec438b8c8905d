"""The doors of a store: which lock, which contact, which reader of codes and of cards belongs to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import col

from cloud_api.devices.doors import NEEDS, facts_of
from cloud_api.devices.models import Binding
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.seen import mark
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import STORE_EDIT
from cloud_api.stores.models import Door
from cloud_api.stores.service import doors_of
from cloud_api.web.console.frame import NoStore, console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.prices import Pick
from cloud_api.web.view_models.running import DoorForm, DoorPart, DoorsPage

router = APIRouter(prefix="/console/doors", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
_PARTS = {
    "lock_binding_id": ("门锁", ""),
    "reader_binding_id": ("扫码器或密码键盘", "客人的通行码和密码在这里认"),
    "cards_binding_id": ("读卡器", "员工的门卡在这里刷"),
    "contact_binding_id": ("门磁", "知道门开着还是关着"),
}


@router.get("")
async def all_doors(
    seen: Seen, who: Who, store: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """A store's doors, each with its form. Needs store.edit."""
    who.need(STORE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        if not frame.stores:
            raise NoStore
        shop = next((one for one in frame.stores if one.id == store), frame.stores[0])
        doors = await doors_of(session, who, shop.id)
        query = scoped(who, Binding).where(col(Binding.store_id) == shop.id)
        bindings = (await session.exec(query.order_by(col(Binding.name)))).all()
    model = DoorsPage(
        stores=tuple(
            Pick(one.name, f"/console/doors?store={one.id}", one.id == shop.id)
            for one in frame.stores
        ),
        doors=tuple(_form(door, bindings) for door in doors),
    )
    here = seen.at(shop.tz)
    return console_page(here, who, frame, "console/doors.html", model, here="doors")


def _form(door: Door, bindings: Sequence[Binding]) -> DoorForm:
    parts = []
    for field, (title, hint) in _PARTS.items():
        fit = [(one.id, one.name) for one in bindings if one.capability == NEEDS[field][0]]
        known = getattr(door, field) or ""
        parts.append(
            DoorPart(
                name=field,
                title=_(title),
                hint=_(hint) if hint else "",
                choices=(("", _("没有")), *fit),
                value=known,
            )
        )
    return DoorForm(
        id=door.id,
        name=door.name,
        action=f"/api/v1/console/doors/{door.id}",
        pulse_ms=door.pulse_ms,
        parts=tuple(parts),
        seen=mark(facts_of(door)),
    )
