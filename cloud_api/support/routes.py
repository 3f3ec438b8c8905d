"""Reviews and tickets: for customers, for everybody who reads reviews, for customer service."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.kit.throttle import hit
from cloud_api.media import service as media
from cloud_api.media.models import Media
from cloud_api.orders.service import get_order
from cloud_api.staff.deps import staff_actor
from cloud_api.stores.service import get_store
from cloud_api.support import photos, reviews, tickets
from cloud_api.support.models import Review, Ticket, TicketMessage

router = APIRouter(tags=["support"])
console = APIRouter(prefix="/console", tags=["console: support"])
Who = Annotated[Customer, Depends(customer)]
StaffWho = Annotated[Staff, Depends(staff_actor)]
Text = Annotated[str, Field(max_length=1000)]
Shots = Annotated[
    list[Annotated[str, Field(max_length=64)]],
    Field(max_length=photos.MOST, description="ids of photos that were sent to /me/photos"),
]


class PhotoOut(BaseModel):
    """A photo: ``src`` is small, ``href`` the largest."""

    id: str
    src: str
    href: str

    @classmethod
    def of(cls, one: Media) -> "PhotoOut":
        """From the row."""
        return cls(
            id=one.id,
            src=f"/media/{one.id}/{min(one.sizes)}.webp",
            href=f"/media/{one.id}/{max(one.sizes)}.jpg",
        )


def shown(ids: Sequence[object], known: Mapping[str, Media]) -> list[PhotoOut]:
    """Those that are still there, in their order."""
    return [PhotoOut.of(known[str(one)]) for one in ids if str(one) in known]


class ReviewIn(BaseModel):
    """How a stay was."""

    model_config = ConfigDict(extra="forbid")
    stars: Annotated[int, Field(ge=1, le=5)]
    text: Text = ""
    photos: Shots = []


class ReviewOut(BaseModel):
    """A review as anybody reads it."""

    id: str
    room_id: str
    stars: int
    text: str
    reply: str
    created_at: AwareDatetime
    photos: list[PhotoOut]

    @classmethod
    def of(cls, one: Review, known: Mapping[str, Media]) -> "ReviewOut":
        """From the row, without whose it is."""
        told = {name: getattr(one, name) for name in cls.model_fields if name != "photos"}
        return cls(**told, photos=shown(one.photos, known))


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


class SayIn(BaseModel):
    """Something a guest says."""

    model_config = ConfigDict(extra="forbid")
    text: Text
    photos: Shots = []


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
    photos: Shots = []


class MessageOut(BaseModel):
    """One message; ``ours`` by the house."""

    text: str
    ours: bool
    inside: bool
    at: AwareDatetime
    photos: list[PhotoOut]

    @classmethod
    def of(cls, one: TicketMessage, known: Mapping[str, Media]) -> "MessageOut":
        """From the row, without who of the staff it was."""
        ours = not one.by.startswith("customer:")
        said = shown(one.photos, known)
        return cls(text=one.text, ours=ours, inside=one.inside, at=one.at, photos=said)


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
            made = await reviews.write(
                session, who, order_id, body.stars, body.text, cloud.clocks, body.photos
            )
            return ReviewOut.of(made, await photos.of(session, made.photos))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/stores/{store_id}/reviews")
async def store_reviews(
    store_id: str, request: Request, cursor: Annotated[str | None, Query(max_length=64)] = None
) -> ReviewsOut:
    """What guests say of a store."""
    async with cloud_of(request).db.read() as session:
        found, following = await reviews.shown(session, store_id, cursor)
        mean, count = await reviews.rating(session, store_id)
        known = await photos.of(session, (id_ for one in found for id_ in one.photos))
    items = [ReviewOut.of(one, known) for one in found]
    return ReviewsOut(mean=mean, count=count, items=items, next_cursor=following)


@router.post("/me/photos", status_code=201)
async def send_photo(
    request: Request,
    who: Who,
    store_id: Annotated[str, Query(max_length=64)] = "",
    order_id: Annotated[str, Query(max_length=64)] = "",
) -> PhotoOut:
    """Send a photo for a review or a question about an order or a store: the file as the body (JPEG, PNG,
    WebP). Name its id there within a day.
    """
    cloud = cloud_of(request)
    limit = media.limit_bytes(cloud.settings, media.PHOTO)
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limit:
        raise media.too_large(limit)
    async with cloud.db.write() as session:
        if order_id:
            store_id = (await get_order(session, who, order_id)).store_id
        store = await get_store(session, who, store_id)
        await hit(session, f"upload:{who.account_id}", *photos.UPLOADS, cloud.clocks.real)
    async with media.arriving(request.stream(), cloud.settings, media.PHOTO) as path:
        prepared = await asyncio.to_thread(media.prepare, path, media.PHOTO, cloud.settings)
    async with cloud.db.write() as session:
        return PhotoOut.of(await photos.keep(session, who, store, prepared, cloud.clocks))


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
                    shots=body.photos,
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
        return await _whole(session, *await tickets.read(session, who, ticket_id))


@router.post("/me/tickets/{ticket_id}/messages", response_model=TicketOut)
async def say(ticket_id: str, body: SayIn, request: Request, who: Who) -> Response:
    """Say more; opens a closed ticket again."""
    cloud = cloud_of(request)

    async def act() -> TicketOut:
        async with cloud.db.write() as session:
            return TicketOut.of(
                await tickets.say(
                    session, who, ticket_id, body.text, cloud.clocks, shots=body.photos
                )
            )

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
        return await _whole(session, *await tickets.read(session, who, ticket_id))


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
        one = await reviews.reply(session, who, review_id, body.text, cloud.clocks)
        return ReviewOut.of(one, await photos.of(session, one.photos))


@console.post("/reviews/{review_id}/hide")
async def hide(review_id: str, body: HideIn, request: Request, who: StaffWho) -> ReviewOut:
    """Hide a review for a reason, or show it again. Needs ticket.handle."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        one = await reviews.hide(session, who, review_id, body.why, cloud.clocks)
        return ReviewOut.of(one, await photos.of(session, one.photos))


async def _whole(
    session: AsyncSession, ticket: Ticket, messages: list[TicketMessage]
) -> TicketWholeOut:
    known = await photos.of(session, (id_ for one in messages for id_ in one.photos))
    told = TicketOut.of(ticket).model_dump()
    return TicketWholeOut(**told, messages=[MessageOut.of(one, known) for one in messages])
