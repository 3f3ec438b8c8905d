"""What goes wrong on wish: the knobs that ``POST /admin/faults`` turns, for everything or for one order."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Endpoint = Literal["front", "query", "refund", "file"]


class Faults(BaseModel):
    """Counters count down to nought; -1 means always. Nothing set: everything works."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    notify_drop: int = 0  # so many deliveries are never sent (and count as sent)
    notify_duplicate: int = 0  # each notification is sent so many times more
    notify_delay_s: float = Field(default=0, ge=0)  # before the first delivery
    notify_reorder: bool = False  # newest first
    notify_bad_signature: int = 0  # so many deliveries carry a signature over something else
    notify_stranger: int = 0  # so many are signed by somebody whom no chain leads to
    notify_wrong_merchant: int = 0  # so many are about another merchant, signed well
    notify_amount_off_fen: int = 0  # notifications tell another amount
    query_amount_off_fen: int = 0  # queries as well

    fail: dict[Endpoint, int] = {}  # so many calls answer 500 and do nothing
    lose: dict[Endpoint, int] = {}  # so many calls are done, and the answer is a 500
    hang: dict[Endpoint, int] = {}  # so many calls are done, and the answer takes ``hang_s``
    hang_s: float = Field(default=10, ge=0, le=60)
    answer_bad_signature: dict[Endpoint, int] = {}
    unclear: int = 0  # so many queries answer 05: accepted, ask later
    paid_after_query: int = 0  # so many queries say "not paid", and in that moment somebody pays
    refund_state: Literal["processing", "stuck", "refused"] = "processing"
    refund_delay_s: float = Field(default=1.0, ge=0)
    bill_missing: bool = False  # the bill leaves this order's lines out
    bill_amount_off_fen: int = 0  # or tells another amount
    bill_extra: int = 0  # so many lines more of orders that nobody has


class Knobs:
    """Faults for everything, and for single orders where set."""

    def __init__(self) -> None:
        self.all = Faults()
        self.by_order: dict[str, Faults] = {}

    def of(self, order_id: str) -> Faults:
        """The faults that an order meets; a refund meets those of the longest order it begins with."""
        known = [name for name in self.by_order if order_id.startswith(name)]
        return self.by_order[max(known, key=len)] if known else self.all

    def take(self, order_id: str, knob: str) -> bool:
        """Whether a counter strikes now; counts it down."""
        faults = self.of(order_id)
        left = int(getattr(faults, knob))
        if left > 0:
            setattr(faults, knob, left - 1)
        return left != 0

    def take_call(self, order_id: str, knob: str, endpoint: Endpoint) -> bool:
        """Whether a counter per endpoint strikes now; counts it down."""
        counters: dict[Endpoint, int] = getattr(self.of(order_id), knob)
        left = counters.get(endpoint, 0)
        if left > 0:
            counters[endpoint] = left - 1
        return left != 0
