"""What WeChat Pay says of payments and refunds, in our words: answers and notifications alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cloud_api.payments.providers.base import Back, Money, PaymentView, RefundView
from cloud_api.payments.providers.wechatpay.account import WechatPayAccount
from cloud_api.payments.providers.wechatpay.client import Answer

_PAYMENT: Final = {
    "SUCCESS": Money.SUCCEEDED,
    "REFUND": Money.SUCCEEDED,  # paid, and (partly) given back since
    "NOTPAY": Money.PENDING,
    "USERPAYING": Money.PENDING,
    "ACCEPT": Money.PENDING,
    "CLOSED": Money.CLOSED,
    "REVOKED": Money.CLOSED,
    "PAYERROR": Money.FAILED,
}
_REFUND: Final = {
    "PROCESSING": Back.SUBMITTED,
    "SUCCESS": Back.SUCCEEDED,
    "CLOSED": Back.FAILED,  # no funds for seven days: another number is needed
    "ABNORMAL": Back.ABNORMAL,  # the card is dead: not final, somebody must say where to
}
ABSENT: Final = frozenset({"ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"})
PAID: Final = frozenset({"ORDERPAID", "ORDER_PAID"})
CLOSED: Final = frozenset({"ORDERCLOSED", "ORDER_CLOSED"})
USED: Final = frozenset({"OUT_TRADE_NO_USED"})
# These say that we may not, or not now: nothing about the money.
_NO_WORD: Final = frozenset(
    {"SIGN_ERROR", "FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED", "RATELIMIT_EXCEEDED"}
    | {"SYSTEM_ERROR", "SYSTEMERROR", "BANK_ERROR", "BANKERROR", "BIZERR_NEED_RETRY", "NO_AUTH"}
)


def payment(account: WechatPayAccount, number: str, answer: Answer) -> PaymentView:
    """Read the answer of a query."""
    if isinstance(answer, str):
        return PaymentView(Money.UNKNOWN, number, detail=answer)
    status, body = answer
    code = str(body.get("code", status))
    if status == 404 and code in ABSENT:
        return PaymentView(Money.ABSENT, number, detail=code)
    if status >= 400:
        return PaymentView(Money.UNKNOWN, number, detail=code)
    return transaction(account, number, body)


def transaction(account: WechatPayAccount, number: str, body: Mapping[str, Any]) -> PaymentView:
    """Read a payment; UNKNOWN where it is not the one that was asked for, or in no state we know."""
    if (wrong := stranger(account, body)) or body.get("out_trade_no") != number:
        return PaymentView(Money.UNKNOWN, number, detail=wrong or "answered about another number")
    amount = body.get("amount") or {}
    if amount.get("currency", "CNY") != "CNY":
        return PaymentView(Money.UNKNOWN, number, detail="another currency")
    return PaymentView(
        _PAYMENT.get(str(body.get("trade_state")), Money.UNKNOWN),
        number,
        amount_fen=_fen(amount.get("total")),
        provider_txn=_text(body.get("transaction_id")),
        at=_instant(body.get("success_time")),
        detail=str(body.get("trade_state_desc", "")),
    )


def stranger(account: WechatPayAccount, body: Mapping[str, Any]) -> str:
    """Why this is not about our account; empty where it is."""
    if body.get("mchid") != account.mchid:
        return "of another merchant"
    if "appid" in body and body["appid"] not in account.appids:
        return "of another app"
    return ""


def refused(number: str, code: str) -> PaymentView:
    """What a refusal to open a payment means."""
    if code in CLOSED:
        return PaymentView(Money.CLOSED, number, detail=code)
    return PaymentView(Money.UNKNOWN if code in _NO_WORD else Money.FAILED, number, detail=code)


def refund(number: str, answer: Answer, *, asked: bool) -> RefundView:
    """Read an answer about a refund; ``asked`` where it was to be made, and not only looked for."""
    if isinstance(answer, str):
        return RefundView(Back.UNKNOWN, number, detail=answer)
    status, body = answer
    if status < 400:
        return refund_body(number, body, str(body.get("status")))
    code = str(body.get("code", status))
    if not asked:
        state = Back.ABSENT if status == 404 and code in ABSENT else Back.UNKNOWN
    elif code in {"NOT_ENOUGH", "NOTENOUGH"}:
        state = Back.ABNORMAL  # the account is empty: the same number again once there is money
    else:
        state = Back.UNKNOWN if code in _NO_WORD else Back.FAILED
    return RefundView(state, number, detail=code)


def refund_body(number: str, body: Mapping[str, Any], status: str) -> RefundView:
    """Read a refund; UNKNOWN where it is another one."""
    if body.get("out_refund_no") != number:
        return RefundView(Back.UNKNOWN, number, detail="answered about another number")
    amount = body.get("amount") or {}
    return RefundView(
        _REFUND.get(status, Back.UNKNOWN),
        number,
        amount_fen=_fen(amount.get("refund")),
        provider_refund=_text(body.get("refund_id")),
        payment_number=_text(body.get("out_trade_no")),
        at=_instant(body.get("success_time")),
        detail=status,
    )


def _fen(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _instant(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
