"""An order that was placed a moment ago, with what its answer shows of it and nobody has to read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cloud_api.orders.models import Order, OrderEvent, OrderLine


@dataclass(frozen=True, slots=True)
class Beside:
    """All that was written with an order, and what its customer sees beside it."""

    lines: Sequence[OrderLine]
    events: Sequence[OrderEvent]
    balance_fen: int  # what they have at the merchant, to pay with
    before_until: datetime | None  # when the stay before it gives the room free


@dataclass(frozen=True, slots=True)
class Placed:
    """``beside`` None: the order was there before, or has a deposit, or cost nothing. Read it then."""

    order: Order
    beside: Beside | None = None
