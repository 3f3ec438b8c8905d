"""The words of orders that people read, derived from status and money; nowhere stored."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from cloud_api.kit.dates import said
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders.models import Order, OrderEvent
from cloud_api.orders.money import HOLD_EXPIRED
from cloud_api.stores.models import Store


class Word(StrEnum):
    """What an order is to a person; one word at a time."""

    UNPAID = "unpaid"  # 待支付
    PAID = "paid"  # 已支付
    READY = "ready"  # 待使用
    IN_USE = "in_use"  # 使用中
    DONE = "done"  # 已完成
    CANCELLED = "cancelled"  # 已取消
    REFUNDING = "refunding"  # 退款中
    REFUNDED = "refunded"  # 已退款


TEXT: Final[dict[Word, str]] = {
    Word.UNPAID: "待支付",
    Word.PAID: "已支付",
    Word.READY: "待使用",
    Word.IN_USE: "使用中",
    Word.DONE: "已完成",
    Word.CANCELLED: "已取消",
    Word.REFUNDING: "退款中",
    Word.REFUNDED: "已退款",
}
_BY_STATUS: Final = {
    "pending_payment": Word.UNPAID,
    "paid": Word.PAID,
    "ready": Word.READY,
    "in_use": Word.IN_USE,
    "completed": Word.DONE,
}


def word(order: Order) -> Word:
    """The one word for an order."""
    if order.status != "cancelled":
        return _BY_STATUS[order.status]
    if order.refunding_fen > 0 or order.waiting_fen > 0:
        return Word.REFUNDING
    if order.paid_fen > 0 and order.refunded_fen >= order.paid_fen:
        return Word.REFUNDED
    return Word.CANCELLED


def words(order: Order) -> str:
    """The word in the reader's language."""
    return _(TEXT[word(order)])


def refund_words(order: Order) -> str | None:
    """What to say of money that goes back, or None if there is none worth a word.

    Money that was paid twice and is back again is no partial refund of the order.
    """
    if order.waiting_fen > 0:
        return _("%s 等门店确认没有使用后退") % yuan(order.waiting_fen)
    if order.refunding_fen > 0:
        return _("%s 退款中") % yuan(order.refunding_fen)
    kept = order.paid_fen - order.refunded_fen
    if order.refunded_fen == 0 or (order.status != "cancelled" and kept >= order.total_fen):
        return None
    if kept <= 0:
        return _("已退款 %s") % yuan(order.refunded_fen)
    return _("部分退款 %s") % yuan(order.refunded_fen)


def next_step(
    order: Order, store: Store, now: datetime, opens: datetime | None = None
) -> tuple[str, str]:
    """The one thing to do next: (action, label). Actions: pay, wait, open, stay, again.

    ``opens``: from when the door opens for it, where that is known better than from the lead time.
    """
    if order.status == "pending_payment":
        return "pay", _("去支付")
    if order.status in {"paid", "ready"}:
        opens = opens or order.starts_at - timedelta(seconds=store.lead_s)
        if now < opens:
            zone = ZoneInfo(store.tz)
            return "wait", _("%s 起可以开门") % said(opens.astimezone(zone), now.astimezone(zone))
        return "open", _("去开门")
    if order.status == "in_use":
        return "stay", _("查看使用")
    return "again", _("再订一次")


_CANCELLED: Final = {
    HOLD_EXPIRED: "超时未支付，订单已取消",
    "customer": "你取消了订单",
    "staff": "店家取消了订单",
    "no_show": "没有到店，房间已放掉",
    "not_confirmed": "店家没有及时确认，全额退款",
}
_STATUS_TEXT: Final = {
    "paid": "支付成功",
    "ready": "房间已确认，等你来",
    "in_use": "开始使用",
    "completed": "使用结束",
}
_KIND_TEXT: Final = {
    "placed": "提交订单，房间已为你保留",
    "payment_opened": "打开收银台",
    "refund_asked": "退款 %s 已提交",
    "refund_succeeded": "退款 %s 已到账",
    "refund_failed": "退款 %s 没有成功，店家会处理",
    "refund_retry": "退款 %s 已换新单号重新提交",
    "refund_by_hand": "退款 %s 已由店家线下退还",
    "refund_abnormal": "退款 %s 遇到问题，店家正在处理",
    "refund_requested": "申请退款 %s，等店家处理",
    "refund_withdrawn": "撤回了退款申请",
    "refund_declined": "退款申请 %s 没有同意",
    "deposit_held": "押金 %s 已收，结束后退",
    "deposit_claimed": "店家要扣押金 %s，24 小时内可以提出异议",
    "deposit_disputed": "对扣押金 %s 提出异议",
    "deposit_kept": "押金扣了 %s",
    "deposit_dropped": "押金 %s 不扣了",
    "overtime_from_deposit": "超时费 %s 从押金里扣",
    "overtime_from_balance": "超时费 %s 从余额里扣",
    "cash_taken": "在店里付了现金 %s",
    "money_back_late": "付款到账时订单已不在，%s 原路退回",
    "overtime_due": "超时费 %s 待支付",
    "overtime_paid": "超时费 %s 已付",
    "overtime_waived": "店家免收超时费 %s",
    "overtime_money_back": "多付的超时费 %s 原路退回",
    "money_back_dup": "重复支付的 %s 原路退回",
    "move_held": "改订单，等付差价 %s，原来的时间还留着",
    "move_applied": "改了订单，等门店收到",
    "move_lapsed": "没付差价，订单没有改",
    "moved": "门店已收到改动",
    "extension_held": "续时，等付 %s",
    "extension_applied": "续时已付，等门店收到",
    "extension_lapsed": "没付续时费，没有续",
    "extended": "门店已续时",
    "extension_unused": "续时没有送到门店，退回 %s",
    "money_back_change": "改订单没有成，%s 原路退回",
    "no_show": "没有到店，房间已放掉",
    "cancel_fee": "取消手续费 %s",
    "shared": "邀请了牌友",
    "friend_joined": "一位牌友加入",
    "share_revoked": "收回了邀请",
    "waitlist_taken": "候补排到",
    "finish_asked": "申请提前结束",
    "stay_grace": "时间到，宽限中",
    "stay_overtime": "已超时",
    "refund_waits": "退款 %s 等门店确认没有使用后退",
    "refund_kept": "取消后仍进门使用，%s 不退",
    "voucher_waits": "券等门店确认没有使用后还给你",
    "deposit_waits": "押金等门店确认没有使用后退",
    "voucher_kept": "取消后仍进门使用，券算用过",
    "used_after_cancel": "取消后仍有人进入，请店家核实",
}


def event_text(event: OrderEvent) -> str | None:
    """One line of an order's history for people; None for what only machines care about."""
    if event.kind == "status":
        if event.now == "cancelled":
            return _(_CANCELLED.get(_why(event), _("订单已取消")))
        if event.why == "late_payment" and event.now == "paid":
            return _("付款晚到，房间还在，已为你恢复")
        if event.was == "cancelled" and event.now == "in_use":
            return _("门店听到取消以前人已进房，订单照用")
        return _(_STATUS_TEXT[event.now]) if event.now in _STATUS_TEXT else None
    text = _KIND_TEXT.get(event.kind)
    if text is None:
        return None
    return _(text) % yuan(event.body["amount_fen"]) if "%s" in text else _(text)


def _why(event: OrderEvent) -> str:
    if event.by.startswith("staff:"):
        return "staff"
    return event.why
