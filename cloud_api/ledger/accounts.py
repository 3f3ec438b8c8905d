"""The accounts of the books, closed: what each is, on which side it grows, what it is called.

An entry's amount is in fen, debit positive, credit negative. ``detail`` of an entry says which one
where there are several: the provider account of ``clearing``, the kind of ``revenue``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Account(StrEnum):
    """One account; docs/money.md tells which event posts what."""

    CLEARING = "clearing"  # at a payment provider, not yet paid out; detail: provider account
    PLATFORM = "platform"  # owed by a platform for vouchers it sold; detail: which, in words
    CASH = "cash"  # in the store's drawer
    BANK = "bank"
    OUTSIDE = "outside"  # what the owner paid back by other means
    ADVANCE = "advance"  # paid for and not yet used
    REFUND_PAYABLE = "refund_payable"  # promised back and not yet arrived
    DEPOSIT = "deposit"
    BALANCE_PAID = "balance_paid"  # stored value that guests paid
    BALANCE_GIFT = "balance_gift"  # stored value that was given on top
    VOUCHER = "voucher"  # sold and not yet redeemed
    REVENUE = "revenue"  # detail: room_time, overtime, cancel_fee, damage, voucher …
    PROVIDER_FEE = "provider_fee"  # detail: provider account
    GIFT_COST = "gift_cost"
    CASH_DIFFERENCE = "cash_difference"  # counted less than expected


ASSETS: Final = frozenset(
    {Account.CLEARING, Account.PLATFORM, Account.CASH, Account.BANK, Account.OUTSIDE}
)
LIABILITIES: Final = frozenset(
    {
        Account.ADVANCE,
        Account.REFUND_PAYABLE,
        Account.DEPOSIT,
        Account.BALANCE_PAID,
        Account.BALANCE_GIFT,
        Account.VOUCHER,
    }
)
CREDIT_SIDE: Final = LIABILITIES | {Account.REVENUE, Account.OUTSIDE}
"""Accounts that are shown with their sign turned: what they hold is a credit."""

NAMES: Final[dict[Account, str]] = {
    Account.CLEARING: "支付渠道在途",
    Account.PLATFORM: "平台待结算",
    Account.CASH: "现金",
    Account.BANK: "银行",
    Account.OUTSIDE: "店家线下垫退",
    Account.ADVANCE: "预收款（未消费）",
    Account.REFUND_PAYABLE: "应退款",
    Account.DEPOSIT: "押金",
    Account.BALANCE_PAID: "储值余额（本金）",
    Account.BALANCE_GIFT: "储值余额（赠送）",
    Account.VOUCHER: "未核销团购券",
    Account.REVENUE: "收入",
    Account.PROVIDER_FEE: "渠道手续费",
    Account.GIFT_COST: "储值赠送成本",
    Account.CASH_DIFFERENCE: "现金短款",
}
REVENUES: Final[dict[str, str]] = {
    "room_time": "包间时长",
    "overtime": "超时费",
    "cancel_fee": "取消手续费",
    "damage": "押金赔付",
    "voucher": "团购券",
    "voucher_expired": "过期团购券",
    "platform": "平台券",
    "balance": "余额扣减",
}


def shown(account: Account, amount_fen: int) -> int:
    """An amount as people read it: what a liability or revenue holds is positive."""
    return -amount_fen if account in CREDIT_SIDE else amount_fen
