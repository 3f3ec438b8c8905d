"""Members: the list that finds any of them, one with everything, and two that are one person."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.coupons import manage
from cloud_api.coupons.models import Coupon
from cloud_api.coupons.service import mine
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.members import merging, profiles
from cloud_api.members.levels import levels
from cloud_api.members.models import MemberProfile
from cloud_api.orders import guests, views
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import (
    COUPON_EDIT,
    CUSTOMER_EDIT,
    CUSTOMER_MERGE,
    CUSTOMER_READ,
    ORDER_CANCEL,
    ORDER_READ,
)
from cloud_api.stored_value import office
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.console.listing import asked
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models import Choice, Column, Empty, Filter, Listing, OrderWord
from cloud_api.web.view_models.members import (
    MemberCoupon,
    MemberOrder,
    MemberPage,
    MemberRow,
    MembersPage,
)

router = APIRouter(prefix="/console/members", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
PATH = "/console/members"


@router.get("")
async def all_members(request: Request, seen: Seen, who: Who) -> Response:
    """Who books here; filters, order and page are in the URL. Needs customer.read."""
    who.need(CUSTOMER_READ)
    wish = asked(request, names=("q", "tag", "level", "state"), sorts=guests.SORTS, path=PATH)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        ranks = {one.id: one.name for one in await levels(session, who)}
        wanted = guests.Wanted(
            text=wish.get("q"),
            tag=wish.get("tag"),
            level_id=wish.get("level") if wish.get("level") in ranks else "",
            blocked=wish.get("state") == "blocked",
            sort=wish.key,
            downwards=wish.downwards,
        )
        now = seen.cloud.clocks.now
        found, following = await guests.find(
            session, who, wanted, now=now, cursor=wish.cursor or None
        )
        ids = [one.account_id for one in found]
        level = await guests.levels_of(session, who, ids)
        barred = await guests.blocks_of(session, who, ids, now)
        tags = await profiles.all_tags(session, who)
        given: list[Coupon] = []
        if COUPON_EDIT in who.permissions:
            given, _more = await manage.listed(session, who, "", 50)
    every = (Choice("", _("全部标签")), *(Choice(tag, tag) for tag in tags))
    grades = (Choice("", _("全部等级")), *(Choice(key, name) for key, name in ranks.items()))
    states = (Choice("", _("全部")), Choice("blocked", _("黑名单")))
    listing: Listing[MemberRow] = Listing(
        path=PATH,
        caption=_("会员"),
        columns=(
            Column(_("会员")),
            Column(_("标签")),
            Column(_("最近一次"), sort="last"),
            Column(_("来过"), sort="visits", number=True),
            Column(_("花了"), sort="spent", number=True),
        ),
        rows=(),
        filters=(
            Filter("state", "chips", _("状态"), wish.get("state"), states),
            Filter("tag", "select", _("标签"), wish.get("tag"), every),
            Filter("level", "select", _("等级"), wanted.level_id, grades),
            Filter("q", "search", _("手机号、尾号或订单号"), wish.get("q")),
        ),
        query=wish.query,
        sort=wish.sort,
        cursor=wish.cursor,
        next_cursor=following or "",
        empty=Empty(_("顾客下过单，就会出现在这里")),
    )
    rows = tuple(
        MemberRow(
            account_id=one.account_id,
            href=f"{PATH}/{one.account_id}",
            who=who_is(one),
            tags=tuple(str(tag) for tag in one.tags),
            level=ranks.get(level.get(one.account_id, ""), ""),
            blocked=one.account_id in barred,
            visits=one.visits,
            orders=one.orders,
            spent_fen=one.spent_fen,
            last_at=here.local(one.last_at),
        )
        for one in found
    )
    model = MembersPage(
        replace(listing, rows=rows),
        CUSTOMER_EDIT in who.permissions,
        (("", _("没有等级")), *ranks.items()),
        tuple((one.id, one.name) for one in given if one.stopped_at is None),
    )
    return console_page(here, who, frame, "console/members.html", model, here="members")


@router.get("/{account_id}")
async def one_member(
    seen: Seen,
    who: Who,
    account_id: str,
    find: Annotated[str, Query(max_length=60)] = "",
    into: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """One member with everything. ``find`` and ``into`` lead to merging. Needs customer.read."""
    who.need(CUSTOMER_READ)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        profile = await guests.one(session, who, account_id)
        model = await _page(session, here, who, frame, profile)
        if model.can_merge and find:
            others, _more = await guests.find(
                session, who, guests.Wanted(text=find), now=seen.cloud.clocks.now, cursor=None
            )
            shown = tuple(
                (one.account_id, who_is(one)) for one in others if one.account_id != account_id
            )
            model = replace(model, find=find, others=shown)
        if model.can_merge and into:
            model = await _merge(session, who, model, into, seen)
    return console_page(here, who, frame, "console/member.html", model, here="members")


def who_is(one: MemberProfile) -> str:
    """``老王 · 尾号 4821``."""
    tail = _("尾号 {tail}").format(tail=one.phone_tail) if one.phone_tail else _("已注销")
    return f"{one.name} · {tail}" if one.name else tail


async def _merge(
    session: AsyncSession, who: Staff, model: MemberPage, into: str, seen: Visit
) -> MemberPage:
    blockers = await merging.look(session, who, model.account_id, into, seen.cloud.clocks)
    kept = await guests.one(session, who, into)
    moves = [_("全部订单和付款")]
    if model.balance_fen:
        moves.append(_("余额 {m}").format(m=yuan(model.balance_fen)))
    unused = sum(one.state == "unused" for one in model.coupons)
    if unused:
        moves.append(_("{n} 张没用的优惠券").format(n=unused))
    moves.append(_("团购券、工单和评价"))
    moves.append(_("标签和备注"))
    return replace(
        model,
        into=into,
        into_who=who_is(kept),
        hindrances=tuple(one.message for one in blockers),
        moves=tuple(moves),
    )


async def _page(
    session: AsyncSession, seen: Visit, who: Staff, frame: Frame, one: MemberProfile
) -> MemberPage:
    account_id = one.account_id
    orders = []
    if ORDER_READ in who.permissions:
        found = await guests.orders_of(session, who, account_id)
        for told in await views.for_staff(session, found, seen.cloud.clocks):
            zone = seen.at(told.store.tz)
            orders.append(
                MemberOrder(
                    f"/console/orders/{told.id}", told.number, OrderWord(told.word.value),
                    told.room.name, told.store.name, zone.local(told.starts_at),
                    zone.local(told.ends_at), told.total_fen,
                )
            )  # fmt: skip
    now = seen.cloud.clocks.now
    coupons = tuple(
        MemberCoupon(
            coupon.name,
            "expired"
            if grant.state == "unused" and grant.expires_at is not None and grant.expires_at <= now
            else grant.state,
            None if grant.expires_at is None else seen.local(grant.expires_at),
        )
        for grant, coupon in await mine(session, Customer(account_id))
        if grant.merchant_id == who.merchant_id
    )
    balance = await office.show(session, who, who.merchant_id, account_id)
    ranks = await levels(session, who)
    level = (await guests.levels_of(session, who, [account_id])).get(account_id, "")
    barred = (await guests.blocks_of(session, who, [account_id], now)).get(account_id)
    give: tuple[tuple[str, str], ...] = ()
    if COUPON_EDIT in who.permissions:
        kinds, _more = await manage.listed(session, who, "", 50)
        give = tuple((kind.id, kind.name) for kind in kinds if kind.stopped_at is None)
    return MemberPage(
        account_id=account_id,
        who=who_is(one),
        name=one.name or "",
        note=one.note or "",
        tags=tuple(str(tag) for tag in one.tags),
        all_tags=tuple(await profiles.all_tags(session, who)),
        level_id=level,
        levels=tuple((rank.id, rank.name) for rank in ranks),
        figures=(
            (_("来过"), _("{n} 次").format(n=one.visits)),
            (_("花了"), yuan(one.spent_fen)),
            (_("每次"), yuan(one.spent_fen // one.visits) if one.visits else "–"),
            (_("第一次"), f"{seen.local(one.first_at):%Y-%m-%d}"),
        ),
        balance_fen=balance.total_fen,
        balance_href=f"{PATH}/{account_id}/balance",
        coupons=coupons,
        give=give,
        orders=tuple(orders),
        orders_href=f"/console/orders?member={one.account_id}",
        blocked_id="" if barred is None else barred.id,
        blocked_why="" if barred is None else barred.why,
        blocked_until=None if barred is None or barred.until is None else seen.local(barred.until),
        merged_from=tuple(await merging.merged_from(session, who.merchant_id, account_id)),
        can_edit=CUSTOMER_EDIT in who.permissions,
        can_block=ORDER_CANCEL in who.permissions,
        can_merge=CUSTOMER_MERGE in who.permissions and who.store_ids is None,
    )
