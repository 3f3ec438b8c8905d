"""The words people read follow from status and money, for every mix of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloud_api.orders.models import Order
from cloud_api.orders.words import refund_words, words

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)


def _order(status: str, paid: int = 0, refunded: int = 0, refunding: int = 0) -> Order:
    return Order(
        merchant_id="m",
        store_id="s",
        room_id="r",
        account_id="a",
        claim_id="c",
        quote_id="q",
        number="n",
        status=status,
        starts_at=NOW,
        ends_at=NOW + timedelta(hours=2),
        hold_expires_at=NOW,
        total_fen=7600,
        paid_fen=paid,
        refunded_fen=refunded,
        refunding_fen=refunding,
        created_at=NOW,
    )


@pytest.mark.parametrize(
    ("order", "word", "refund"),
    [
        (_order("pending_payment"), "待支付", None),
        (_order("paid", 7600), "已支付", None),
        (_order("ready", 7600), "待使用", None),
        (_order("in_use", 7600), "使用中", None),
        (_order("completed", 7600), "已完成", None),
        (_order("cancelled"), "已取消", None),
        (_order("cancelled", 7600, 0, 7600), "退款中", "¥76 退款中"),
        (_order("cancelled", 7600, 7600), "已退款", "已退款 ¥76"),
        (_order("cancelled", 7600, 5000), "已取消", "部分退款 ¥50"),
        (_order("ready", 15200, 0, 7600), "待使用", "¥76 退款中"),
        (_order("ready", 15200, 7600), "待使用", None),  # paid twice, one is back: nothing to say
        (_order("completed", 7600, 1000), "已完成", "部分退款 ¥10"),
    ],
)
def test_words(order: Order, word: str, refund: str | None) -> None:
    assert (words(order), refund_words(order)) == (word, refund)
