"""Tickets and reviews for customer service."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import ORDER_READ, TICKET_HANDLE
from cloud_api.support import photos, reviews, tickets
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.customer.support import proofs, row
from cloud_api.web.pages import Visit, visit
from cloud_api.web.room_days import rooms_of_all
from cloud_api.web.view_models.support import (
    ReviewRow,
    ReviewsPage,
    Said,
    TicketPage,
    TicketsPage,
)

router = APIRouter(prefix="/console", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("/tickets")
async def all_tickets(
    seen: Seen, who: Who, state: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """What guests ask, the latest first. Needs ticket.handle."""
    who.need(TICKET_HANDLE)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        found = await tickets.listed(session, who, state)
        people = {one.id: one.name for one in await tickets.answerers(session, who)}
    names = {store.id: store.name for store in frame.stores}
    model = TicketsPage(
        tuple(
            replace(
                row(here, one, f"/console/tickets/{one.id}", names.get(one.store_id, "")),
                id=one.id,
                assigned=people.get(one.assigned_to or "", ""),
            )
            for one in found
        ),
        people=(("", _("谁也不派")), *people.items()),
    )
    return console_page(
        here, who, frame, "console/tickets.html", model, here="tickets", state=state
    )


@router.get("/tickets/{ticket_id}")
async def one_ticket(seen: Seen, who: Who, ticket_id: str) -> Response:
    """One question with its answers and the house's notes. Needs ticket.handle and order.read."""
    who.need(TICKET_HANDLE)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        ticket, said = await tickets.read(session, who, ticket_id)
        known = await photos.of(session, (id_ for one in said for id_ in one.photos))
    here = seen.at(frame.tz_of(ticket.store_id))
    model = TicketPage(
        ticket=row(here, ticket, ""),
        id=ticket.id,
        said=tuple(
            Said(
                one.text,
                not one.by.startswith("customer:"),
                here.local(one.at),
                one.inside,
                proofs(one.photos, known),
            )
            for one in said
        ),
        order_href=f"/console/orders/{ticket.order_id}"
        if ticket.order_id and ORDER_READ in who.permissions
        else "",
    )
    return console_page(here, who, frame, "console/ticket.html", model, here="tickets")


@router.get("/reviews")
async def all_reviews(seen: Seen, who: Who) -> Response:
    """What guests say, hidden reviews too. Needs order.read."""
    who.need(ORDER_READ)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        found = await reviews.for_staff(session, who)
        known = await photos.of(session, (id_ for one in found for id_ in one.photos))
        rooms = {one.id: one.name for one in await rooms_of_all(session, who, frame.stores)}
    names = {store.id: store.name for store in frame.stores}
    model = ReviewsPage(
        tuple(
            ReviewRow(
                one.id,
                one.stars,
                one.text,
                rooms.get(one.room_id, ""),
                names.get(one.store_id, ""),
                here.local(one.created_at),
                one.reply,
                one.hidden_why or "",
                f"/console/orders/{one.order_id}",
                proofs(one.photos, known),
            )
            for one in found
        ),
        TICKET_HANDLE in who.permissions,
    )
    return console_page(here, who, frame, "console/reviews.html", model, here="reviews")
