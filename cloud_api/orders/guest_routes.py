"""/console/members: who books here, what is known of them, blocking, coupons, and two that are one."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.coupons import manage
from cloud_api.kit.actor import Staff
from cloud_api.kit.calendar import Instant
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.members import merging, profiles
from cloud_api.members.models import MemberProfile
from cloud_api.orders import guests, limits
from cloud_api.orders.desk_routes import BlockOut
from cloud_api.staff.deps import staff_actor

console = APIRouter(prefix="/console/members", tags=["console: members"])
Who = Annotated[Staff, Depends(staff_actor)]
Id = Annotated[str, Field(max_length=64)]
Text = Annotated[str, Query(max_length=60)]


class MemberOut(BaseModel):
    """A customer of the merchant; the phone by its last four digits. ``spent_fen`` is net of refunds."""

    account_id: str
    phone_tail: str
    name: str
    tags: list[str]
    orders: int
    visits: int
    spent_fen: int
    first_at: AwareDatetime
    last_at: AwareDatetime

    @classmethod
    def of(cls, one: MemberProfile) -> MemberOut:
        """From the row, without the note."""
        told = {name: getattr(one, name) for name in cls.model_fields if name != "name"}
        return cls(**told, name=one.name or "")


class MembersOut(BaseModel):
    """A page of members."""

    items: list[MemberOut]
    next_cursor: str | None


class ProfileIn(BaseModel):
    """What staff know of somebody; only staff read it."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=30)] = ""
    note: Annotated[str, Field(max_length=500)] = ""
    tags: Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=30)] = []


class LevelIn(BaseModel):
    """A level of the merchant's, or null for none."""

    model_config = ConfigDict(extra="forbid")
    level_id: Id | None = None


class BlockMemberIn(BaseModel):
    """Why, and until when (null: until it is lifted)."""

    model_config = ConfigDict(extra="forbid")
    why: Annotated[str, Field(max_length=200)] = ""
    until: Instant | None = None


class CouponIn(BaseModel):
    """Which coupon."""

    model_config = ConfigDict(extra="forbid")
    coupon_id: Id


class GivenOut(BaseModel):
    """Whether one was given; not where they have had theirs."""

    given: int
    had: int


class MergeIn(BaseModel):
    """``into`` stays. ``confirm``: the last four digits of the number that vanishes. It is not undone."""

    model_config = ConfigDict(extra="forbid")
    into: Id
    confirm: Annotated[str, Field(max_length=10)]
    why: Annotated[str, Field(max_length=200)] = ""


class MergedOut(BaseModel):
    """What moved, by what it is (rows; ``balance_fen`` in fen)."""

    account_id: str
    moved: dict[str, int]


@console.get("")
async def members(
    request: Request,
    who: Who,
    q: Text = "",
    tag: Text = "",
    level_id: Text = "",
    blocked: bool = False,
    sort: Literal["last", "spent", "visits", "-last", "-spent", "-visits"] = "-last",
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 30,
) -> MembersOut:
    """Who books at one's stores. Needs customer.read."""
    wanted = guests.Wanted(
        q, tag, level_id, blocked, sort.removeprefix("-"), downwards=sort.startswith("-")
    )
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found, following = await guests.find(
            session, who, wanted, now=cloud.clocks.now, cursor=cursor, limit=limit
        )
    return MembersOut(items=[MemberOut.of(one) for one in found], next_cursor=following)


@console.get("/{account_id}")
async def member(account_id: str, request: Request, who: Who) -> MemberOut:
    """One member. Needs customer.read."""
    async with cloud_of(request).db.read() as session:
        return MemberOut.of(await guests.one(session, who, account_id))


@console.put("/{account_id}/profile")
async def edit(account_id: str, body: ProfileIn, request: Request, who: Who) -> MemberOut:
    """Write what is known of somebody. Needs customer.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await guests.one(session, who, account_id)
        return MemberOut.of(
            await profiles.edit(
                session, who, account_id,
                name=body.name, note=body.note, tags=body.tags, clocks=cloud.clocks,
            )
        )  # fmt: skip


@console.put("/{account_id}/level", status_code=204)
async def level(account_id: str, body: LevelIn, request: Request, who: Who) -> None:
    """Give a level, or none. Needs customer.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await guests.one(session, who, account_id)
        await profiles.set_level(session, who, account_id, body.level_id, cloud.clocks)


@console.post("/{account_id}/block", response_model=BlockOut)
async def block(account_id: str, body: BlockMemberIn, request: Request, who: Who) -> Response:
    """Take no more bookings from somebody. Needs order.cancel."""
    cloud = cloud_of(request)

    async def act() -> BlockOut:
        async with cloud.db.write() as session:
            await guests.one(session, who, account_id)
            return BlockOut.of(
                await limits.block_account(
                    session, who, account_id, body.why, body.until, cloud.clocks
                )
            )

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/{account_id}/coupons", response_model=GivenOut)
async def coupon(account_id: str, body: CouponIn, request: Request, who: Who) -> Response:
    """Give somebody a coupon of the house. Needs coupon.edit."""
    cloud = cloud_of(request)

    async def act() -> GivenOut:
        async with cloud.db.write() as session:
            await guests.one(session, who, account_id)
            found = await manage.one(session, who, body.coupon_id)
            told = await manage.issue(session, who, found, [account_id], "member", cloud.clocks)
            return GivenOut(given=told.given, had=told.had)

    return await once(cloud, who.ref, request, await request.body(), act)


@console.post("/{account_id}/merge", response_model=MergedOut)
async def merge(account_id: str, body: MergeIn, request: Request, who: Who) -> Response:
    """Let everything of this member be of ``into``, for good. Needs customer.merge, freshly proved."""
    cloud = cloud_of(request)

    async def act() -> MergedOut:
        async with cloud.db.write() as session:
            await guests.one(session, who, account_id)
            done = await merging.merge(
                session, who, account_id, body.into,
                confirm=body.confirm, why=body.why, clocks=cloud.clocks,
            )  # fmt: skip
            return MergedOut(account_id=body.into, moved=done.moved)

    return await once(cloud, who.ref, request, await request.body(), act)
