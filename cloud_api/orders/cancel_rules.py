"""The one rule of cancelling: unpaid at any time; paid for free until two hours before the start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cloud_api.orders.models import Order

FREE_UNTIL: Final = timedelta(hours=2)  # before the start
RULE: Final = "开始前 2 小时以上可免费取消，全额退款；2 小时内不能取消"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an order may be cancelled now; if so what comes back, if not why (``cancel.*``)."""

    allowed: bool
    refund_fen: int = 0
    fee_fen: int = 0
    code: str = ""
    message: str = ""


def decide(order: Order, now: datetime) -> Decision:
    """Apply the rule for the customer; ``now`` is business time."""
    if order.status == "pending_payment":
        return Decision(True)
    if order.status == "cancelled":
        return Decision(False, code="cancel.done", message="订单已经取消了")
    if order.status not in {"paid", "ready"} or now >= order.starts_at:
        return Decision(
            False,
            code="cancel.started",
            message="时间已经开始，不能取消；要提前走请点「提前结束」，有问题请打给店家",
        )
    if order.starts_at - now < FREE_UNTIL:
        return Decision(
            False,
            code="cancel.too_late",
            message="离开始不到 2 小时，不能取消；临时有事请打给店家",
        )
    return Decision(True, refund_fen=order.paid_fen - order.refunded_fen - order.refunding_fen)


def decide_staff(order: Order) -> Decision:
    """Staff may cancel until somebody is in the room; everything goes back."""
    if order.status == "pending_payment":
        return Decision(True)
    if order.status in {"paid", "ready"}:
        back = order.paid_fen - order.refunded_fen - order.refunding_fen
        return Decision(True, refund_fen=back)
    if order.status == "cancelled":
        return Decision(False, code="cancel.done", message="订单已经取消了")
    return Decision(False, code="cancel.started", message="顾客已经使用，不能取消")
