"""The coupon page: make one, see how many are out, give them to people, stop them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Response

from cloud_api.coupons import manage
from cloud_api.coupons.models import Coupon
from cloud_api.coupons.schemas import text_of
from cloud_api.kit.actor import Staff
from cloud_api.kit.dates import weekday_name
from cloud_api.kit.i18n import gettext as _
from cloud_api.members.levels import levels
from cloud_api.pricing.products import clock
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import COUPON_EDIT
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.prices import CouponCard, CouponsPage

router = APIRouter(prefix="/console/coupons", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("")
async def coupons(
    seen: Seen, who: Who, cursor: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Needs coupon.edit."""
    who.need(COUPON_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found, following = await manage.listed(session, who, cursor, 50)
        used = await manage.used_counts(session, [one.id for one in found])
        ranks = await levels(session, who)
    model = CouponsPage(
        coupons=tuple(_card(one, used.get(one.id, 0)) for one in found),
        next_href=f"/console/coupons?cursor={quote(following)}" if following else "",
        levels=tuple((one.id, one.name) for one in ranks),
        stores=tuple((one.id, one.name, "") for one in frame.stores),
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/coupons.html", model, here="coupons")


def _card(coupon: Coupon, used: int) -> CouponCard:
    stock = _("发了 {n}").format(n=coupon.issued)
    if coupon.stock is not None:
        stock = _("发了 {n} / {all}").format(n=coupon.issued, all=coupon.stock)
    return CouponCard(
        id=coupon.id,
        name=coupon.name,
        text=text_of(coupon),
        when=" · ".join(_when(coupon)),
        out=stock,
        used=used,
        code=coupon.code or "",
        stopped=coupon.stopped_at is not None,
    )


def _when(coupon: Coupon) -> list[str]:
    told = []
    if coupon.valid_until is not None:
        told.append(_("到 {d:%Y-%m-%d}").format(d=coupon.valid_until))
    if coupon.valid_days is not None:
        told.append(_("领后 {n} 天").format(n=coupon.valid_days))
    if coupon.from_minute or coupon.until_minute < 1440:
        night = _("次日 ") if coupon.until_minute <= coupon.from_minute else ""
        told.append(f"{clock(coupon.from_minute)}–{night}{clock(coupon.until_minute)}")
    if coupon.weekdays != 127:
        on = [weekday_name(d) for d in range(7) if coupon.weekdays & (1 << d)]
        told.append(_("、").join(on))
    if coupon.holidays == "not":
        told.append(_("节假日除外"))
    return told or [_("长期有效")]
