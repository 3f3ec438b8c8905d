"""What cancelling costs: unpaid never anything; paid by the tiers of the room's rules, told first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cloud_api.claims.booking_rules import Rules, Tier, span_words
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders.models import Order


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an order may be cancelled now; if so what comes back, if not why (``cancel.*``)."""

    allowed: bool
    refund_fen: int = 0
    fee_fen: int = 0
    code: str = ""
    message: str = ""


def tier_of(rules: Rules, starts_at: datetime, now: datetime) -> Tier | None:
    """The tier that holds at ``now``; None where it is too late for all of them."""
    left = starts_at - now
    return next((t for t in rules.cancel_tiers if left >= timedelta(minutes=t.minutes)), None)


def fee_of(paid_fen: int, per_cent: int) -> int:
    """The fee in fen, half a fen up."""
    return (paid_fen * per_cent + 50) // 100


def decide(order: Order, rules: Rules, now: datetime) -> Decision:
    """Apply the rules for the customer; ``now`` is business time."""
    if order.status == "pending_payment":
        return Decision(True)
    if order.status == "cancelled":
        return Decision(False, code="cancel.done", message=_("订单已经取消了"))
    if order.status not in {"paid", "ready"} or now >= order.starts_at:
        return Decision(
            False,
            code="cancel.started",
            message=_("时间已经开始，不能取消；要提前走请点「提前结束」，有问题请打给店家"),
        )
    left = left_fen(order)
    tier = tier_of(rules, order.starts_at, now)
    if order.status == "paid":  # the house has not confirmed: nobody owes a fee for waiting
        tier = Tier(minutes=0, per_cent=0)
    if tier is None:
        least = rules.cancel_tiers[-1].minutes if rules.cancel_tiers else None
        message = (
            _("这间订了不能取消；临时有事请打给店家")
            if least is None
            else _("离开始不到 {time}，不能取消；临时有事请打给店家").format(time=span_words(least))
        )
        return Decision(False, code="cancel.too_late", message=message)
    fee = min(left, fee_of(order.total_fen, tier.per_cent))
    return Decision(True, refund_fen=left - fee, fee_fen=fee)


def decide_staff(order: Order) -> Decision:
    """Staff may cancel until somebody is in the room; everything goes back."""
    if order.status == "pending_payment":
        return Decision(True)
    if order.status in {"paid", "ready"}:
        return Decision(True, refund_fen=left_fen(order))
    if order.status == "cancelled":
        return Decision(False, code="cancel.done", message=_("订单已经取消了"))
    return Decision(False, code="cancel.started", message=_("顾客已经使用，不能取消"))


def left_fen(order: Order) -> int:
    """What was paid and is not on its way back."""
    return order.paid_fen - order.refunded_fen - order.refunding_fen


def in_words(rules: Rules) -> str:
    """All tiers as one sentence, before anybody books."""
    parts: list[str] = []
    for tier in rules.cancel_tiers:
        when = (
            _("开始 {time}前").format(time=span_words(tier.minutes))
            if tier.minutes
            else _("开始前")
        )
        cost = (
            _("免费取消")
            if tier.per_cent == 0
            else _("取消收 {per_cent}%").format(per_cent=tier.per_cent)
        )
        parts.append(f"{when}{cost}")
    if not parts:
        return _("付款后不能取消")
    last = rules.cancel_tiers[-1].minutes
    return _("，").join(parts) + (_("，开始后不能取消") if not last else _("，之后不能取消"))
