"""Refunds that did not go through, for staff: what each is for, and the two ways to settle it."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.payments import refund_desk
from cloud_api.payments.ways import label_of
from cloud_api.staff.deps import staff_actor
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.money import StuckRefund, StuckRefundsPage

router = APIRouter(prefix="/console/stuck-refunds", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
_KINDS: Final = {"order": "订单", "groupbuy": "团购", "topup": "充值"}
_STATES: Final = {"failed": "收款方没有退", "abnormal": "卡在收款方"}
_NEXT: Final = {
    "failed": "换一个单号再退一次，或者线下退给顾客",
    "abnormal": "顾客的卡可能停用了，或者收款账户余额不够。补足余额或在收款方后台处理后再试，也可以线下退",
}


@router.get("")
async def stuck(seen: Seen, who: Who) -> Response:
    """What somebody has to see to, the oldest first. Needs order.refund."""
    async with seen.cloud.db.read() as session:
        found = await refund_desk.stuck(session, who)
        frame = await frame_of(session, who)
    limit = who.limits.refund_fen
    model = StuckRefundsPage(tuple(_row(seen, frame, one, limit) for one in found))
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/stuck_refunds.html", model, here="refunds")


def _row(seen: Visit, frame: Frame, one: refund_desk.Stuck, limit: int | None) -> StuckRefund:
    refund, payment = one
    kind, _colon, key = payment.part_of.partition(":")
    return StuckRefund(
        id=refund.id,
        number=refund.number,
        amount_fen=refund.amount_fen,
        what=_(_KINDS.get(kind, "订单")),
        subject=payment.subject,
        href=f"/console/orders/{key}" if kind == "order" else "",
        store_name=next((s.name for s in frame.stores if s.id == refund.store_id), ""),
        provider=_(label_of(payment.provider)),
        state=_(_STATES[refund.state]),
        hint=_(_NEXT[refund.state]),
        detail=refund.last_error or "",
        reason=refund.reason,
        at=seen.at(frame.tz_of(refund.store_id)).local(refund.created_at),
        mine=limit is None or refund.amount_fen <= limit,
    )
