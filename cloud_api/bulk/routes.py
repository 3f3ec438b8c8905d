"""/console/bulk: acts on many members, campaigns, tickets; the answer tells of each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.bulk import orders, rooms, service
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import cloud_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.idempotency import once
from cloud_api.members.profiles import LONGEST_TAG
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console/bulk", tags=["console: many at once"])
Who = Annotated[Staff, Depends(staff_actor)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Ids = Annotated[list[Id], Field(min_length=1, max_length=service.MOST)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TAG)]


class MembersIn(BaseModel):
    """``tag`` with ``tag`` and ``untag``; ``level_id`` (null: none) with ``level``; ``coupon_id`` with ``coupon``."""

    model_config = ConfigDict(extra="forbid")
    ids: Ids
    act: Literal["tag", "untag", "level", "coupon"]
    tag: Tag | None = None
    level_id: Id | None = None
    coupon_id: Id | None = None


class CampaignsIn(BaseModel):
    """Pause what is sold, or sell again what was paused."""

    model_config = ConfigDict(extra="forbid")
    ids: Ids
    act: Literal["pause", "resume"]


class TicketsIn(BaseModel):
    """``staff_id`` with ``assign``: who takes them, null for nobody."""

    model_config = ConfigDict(extra="forbid")
    ids: Ids
    act: Literal["assign", "close"]
    staff_id: Id | None = None


class RoomsIn(BaseModel):
    """``why`` with ``out``; ``tag`` with ``tag`` and ``untag``; ``kind`` (empty: none) with ``kind``; ``minutes``
    (null: as the store) with ``buffer``. ``was``: by room another value, as an undo names it.
    """

    model_config = ConfigDict(extra="forbid")
    ids: Ids
    act: Literal["out", "back", "tag", "untag", "kind", "buffer"]
    why: Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)] = ""
    tag: Word | None = None
    kind: Annotated[str, StringConstraints(strip_whitespace=True, max_length=20)] = ""
    minutes: Annotated[int, Field(ge=0, le=240)] | None = None
    was: Annotated[dict[Id, Any], Field(max_length=service.MOST)] = {}


class OrdersIn(BaseModel):
    """``text`` with ``message``; ``why`` with ``cancel``, and ``by_rules`` to keep the fee of the rules."""

    model_config = ConfigDict(extra="forbid")
    ids: Ids
    act: Literal["confirm", "message", "cancel"]
    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)] = ""
    why: Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)] = ""
    by_rules: bool = False


class ForeseenIn(BaseModel):
    """Which orders."""

    model_config = ConfigDict(extra="forbid")
    ids: Ids


class ForeseenOut(BaseModel):
    """What cancelling an order would give back: all, or by the rules; ``code`` where it cannot be cancelled."""

    id: str
    number: str
    status: str
    paid_fen: int
    back_fen: int
    rule_back_fen: int
    rule_fee_fen: int
    code: str
    message: str
    rule_message: str


class ForeseenList(BaseModel):
    """Every order, in the order asked for."""

    items: list[ForeseenOut]


class OutcomeOut(BaseModel):
    """done; same: it was so already; refused, with its code and sentence."""

    id: str
    state: service.State
    code: str
    message: str


class BulkOut(BaseModel):
    """Every row's outcome, one sentence about all, and the body that undoes what was changed."""

    items: list[OutcomeOut]
    message: str
    undo: dict[str, Any] | None

    @classmethod
    def of(cls, told: service.Told) -> BulkOut:
        """From the service."""
        items = [OutcomeOut.model_validate(one, from_attributes=True) for one in told.items]
        return cls(items=items, message=told.message, undo=told.undo)


@router.post("/members", response_model=BulkOut)
async def members(body: MembersIn, request: Request, who: Who) -> Response:
    """Tag members, give them a level or a coupon. Needs customer.edit, or coupon.edit."""
    cloud = cloud_of(request)

    async def act() -> BulkOut:
        if body.act in ("tag", "untag"):
            if body.tag is None:
                raise _missing("tag", _("写一个标签"))
            told = await service.tag(cloud, who, body.ids, body.tag, put=body.act == "tag")
        elif body.act == "level":
            told = await service.level(cloud, who, body.ids, body.level_id)
        else:
            if body.coupon_id is None:
                raise _missing("coupon_id", _("选一种券"))
            told = await service.coupon(cloud, who, body.ids, body.coupon_id)
        return BulkOut.of(told)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/campaigns", response_model=BulkOut)
async def campaigns(body: CampaignsIn, request: Request, who: Who) -> Response:
    """Pause or resume campaigns. Needs campaign.edit."""
    cloud = cloud_of(request)

    async def act() -> BulkOut:
        to = "paused" if body.act == "pause" else "published"
        return BulkOut.of(await service.turn_campaigns(cloud, who, body.ids, to))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/tickets", response_model=BulkOut)
async def tickets(body: TicketsIn, request: Request, who: Who) -> Response:
    """Give tickets to somebody, or settle them. Needs ticket.handle."""
    cloud = cloud_of(request)

    async def act() -> BulkOut:
        if body.act == "assign":
            return BulkOut.of(await service.assign(cloud, who, body.ids, body.staff_id))
        return BulkOut.of(await service.close_tickets(cloud, who, body.ids))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/rooms", response_model=BulkOut)
async def many_rooms(body: RoomsIn, request: Request, who: Who) -> Response:
    """Rooms out of service and back (room.mode), tags, kind, cleaning between stays (store.edit)."""
    cloud = cloud_of(request)

    async def act() -> BulkOut:
        if body.act == "out":
            return BulkOut.of(
                await rooms.out(cloud, who, body.ids, body.why, _texts(body.was, 200))
            )
        if body.act == "back":
            return BulkOut.of(await rooms.back(cloud, who, body.ids))
        if body.act == "kind":
            return BulkOut.of(
                await rooms.kind(cloud, who, body.ids, body.kind, _texts(body.was, 20))
            )
        if body.act == "buffer":
            told = await rooms.buffer(cloud, who, body.ids, body.minutes, _minutes(body.was))
            return BulkOut.of(told)
        if body.tag is None:
            raise _missing("tag", _("写一个标签"))
        put = body.act == "tag"
        return BulkOut.of(await rooms.tag(cloud, who, body.ids, body.tag, put=put))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/orders", response_model=BulkOut)
async def many_orders(body: OrdersIn, request: Request, who: Who) -> Response:
    """Confirm orders (order.create), write to their guests (ticket.handle), cancel them (order.cancel)."""
    cloud = cloud_of(request)

    async def act() -> BulkOut:
        if body.act == "confirm":
            return BulkOut.of(await orders.say_yes(cloud, who, body.ids))
        if body.act == "message":
            if len(body.text) < 2:
                raise _missing("text", _("写一句要告诉客人的话"))
            return BulkOut.of(await orders.message(cloud, who, body.ids, body.text))
        if len(body.why) < 2:
            raise _missing("why", _("写一句为什么，之后查记录用得上"))
        told = await orders.cancel(cloud, who, body.ids, body.why, by_rules=body.by_rules)
        return BulkOut.of(told)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/orders/foresee")
async def foresee(body: ForeseenIn, request: Request, who: Who) -> ForeseenList:
    """What cancelling these orders would give back; changes nothing. Needs order.cancel."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        seen = await orders.foresee(session, who, body.ids, cloud.clocks)
    return ForeseenList(
        items=[
            ForeseenOut(
                id=one.order.id, number=one.order.number, status=one.order.status,
                paid_fen=one.order.paid_fen, back_fen=one.back_fen,
                rule_back_fen=one.rule_back_fen, rule_fee_fen=one.rule_fee_fen,
                code=one.code, message=one.message, rule_message=one.rule_message,
            )
            for one in seen
        ]
    )  # fmt: skip


def _texts(was: dict[str, Any], most: int) -> dict[str, str]:
    if not all(isinstance(one, str) and len(one) <= most for one in was.values()):
        raise _missing("was", _("这一项填得不对"))
    return was


def _minutes(was: dict[str, Any]) -> dict[str, int | None]:
    good = all(one is None or (type(one) is int and 0 <= one <= 240) for one in was.values())
    if not good:
        raise _missing("was", _("这一项填得不对"))
    return was


def _missing(field: str, message: str) -> KaimenError:
    return KaimenError("bulk.missing", message, status=422, field=field)
