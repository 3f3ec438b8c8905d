"""Reviews and tickets: for customers, for everybody who reads reviews, for customer service."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.staff.deps import staff_actor
from cloud_api.support import reviews, tickets
from cloud_api.support.models import Review, Ticket, TicketMessage

router = APIRouter(tags=["support"])
console = APIRouter(prefix="/console", tags=["console: support"])
Who = Annotated[Customer, Depends(customer)]
StaffWho = Annotated[Staff, Depends(staff_actor)]
Text = Annotated[str, Field(max_length=1000)]


class ReviewIn(BaseModel):
    """How a stay was."""

    model_config = ConfigDict(extra="forbid")
    stars: Annotated[int, Field(ge=1, le=5)]
    text: Text = ""


class ReviewOut(BaseModel):
    """A review as anybody reads it."""

    id: str
    room_id: str
    stars: int
    text: str
    reply: str
    created_at: AwareDatetime

    @classmethod
    def of(cls, one: Review) -> "ReviewOut":
        """From the row, without whose it is."""
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


class ReviewsOut(BaseModel):
    """A page of reviews; ``mean`` of ``count`` in all."""

    mean: float
    count: int
    items: list[ReviewOut]
    next_cursor: str | None


class TextIn(BaseModel):
    """Something said; ``inside``: for staff alone."""

    model_config = ConfigDict(extra="forbid")
    text: Text
    inside: bool = False


class HideIn(BaseModel):
    """Why a review is hidden; nothing shows it again."""

    model_config = ConfigDict(extra="forbid")
    why: Annotated[str, Field(max_length=200)] = ""


class TicketIn(BaseModel):
    """A question or complaint, about an order or a store."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["inquiry", "complaint", "repair", "dispute"] = "inquiry"
    store_id: Annotated[str, Field(max_length=64)] = ""
    order_id: Annotated[str, Field(max_length=64)] | None = None
    text: Text


class MessageOut(BaseModel):
    """One message; ``ours`` by the house."""

    text: str
    ours: bool
    inside: bool
    at: AwareDatetime

    @classmethod
    def of(cls, one: TicketMessage) -> "MessageOut":
        """From the row, without who of the staff it was."""
        ours = not one.by.startswith("customer:")
        return cls(text=one.text, ours=ours, inside=one.inside, at=one.at)


class TicketOut(BaseModel):
    """A ticket."""

    id: str
    store_id: str
    order_id: str | None
    kind: str
    subject: str
    state: str
    last_at: AwareDatetime

    @classmethod
    def of(cls, one: Ticket) -> "TicketOut":
        """From the row."""
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


class TicketsOut(BaseModel):
    """Tickets, the latest first."""

    items: list[TicketOut]


class TicketWholeOut(TicketOut):
    """A ticket with what was said."""

    messages: list[MessageOut]


@router.post("/orders/{order_id}/review", response_model=ReviewOut)
async def write_review(order_id: str, body: ReviewIn, request: Request, who: Who) -> Response:
    """Say how a stay was; once."""
    cloud = cloud_of(request)

    async def act() -> ReviewOut:
        async with cloud.db.write() as session:
            return ReviewOut.of(
                await reviews.write(session, who, order_id, body.stars, body.text, cloud.clocks)
            )

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/stores/{store_id}/reviews")
async def store_reviews(
    store_id: str, request: Request, cursor: Annotated[str | None, Query(max_length=64)] = None
) -> ReviewsOut:
    """What guests say of a store."""
    async with cloud_of(request).db.read() as session:
        found, following = await reviews.shown(session, store_id, cursor)
        mean, count = await reviews.rating(session, store_id)
    items = [ReviewOut.of(one) for one in found]
    return ReviewsOut(mean=mean, count=count, items=items, next_cursor=following)


@router.post("/tickets", response_model=TicketOut)
async def ask(body: TicketIn, request: Request, who: Who) -> Response:
    """Ask, complain, report something broken, or dispute a charge."""
    cloud = cloud_of(request)

    async def act() -> TicketOut:
        async with cloud.db.write() as session:
            return TicketOut.of(
                await tickets.ask(
                    session,
                    who,
                    store_id=body.store_id,
                    order_id=body.order_id,
                    kind=body.kind,
                    text=body.text,
                    clocks=cloud.clocks,
                )
            )

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/me/tickets")
async def my_tickets(request: Request, who: Who) -> TicketsOut:
    """One's tickets."""
    async with cloud_of(request).db.read() as session:
        return TicketsOut(items=[TicketOut.of(t) for t in await tickets.listed(session, who)])


@router.get("/me/tickets/{ticket_id}")
async def my_ticket(ticket_id: str, request: Request, who: Who) -> TicketWholeOut:
    """One ticket with its messages."""
    async with cloud_of(request).db.read() as session:
        return _whole(*await tickets.read(session, who, ticket_id))


@router.post("/me/tickets/{ticket_id}/messages", response_model=TicketOut)
async def say(ticket_id: str, body: TextIn, request: Request, who: Who) -> Response:
    """Say more; opens a closed ticket again."""
    cloud = cloud_of(request)

    async def act() -> TicketOut:
        async with cloud.db.write() as session:
            return TicketOut.of(await tickets.say(session, who, ticket_id, body.text, cloud.clocks))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/me/tickets/{ticket_id}/close")
async def close(ticket_id: str, request: Request, who: Who) -> TicketOut:
    """It is settled."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return TicketOut.of(await tickets.close(session, who, ticket_id, cloud.clocks))


@console.get("/tickets")
async def all_tickets(
    request: Request, who: StaffWho, state: Annotated[str, Query(max_length=20)] = ""
) -> TicketsOut:
    """Tickets of one's stores. Needs ticket.handle."""
    async with cloud_of(request).db.read() as session:
        found = await tickets.listed(session, who, state)
    return TicketsOut(items=[TicketOut.of(one) for one in found])


@console.get("/tickets/{ticket_id}")
async def one_ticket(ticket_id: str, request: Request, who: StaffWho) -> TicketWholeOut:
    """One ticket with its messages, notes too. Needs ticket.handle."""
    async with cloud_of(request).db.read() as session:
        return _whole(*await tickets.read(session, who, ticket_id))


@console.post("/tickets/{ticket_id}/messages", response_model=TicketOut)
async def answer(ticket_id: str, body: TextIn, request: Request, who: StaffWho) -> Response:
    """Answer, or note something for the house. Needs ticket.handle."""
    cloud = cloud_of(request)

    async def act() -> TicketOut:
        async with cloud.db.write() as session:
            return TicketOut.of(
                await tickets.say(
                    session, who, ticket_id, body.text, cloud.clocks, inside=body.inside
                )
            )

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/tickets/{ticket_id}/close")
async def staff_close(ticket_id: str, request: Request, who: StaffWho) -> TicketOut:
    """It is settled. Needs ticket.handle."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return TicketOut.of(await tickets.close(session, who, ticket_id, cloud.clocks))


@console.post("/reviews/{review_id}/reply")
async def reply(review_id: str, body: TextIn, request: Request, who: StaffWho) -> ReviewOut:
    """Answer a review. Needs ticket.handle."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return ReviewOut.of(await reviews.reply(session, who, review_id, body.text, cloud.clocks))


@console.post("/reviews/{review_id}/hide")
async def hide(review_id: str, body: HideIn, request: Request, who: StaffWho) -> ReviewOut:
    """Hide a review for a reason, or show it again. Needs ticket.handle."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return ReviewOut.of(await reviews.hide(session, who, review_id, body.why, cloud.clocks))


def _whole(ticket: Ticket, messages: list[TicketMessage]) -> TicketWholeOut:
    told = TicketOut.of(ticket).model_dump()
    return TicketWholeOut(**told, messages=[MessageOut.of(one) for one in messages])
