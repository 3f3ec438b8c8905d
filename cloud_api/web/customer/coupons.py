"""My coupons, and the field that fetches one by its code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from cloud_api.coupons import service
from cloud_api.coupons.models import Coupon, CouponGrant
from cloud_api.coupons.routes import my
from cloud_api.kit.i18n import gettext as _
from cloud_api.web.pages import Visit, page, visit
from cloud_api.web.view_models.booking import CouponCard, CouponsPage

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
_STATES: Final = ("unused", "used", "expired", "revoked")


@router.get("/me/coupons")
async def coupons(seen: Seen) -> Response:
    """Those that can be used first."""
    async with seen.cloud.db.read() as session:
        found = await service.mine(session, seen.customer)
    return page(seen, "customer/coupons.html", _page(seen, found), shell=seen.shell())


def _page(seen: Visit, found: Sequence[tuple[CouponGrant, Coupon]]) -> CouponsPage:
    words = {"used": _("用过了"), "expired": _("过期了"), "revoked": _("店家收回了")}
    cards = []
    for grant, coupon in found:
        told = my(grant, coupon, seen.cloud.clocks.now)
        cards.append(
            CouponCard(
                name=told.name,
                text=_(told.text),
                state=told.state,
                word=words.get(told.state, ""),
                until=seen.local(told.expires_at) if told.expires_at is not None else None,
                order_href=f"/orders/{told.order_id}" if told.order_id else "",
            )
        )
    cards.sort(key=lambda card: _STATES.index(card.state))
    usable = tuple(card for card in cards if card.state == "unused")
    return CouponsPage(usable, tuple(card for card in cards if card.state != "unused"))
