"""What goes wrong on wish: the knobs that ``POST /admin/faults`` turns, for everything or for one payment."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Endpoint = Literal["create", "query", "close", "refund", "query_refund", "bill", "keys"]
RefundEnd = Literal["success", "abnormal", "closed"]


class Faults(BaseModel):
    """Counters count down to nought; -1 means always. Nothing set: everything works."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    notify_drop: int = 0  # so many deliveries are never sent, and count as taken
    notify_duplicate: int = 0  # each notification is sent so many times more, with the same id
    notify_again_as_new: int = 0  # … so many times more under new ids: the same fact, told anew
    notify_delay_s: float = Field(default=0, ge=0)  # business time before the first delivery
    notify_reorder: bool = False  # newest first
    notify_bad_signature: int = 0  # so many deliveries are signed wrongly (then it retries)
    notify_probe: int = 0  # so many deliveries carry a wrong signature that says so
    notify_stale: int = 0  # so many deliveries were signed ten minutes ago
    notify_unknown_serial: int = 0  # so many deliveries are signed with a key that nobody knows
    notify_other_merchant: int = 0  # so many deliveries are about another merchant's account
    notify_amount_off_fen: int = 0  # notifications tell another amount
    query_amount_off_fen: int = 0  # queries as well

    fail: dict[Endpoint, int] = {}  # so many calls answer 500 and do nothing
    lose: dict[Endpoint, int] = {}  # so many calls are done, and the answer is a 500
    hang: dict[Endpoint, int] = {}  # so many calls are done, and the answer takes ``hang_s``
    hang_s: float = Field(default=10, ge=0, le=60)
    answer_bad_signature: dict[Endpoint, int] = {}  # so many answers are signed wrongly
    paid_during_close: int = 0  # so many closes find that somebody has just paid
    refund_end: RefundEnd = "success"  # how refunds end, after ``refund_delay_s``
    refund_delay_s: float = Field(default=1.0, ge=0)

    bill_missing: bool = False  # its rows are left out of the day's bill
    bill_extra: bool = False  # the bill has another payment beside it, which nobody knows
    bill_off_fen: int = 0  # its amount in the bill is another


class Knobs:
    """Faults for everything, and for single numbers where set."""

    def __init__(self) -> None:
        self.all = Faults()
        self.by_number: dict[str, Faults] = {}

    def set(self, number: str | None, faults: Faults) -> None:
        """Turn the knobs; nothing for everything turns those of single numbers off as well."""
        if number is not None:
            self.by_number[number] = faults
            return
        self.all = faults
        if faults == Faults():
            self.by_number.clear()

    def of(self, number: str) -> Faults:
        """The faults that a payment's number meets; a refund (``<payment>-R…``) meets its payment's."""
        asked = number.replace(
            "_", "-"
        )  # Alipay's numbers have underscores where ours have hyphens
        for known, faults in self.by_number.items():
            known = known.replace("_", "-")
            if asked == known or asked.startswith(f"{known}-R"):
                return faults
        return self.all

    def take(self, number: str, knob: str) -> bool:
        """Whether a counter strikes now; counts it down."""
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
