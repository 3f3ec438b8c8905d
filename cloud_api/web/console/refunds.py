"""Refund requests for staff: the queue by age, and one with its evidence and the rule's proposal."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Staff
from cloud_api.kit.dates import day_time
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders import refund_requests, refund_rules
from cloud_api.orders.models import Order, RefundRequest
from cloud_api.orders.money_schemas import StaffRefundRequestOut
from cloud_api.orders.views import phone_tails
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import ORDER_REFUND
from cloud_api.stores.models import Room
from cloud_api.web import words
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.money import RefundCase, RefundsPage

router = APIRouter(prefix="/console/refunds", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("")
async def queue(seen: Seen, who: Who, decided: bool = False) -> Response:
    """What waits, the oldest first; or what was decided. Needs order.refund."""
    return await _page(seen, who, decided=decided)


@router.get("/{request_id}")
async def one(seen: Seen, who: Who, request_id: str) -> Response:
    """The queue with one request open. Needs order.refund."""
    return await _page(seen, who, request_id)


async def _page(
    seen: Visit, who: Staff, request_id: str = "", *, decided: bool = False
) -> Response:
    who.need(ORDER_REFUND)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        opened: RefundRequest | None = None
        if request_id:
            opened = await refund_requests.get(session, who, request_id)
            decided = opened.state != "open"
        found = await refund_requests.queue(session, who, decided=decided)
        if opened is None and found and not decided:
            opened = found[0]
        cases = [await _case(session, seen, frame, one) for one in found]
        shown = None if opened is None else await _case(session, seen, frame, opened)
    limit = who.limits.refund_fen
    model = RefundsPage(
        cases=tuple(cases),
        opened=shown,
        decided=decided,
        limit=_("你的岗位不限退款金额")
        if limit is None
        else _("你的岗位不能直接退款，写好意见交给店长")
        if limit == 0
        else _("你的岗位最多退 {x}，超过的交给店长").format(x=yuan(limit)),
        over_limit=shown is not None and limit is not None and shown.asked_fen > limit,
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/refunds.html", model, here="refunds")


async def _case(
    session: AsyncSession, seen: Visit, frame: Frame, found: RefundRequest
) -> RefundCase:
    order = await session.get_one(Order, found.order_id)
    room = await session.get_one(Room, order.room_id)
    tails = await phone_tails(session, {order.account_id})
    here = seen.at(frame.tz_of(order.store_id))
    told = StaffRefundRequestOut.of(found)
    waited = int((seen.cloud.clocks.now - found.created_at).total_seconds() // 60)
    proposal = refund_rules.propose(order, seen.cloud.clocks.now)
    return RefundCase(
        id=found.id,
        href=f"/console/refunds/{found.id}",
        order_number=order.number,
        order_href=f"/console/orders/{order.id}",
        room_name=room.name,
        store_name=next((s.name for s in frame.stores if s.id == order.store_id), ""),
        who=_("尾号 {tail}").format(tail=tails.get(order.account_id, "")),
        asked_at=here.local(found.created_at),
        waits=_("等了 {span}").format(span=words.hours(max(1, waited))),
        why=found.why,
        asked_fen=found.asked_fen,
        proposal_fen=min(proposal.amount_fen, found.asked_fen),
        proposal_text=_(proposal.text) if found.state == "open" else _(found.proposal_text),
        kept_fen=proposal.kept_fen,
        state=found.state,
        word=told.word,
        passed_up=told.passed_up,
        answer=found.decided_why,
        approved_fen=found.approved_fen,
        facts=_facts(here, order),
    )


def _facts(here: Visit, order: Order) -> tuple[tuple[str, str], ...]:
    """What the store saw, in words."""

    def at(moment: datetime) -> str:
        return day_time(here.local(moment))

    facts = [
        (_("订的时间"), f"{at(order.starts_at)} – {here.local(order.ends_at):%H:%M}"),
        (_("进门"), _("没有看到进门") if order.entered_at is None else at(order.entered_at)),
    ]
    if order.ended_at is not None:
        facts.append((_("离开"), at(order.ended_at)))
    if order.power_on_s is not None:
        facts.append((_("通电"), words.hours(max(1, order.power_on_s // 60))))
    facts.append((_("付了"), yuan(order.paid_fen)))
    if order.refunded_fen or order.refunding_fen:
        facts.append((_("已退"), yuan(order.refunded_fen + order.refunding_fen)))
    return tuple(facts)
