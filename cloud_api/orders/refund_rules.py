"""What the rules propose for a request to get money back, and why: pure.

A proposal is no decision: whoever reviews the request sees it beside the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.kit.money import times, yuan
from cloud_api.orders.models import Order

LEFT_EARLY_S: Final = 600  # less unused time than that is no reason


@dataclass(frozen=True, slots=True)
class Proposal:
    """``amount_fen`` out of ``kept_fen``, and one sentence."""

    amount_fen: int
    kept_fen: int
    text: str


def propose(order: Order, now: datetime) -> Proposal:
    """By what the store reported: never entered, left early, used in full."""
    back = order.refunded_fen + order.refunding_fen + order.waiting_fen
    kept = max(0, order.paid_fen - back)
    if order.status == "cancelled":
        return Proposal(0, kept, _("订单已取消，留下的 {money} 是手续费").format(money=yuan(kept)))
    if order.entered_at is None and now >= order.starts_at:
        return Proposal(kept, kept, later("门店没有看到有人进门"))
    if order.entered_at is None:
        return Proposal(kept, kept, later("还没开始使用"))
    whole = (order.ends_at - order.starts_at).total_seconds()
    left = order.ended_at or (now if order.status == "in_use" else order.ends_at)
    unused = (order.ends_at - max(order.starts_at, left)).total_seconds()
    if unused < LEFT_EARLY_S or whole <= 0:
        return Proposal(0, kept, later("时段已经用完"))
    amount = min(kept, times(order.total_fen, int(unused), int(whole)))
    return Proposal(
        amount, kept, _("还有 {unused} 分钟没用，按时间退").format(unused=int(unused // 60))
    )
