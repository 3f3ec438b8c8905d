"""What vouchers are good for: written into the order when it is bought, read when they are issued.

A campaign may be changed while a team forms; who has bought keeps what the page said.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from cloud_api.groupbuy.models import Campaign, GroupOrder
from cloud_api.kit.clocks import Clocks
from cloud_api.vouchers.service import Terms

_KEPT: Final = (
    "name", "minutes", "people", "store_ids", "room_ids", "weekdays", "from_minute",
    "until_minute", "rules", "refundable", "refund_on_expiry", "valid_days",
)  # fmt: skip


def bought(campaign: Campaign) -> dict[str, Any]:
    """The terms of a campaign as they stand now."""
    return {name: getattr(campaign, name) for name in _KEPT}


def of_order(order: GroupOrder, campaign: Campaign, clocks: Clocks) -> Terms:
    """What a voucher of an order is good for, issued now."""
    kept = {**bought(campaign), **order.terms}  # what was bought before terms were kept has none
    days = kept.pop("valid_days")
    return Terms(
        **{
            **kept,
            "store_ids": [str(one) for one in kept["store_ids"]],
            "room_ids": tuple(str(one) for one in kept["room_ids"]),
        },
        value_fen=order.price_fen,
        valid_until=clocks.now + timedelta(days=days),
    )
