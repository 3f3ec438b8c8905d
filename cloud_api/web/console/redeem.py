"""The desk: a code typed or scanned, the rooms it opens, and what was redeemed today."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response

from cloud_api.groupbuy import desk
from cloud_api.groupbuy.platform_views import ways as platform_ways
from cloud_api.groupbuy.redeem import UNDO_WITHIN
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import ORDER_READ, VOUCHER_EXTEND, VOUCHER_REDEEM
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.customer.groupbuy import localised
from cloud_api.web.customer.platforms import code_page
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.campaigns import DeskPage, RedemptionRow

router = APIRouter(prefix="/console/redeem", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
_WAYS: Final = {
    "scan": "扫码",
    "code": "输码",
    "pick": "选单",
    "online": "顾客在手机上",
    "door": "顾客在门口",
    "scanner": "门口扫码窗",
}
_LOG: Final = 100


@router.get("")
async def redeem(
    seen: Seen, who: Who, store: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """The desk and today's log; ``store``: of one store alone. Needs voucher.redeem."""
    who.need(VOUCHER_REDEEM)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        chosen = next((one for one in frame.stores if one.id == store), None)
        here = seen.at(frame.tz if chosen is None else chosen.tz)
        told = await desk.log_of(
            session,
            who,
            store_id=None if chosen is None else chosen.id,
            campaign_id=None,
            day=here.now.date(),
            cursor=None,
            limit=_LOG,
        )
    now = seen.cloud.clocks.now
    orders = ORDER_READ in who.permissions
    model = DeskPage(
        rows=tuple(
            RedemptionRow(
                one=localised(here, one),
                way=_(_WAYS.get(one.way, one.way)),
                may_undo=one.kind == "redeem"
                and not (one.undone or one.waits)
                and now - one.at <= UNDO_WITHIN,
                order_href=f"/console/orders/{one.order_id}" if orders else "",
            )
            for one in told.items
        ),
        more=told.next_cursor is not None,
        stores=tuple((one.id, one.name) for one in frame.stores),
        store_id="" if chosen is None else chosen.id,
        may_extend=VOUCHER_EXTEND in who.permissions,
        offset=_offset(here),
        today=f"{here.now:%Y-%m-%dT%H:%M}",
    )
    return console_page(here, who, frame, "console/redeem.html", model, here="redeem")


def _offset(here: Visit) -> str:
    zone = f"{here.now:%z}"
    return f"{zone[:3]}:{zone[3:]}"


@router.get("/platform")
async def platform_codes(
    seen: Seen, who: Who, store: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """The desk for codes of other platforms, of one store. Needs voucher.redeem."""
    who.need(VOUCHER_REDEEM)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        chosen = next((one for one in frame.stores if one.id == store), None)
        if chosen is None:
            if store or not frame.stores:
                raise NotFound("store", "没有这家店，或不归你管")
            chosen = frame.stores[0]
        ways = await platform_ways(session, chosen.id)
    here = seen.at(chosen.tz)
    model = code_page(here, chosen, None, tuple(ways), "/console/redeem")
    return console_page(
        here,
        who,
        frame,
        "console/platform_desk.html",
        model,
        here="redeem",
        stores=tuple((one.id, one.name) for one in frame.stores),
    )
