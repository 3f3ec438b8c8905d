"""What Alipay says of payments and refunds, in our words: answers and notifications alike.

Alipay's numbers take letters, digits and underscores; ours have hyphens and no underscore.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cloud_api.payments.providers.alipay.account import AlipayAccount
from cloud_api.payments.providers.alipay.client import ZONE, Answer
from cloud_api.payments.providers.base import (
    Back,
    BadNotification,
    Money,
    PaymentView,
    RefundAsk,
    RefundView,
)

OK: Final = "10000"
NOT_EXIST: Final = "ACQ.TRADE_NOT_EXIST"
PAID: Final = frozenset({"ACQ.TRADE_HAS_SUCCESS", "ACQ.TRADE_STATUS_ERROR"})
PAID_OR_OTHER: Final = PAID | {"ACQ.CONTEXT_INCONSISTENT", "ACQ.REASON_TRADE_STATUS_INVALID"}
CLOSED: Final = frozenset({"ACQ.TRADE_HAS_CLOSE"})
_AGAIN: Final = frozenset({"ACQ.SYSTEM_ERROR", "ACQ.EXIST_FORBIDDEN_WORD_RETRY"})
_NO_FUNDS: Final = frozenset({"ACQ.SELLER_BALANCE_NOT_ENOUGH"})


def theirs(number: str) -> str:
    """Our number as Alipay takes it."""
    return number.replace("-", "_")


def ours(number: str) -> str:
    """And back."""
    return number.replace("_", "-")


def code_of(body: Mapping[str, Any]) -> str:
    """The business code, else the gateway's."""
    return str(body.get("sub_code") or body.get("code", ""))


def refused(number: str, body: Mapping[str, Any]) -> PaymentView:
    """What a refusal to open a payment means. What is not of the business says nothing of the money."""
    code = code_of(body)
    if code in CLOSED:
        return PaymentView(Money.CLOSED, number, detail=code)
    certain = code.startswith("ACQ.") and code not in _AGAIN
    return PaymentView(Money.FAILED if certain else Money.UNKNOWN, number, detail=code)


def payment(number: str, answer: Answer) -> PaymentView:
    """Read the answer of alipay.trade.query."""
    if isinstance(answer, str):
        return PaymentView(Money.UNKNOWN, number, detail=answer)
    code = code_of(answer)
    if code == NOT_EXIST:  # also while nobody has scanned the code or opened the page
        return PaymentView(Money.ABSENT, number, detail=code)
    if code != OK:
        return PaymentView(Money.UNKNOWN, number, detail=code)
    if answer.get("out_trade_no") != theirs(number):
        return PaymentView(Money.UNKNOWN, number, detail="answered about another number")
    return _trade(number, answer, answer.get("send_pay_date"))


def notified(account: AlipayAccount, told: Mapping[str, str]) -> PaymentView | RefundView:
    """One fact of a notification. Refunds come to the same address: they have ``gmt_refund``.

    Raises BadNotification for another app or seller. ``refund_fee`` is what all refunds of the payment
    come to, so the amount of this one is not told here: it has to be asked for.
    """
    if told.get("app_id") != account.app_id:
        raise BadNotification("of another app")
    if told.get("seller_id") != account.seller_id:
        raise BadNotification("of another seller")
    number = ours(told["out_trade_no"])
    if "gmt_refund" in told or "refund_fee" in told:
        request = told.get("out_biz_no", "")
        return RefundView(
            Back.SUBMITTED, ours(request), payment_number=number, detail="told by Alipay"
        )
    return _trade(number, told, told.get("gmt_payment"))


def _trade(number: str, body: Mapping[str, Any], paid_at: Any) -> PaymentView:
    status = str(body.get("trade_status"))
    if status == "TRADE_CLOSED" and not paid_at:
        state = Money.CLOSED
    else:
        state = {
            "WAIT_BUYER_PAY": Money.PENDING,
            "TRADE_SUCCESS": Money.SUCCEEDED,
            "TRADE_FINISHED": Money.SUCCEEDED,  # paid, and no longer refundable
            "TRADE_CLOSED": Money.SUCCEEDED,  # paid, and given back in full since
        }.get(status, Money.UNKNOWN)
    trade_no = body.get("trade_no")
    return PaymentView(
        state,
        number,
        amount_fen=fen(body.get("total_amount")),
        provider_txn=trade_no if isinstance(trade_no, str) and trade_no else None,
        at=instant(paid_at),
        detail=status,
    )


def refund(ask: RefundAsk, answer: Answer) -> RefundView | None:
    """Read the answer of alipay.trade.refund; None where it must be asked for (``fund_change`` N)."""
    if isinstance(answer, str):
        return RefundView(Back.UNKNOWN, ask.number, detail=answer)
    code = code_of(answer)
    if code == OK:
        if answer.get("fund_change") != "Y":
            return None
        return RefundView(
            Back.SUCCEEDED,
            ask.number,
            amount_fen=ask.amount_fen,  # ``refund_fee`` is the sum of all refunds
            payment_number=ask.payment.number,
            at=instant(answer.get("gmt_refund_pay")),
        )
    if code in _NO_FUNDS:
        state = Back.ABNORMAL  # the same number again once there is money
    else:
        certain = code.startswith("ACQ.") and code not in _AGAIN
        state = Back.FAILED if certain else Back.UNKNOWN
    return RefundView(state, ask.number, detail=code)


def refund_query(ask: RefundAsk, answer: Answer) -> RefundView:
    """Read the answer of alipay.trade.fastpay.refund.query: without REFUND_SUCCESS there is none."""
    if isinstance(answer, str):
        return RefundView(Back.UNKNOWN, ask.number, detail=answer)
    code = code_of(answer)
    if code == NOT_EXIST or (code == OK and answer.get("refund_status") != "REFUND_SUCCESS"):
        return RefundView(Back.ABSENT, ask.number, detail=code)
    if code != OK:
        return RefundView(Back.UNKNOWN, ask.number, detail=code)
    if answer.get("out_request_no") not in {None, theirs(ask.number)}:
        return RefundView(Back.UNKNOWN, ask.number, detail="answered about another number")
    return RefundView(
        Back.SUCCEEDED,
        ask.number,
        amount_fen=fen(answer.get("refund_amount")),
        payment_number=ask.payment.number,
        at=instant(answer.get("gmt_refund_pay")),
    )


def fen(yuan: Any) -> int | None:
    """``88.00`` as fen; None for anything else."""
    if not isinstance(yuan, str):
        return None
    try:
        amount = Decimal(yuan) * 100
    except InvalidOperation:
        return None
    return int(amount) if amount.is_finite() and amount == int(amount) else None


def yuan(amount_fen: int) -> str:
    """Fen as ``88.00``."""
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def instant(text: Any) -> datetime | None:
    """``2026-11-23 12:00:00`` (Beijing)."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE)
    except ValueError:
        return None
