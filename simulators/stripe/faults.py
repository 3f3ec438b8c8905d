"""What goes wrong on wish: the knobs that ``POST /admin/faults`` turns, for everything or for one number."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Endpoint = Literal["create", "query", "close", "refund", "query_refund", "bill"]


class Faults(BaseModel):
    """Counters count down to nought; -1 means always. Nothing set: everything works."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    notify_drop: int = 0  # so many events are never sent (and count as sent)
    notify_duplicate: int = 0  # each event is sent so many times more, with the same id
    notify_delay_s: float = Field(default=0, ge=0)
    notify_bad_signature: int = 0
    notify_stale: int = 0  # so many deliveries carry a time ten minutes old
    notify_other_mode: int = 0  # so many are of the other mode (live instead of test)
    notify_amount_off: int = 0  # events tell another amount
    fail: dict[Endpoint, int] = {}  # so many calls answer 500, and are remembered by their key
    lose: dict[Endpoint, int] = {}  # so many calls are done, and the answer is a 500
    hang: dict[Endpoint, int] = {}  # so many calls are done, and the answer takes ``hang_s``
    hang_s: float = Field(default=10, ge=0, le=60)
    paid_during_close: int = 0  # so many expirations find that somebody has just paid
    refund_status: Literal["pending", "succeeded", "requires_action", "failed"] = "succeeded"
    bill_missing: bool = False
    bill_amount_off: int = 0
    bill_extra: int = 0


class Knobs:
    """Faults for everything, and for single numbers where set; refunds meet those of their payment."""

    def __init__(self) -> None:
        self.all = Faults()
        self.by_number: dict[str, Faults] = {}

    def of(self, number: str) -> Faults:
        """The faults that a number meets."""
        known = [name for name in self.by_number if number.startswith(name)]
        return self.by_number[max(known, key=len)] if known else self.all

    def take(self, number: str, knob: str) -> bool:
        """Whether a counter strikes now; counts it down."""
        faults = self.of(number)
        left = int(getattr(faults, knob))
        if left > 0:
            setattr(faults, knob, left - 1)
        return left != 0

    def take_call(self, number: str, knob: str, endpoint: Endpoint) -> bool:
        """Whether a counter per endpoint strikes now; counts it down."""
        counters: dict[Endpoint, int] = getattr(self.of(number), knob)
        left = counters.get(endpoint, 0)
        if left > 0:
            counters[endpoint] = left - 1
        return left != 0
