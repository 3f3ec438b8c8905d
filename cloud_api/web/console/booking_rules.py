"""The rules of booking of a store and its rooms: one form, saved through the JSON API."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from cloud_api.claims import rule_service
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import limits
from cloud_api.orders.cancel_rules import in_words
from cloud_api.orders.views import phone_tails
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import ORDER_CANCEL, STORE_EDIT, STORE_READ
from cloud_api.stores.service import rooms_of
from cloud_api.web.console.frame import NoStore, console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.booking_rules import BlockedRow, BookingRulesPage, PlaceTab

router = APIRouter(prefix="/console/booking-rules", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
_PATH = "/console/booking-rules"


@router.get("")
async def booking_rules(
    seen: Seen,
    who: Who,
    store: Annotated[str, Query(max_length=64)] = "",
    room: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """The rules of a store (the first, if none is named) or of one room. Needs store.read."""
    who.need(STORE_READ)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        if not frame.stores:
            raise NoStore
        chosen = next((one for one in frame.stores if one.id == store), None)
        if chosen is None:
            if store:
                raise NotFound("store", "没有这家店，或不归你管")
            chosen = frame.stores[0]
        rooms = await rooms_of(session, who, chosen.id)
        rules, own = await rule_service.read(session, who, chosen.id, room or None)
        tabs = [PlaceTab(_("整店"), f"{_PATH}?store={chosen.id}", not room)]
        for one in rooms:
            _rules, its = await rule_service.read(session, who, chosen.id, one.id)
            note = _("{n} 条不同").format(n=len(its)) if its else ""
            href = f"{_PATH}?store={chosen.id}&room={one.id}"
            tabs.append(PlaceTab(one.name, href, one.id == room, note))
        can_lift = ORDER_CANCEL in who.permissions
        now = seen.cloud.clocks.now
        barred = await limits.blocked(session, who, now) if can_lift else []
        tails = await phone_tails(session, {one.account_id for one in barred})
    here = seen.at(chosen.tz)
    action = f"/api/v1/console/stores/{chosen.id}"
    model = BookingRulesPage(
        store_name=chosen.name,
        room_name=next((one.name for one in rooms if one.id == room), ""),
        action=f"{action}/rooms/{room}/booking-rules" if room else f"{action}/booking-rules",
        rules=rules,
        own=frozenset(own),
        stores=tuple(
            PlaceTab(one.name, f"{_PATH}?store={one.id}", one.id == chosen.id)
            for one in frame.stores
        )
        if len(frame.stores) > 1
        else (),
        rooms=tuple(tabs),
        sentence=_(in_words(rules)),
        can_edit=STORE_EDIT in who.permissions,
        blocked=tuple(
            BlockedRow(
                one.id,
                _("尾号 {tail}").format(tail=tails.get(one.account_id, "")),
                one.why,
                here.local(one.created_at),
                here.local(one.until) if one.until is not None else None,
            )
            for one in barred
        ),
        can_lift=can_lift,
    )
    return console_page(here, who, frame, "console/booking_rules.html", model, here="booking-rules")
