"""How guests see the merchant: words, colour and logos beside a phone that shows them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud_api.branding import service
from cloud_api.branding.looks import Look, look_of
from cloud_api.branding.schemas import BrandOut, RampOut
from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff.deps import staff_actor
from cloud_api.stores import service as stores
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.brand import BrandPage

router = APIRouter(prefix="/console/brand", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("")
async def brand(seen: Seen, who: Who) -> Response:
    """The merchant's brand. Needs brand.edit."""
    async with seen.cloud.db.read() as session:
        found, version = await service.of(session, who, seen.cloud.clocks)
        frame = await frame_of(session, who)
        rooms = await stores.rooms_of(session, who, frame.stores[0].id) if frame.stores else []
    look = look_of(found, frame.merchant.name) if version else Look(name=frame.merchant.name)
    own = seen.looks.of(who.merchant_id)
    model = BrandPage(
        values=BrandOut.of(found, version=version),
        look=look,
        merchant=frame.merchant.name,
        ramp=RampOut.of(look.ramp) if look.ramp else None,
        store=frame.stores[0].name if frame.stores else _("你的门店"),
        room=rooms[0].name if rooms else _("竹间"),
        shared=version > 0 and own != seen.looks.home,
        front_href=f"/?house={who.merchant_id}",
    )
    return console_page(seen.at(frame.tz), who, frame, "console/brand.html", model, here="brand")
