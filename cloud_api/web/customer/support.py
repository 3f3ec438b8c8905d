"""Asking customer service, and saying how a stay was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from cloud_api.kit.actor import System
from cloud_api.kit.i18n import gettext as _
from cloud_api.media.models import Media
from cloud_api.orders import service as orders
from cloud_api.stores import service as stores
from cloud_api.support import photos, reviews, tickets
from cloud_api.support.models import Ticket
from cloud_api.support.routes import shown
from cloud_api.web.pages import CUSTOMER_EVENTS, Visit, page, visit
from cloud_api.web.view_models.support import (
    HelpPage,
    Proof,
    ReviewPage,
    Said,
    TicketPage,
    TicketRow,
    TicketsPage,
)

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]


@router.get("/me/tickets")
async def my_tickets(seen: Seen) -> Response:
    """What one asked, and a way to ask."""
    async with seen.cloud.db.read() as session:
        found = await tickets.listed(session, seen.customer)
        every = await stores.list_stores(session, seen.who)
    model = TicketsPage(
        tuple(row(seen, one, f"/me/tickets/{one.id}") for one in found),
        tuple((one.id, one.name) for one in every),
    )
    return page(seen, "customer/tickets.html", model, shell=seen.shell())


@router.get("/me/tickets/{ticket_id}")
async def my_ticket(seen: Seen, ticket_id: str) -> Response:
    """One question and its answers."""
    async with seen.cloud.db.read() as session:
        ticket, said = await tickets.read(session, seen.customer, ticket_id)
        known = await photos.of(session, (one for line in said for one in line.photos))
    model = TicketPage(
        ticket=row(seen, ticket, ""),
        id=ticket.id,
        said=tuple(
            Said(
                one.text,
                one.by.startswith("customer:"),
                seen.local(one.at),
                photos=proofs(one.photos, known),
            )
            for one in said
        ),
        store_id=ticket.store_id,
        order_href=f"/orders/{ticket.order_id}" if ticket.order_id else "",
    )
    return page(seen, "customer/ticket.html", model, shell=seen.shell(events=CUSTOMER_EVENTS))


@router.get("/orders/{order_id}/help")
async def ask(
    seen: Seen, order_id: str, kind: Annotated[str, Query(max_length=20)] = "inquiry"
) -> Response:
    """Ask about an order."""
    async with seen.cloud.db.read() as session:
        order = await orders.get_order(session, seen.customer, order_id)
        store = await stores.get_store(session, System(), order.store_id)
    kinds = tuple((key, _(word)) for key, word in tickets.KINDS.items())
    chosen = kind if kind in tickets.KINDS else "inquiry"
    model = HelpPage(order.id, order.number, store.phone, kinds, chosen)
    return page(seen, "customer/help.html", model, shell=seen.shell())


@router.get("/orders/{order_id}/review")
async def review(seen: Seen, order_id: str) -> Response:
    """Say how a stay was, or see what one said."""
    async with seen.cloud.db.read() as session:
        order = await orders.get_order(session, seen.customer, order_id)
        store = await stores.get_store(session, System(), order.store_id)
        room = await stores.get_room(session, System(), order.room_id)
        mine = await reviews.of_order(session, seen.customer, order_id)
        known = await photos.of(session, mine.photos if mine is not None else ())
    here = seen.at_store(store)
    model = ReviewPage(
        order.id,
        room.name,
        here.local(order.starts_at),
        here.local(order.ends_at),
        stars=mine.stars if mine is not None else 0,
        text=mine.text if mine is not None else "",
        reply=mine.reply if mine is not None else "",
        photos=proofs(mine.photos, known) if mine is not None else (),
    )
    return page(here, "customer/review.html", model, shell=here.shell())


def proofs(ids: Sequence[object], known: Mapping[str, Media]) -> tuple[Proof, ...]:
    """The photos that are still there, in their order."""
    return tuple(Proof(one.src, one.href) for one in shown(ids, known))


def row(seen: Visit, one: Ticket, href: str, store_name: str = "") -> TicketRow:
    """A ticket in a list."""
    return TicketRow(
        href,
        _(tickets.KINDS[one.kind]),
        one.state,
        _(tickets.STATES[one.state]),
        one.subject,
        seen.local(one.last_at),
        store_name,
    )
