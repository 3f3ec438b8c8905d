"""What goes wrong on wish: the knobs that ``POST /admin/faults`` turns, for all payments or for one."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Endpoint = Literal["create", "query", "close", "refund", "query_refund"]


class Faults(BaseModel):
    """Counters count down to nought; -1 means always. Nothing set: everything works."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    notify_drop: int = 0  # so many deliveries are never sent (and count as sent)
    notify_duplicate: int = 0  # each notification is sent so many times more, with the same id
    notify_again_as_new: int = (
        0  # … and so many times more under new ids: the same fact, twice told
    )
    notify_delay_s: float = Field(default=0, ge=0)  # before the first delivery
    notify_reorder: bool = False  # newest first
    notify_bad_signature: int = 0  # so many deliveries carry a wrong signature (then it retries)
    notify_stale: int = 0  # so many deliveries carry a timestamp ten minutes old (then it retries)
    notify_amount_off_fen: int = 0  # notifications tell another amount
    query_amount_off_fen: int = 0  # queries as well

    fail: dict[Endpoint, int] = {}  # so many calls answer 500 and do nothing
    lose: dict[Endpoint, int] = {}  # so many calls are done, and the answer is a 500
    hang: dict[Endpoint, int] = {}  # so many calls are done, and the answer takes ``hang_s``
    hang_s: float = Field(default=10, ge=0, le=60)
    answer_bad_signature: dict[Endpoint, int] = {}  # so many answers carry a wrong signature
    paid_during_close: int = 0  # so many closes find that somebody has just paid
    refund_state: Literal["processing", "stuck", "refused"] = "processing"
    refund_delay_s: float = Field(default=1.0, ge=0)  # processing takes so long


class Knobs:
    """Faults for everything, and for single numbers where set."""

    def __init__(self) -> None:
        self.all = Faults()
        self.by_number: dict[str, Faults] = {}

    def of(self, number: str) -> Faults:
        """The faults that a payment or refund number meets; a refund meets its payment's."""
        for known, faults in self.by_number.items():
            if number == known or number.startswith(f"{known}-R"):
                return faults
        return self.all

    def take(self, number: str, knob: str) -> bool:
        """Whether a counter knob strikes now; counts it down."""
        faults = self.of(number)
        left = int(getattr(faults, knob))
        if left > 0:
            setattr(faults, knob, left - 1)
        return left != 0

    def take_call(self, number: str, knob: str, endpoint: Endpoint) -> bool:
        """Whether a per-endpoint counter strikes now; counts it down."""
        counters: dict[Endpoint, int] = getattr(self.of(number), knob)
        left = counters.get(endpoint, 0)
        if left > 0:
            counters[endpoint] = left - 1
        return left != 0
