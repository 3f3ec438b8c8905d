"""What goes in and out of quotes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from cloud_api.kit.calendar import Day, Instant
from cloud_api.pricing.models import Quote

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ExtraIn(BaseModel):
    """So many of something beside the room."""

    model_config = ConfigDict(extra="forbid")
    extra_id: Id
    quantity: Annotated[int, Field(ge=1, le=99)] = 1


class QuoteIn(BaseModel):
    """What somebody wants to know the price of. Instants carry an offset.

    A length of one's own: ``starts_at`` and ``ends_at``. A slot: ``slot_id`` and its local ``day`` (or an
    instant of that day as ``starts_at``). A package: ``package_id`` and ``starts_at``. Pay-as-you-go:
    ``payg`` and ``starts_at``. ``coupon_ids`` left out: the best of one's coupons; empty: none.
    """

    model_config = ConfigDict(extra="forbid")
    room_id: Id
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    slot_id: Id | None = None
    day: Day | None = None
    package_id: Id | None = None
    payg: bool = False
    coupon_ids: Annotated[list[Id], Field(max_length=1)] | None = None
    extras: Annotated[list[ExtraIn], Field(max_length=20)] = []

    @model_validator(mode="after")
    def _one_kind(self) -> QuoteIn:
        if sum((self.slot_id is not None, self.package_id is not None, self.payg)) > 1:
            raise ValueError("场次、套餐、按实际使用，只能选一种")
        if len({one.extra_id for one in self.extras}) < len(self.extras):
            raise ValueError("同一样东西写成一行，改数量就好")
        return self


class QuoteLine(BaseModel):
    """One line. Money in fen, negative where something is taken off.

    ``kind``: room_time (a stretch under one tariff), rounding, slot, package, extra, member, coupon.
    """

    model_config = ConfigDict(populate_by_name=True)
    kind: str = "room_time"
    text: str
    from_: AwareDatetime | None = Field(alias="from", default=None)
    to: AwareDatetime | None = None
    minutes: int = 0
    hourly_fen: int | None = None
    amount_fen: int
    tariff_id: str | None = None
    ref: str = ""
    quantity: int = 1


class CouponChoice(BaseModel):
    """A coupon of the customer's that was weighed: what it takes off, or why it does not fit."""

    id: str
    name: str
    text: str
    off_fen: int
    why_not: str
    chosen: bool
    best: bool


class QuoteOut(BaseModel):
    """A quote as told. ``before_fen`` is the sum before something was taken off; null: nothing was."""

    id: str
    store_id: str
    room_id: str
    kind: str
    product_id: str | None
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    minutes: int
    total_fen: int
    before_fen: int | None
    lines: list[QuoteLine]
    coupons: list[CouponChoice]
    payg: dict[str, Any] | None
    expires_at: AwareDatetime

    @classmethod
    def of(cls, quote: Quote) -> QuoteOut:
        """From the stored row."""
        lines = [QuoteLine.model_validate(line) for line in quote.lines]
        before = sum(line.amount_fen for line in lines if line.amount_fen > 0)
        return cls(
            id=quote.id,
            store_id=quote.store_id,
            room_id=quote.room_id,
            kind=quote.kind,
            product_id=quote.product_id,
            starts_at=quote.starts_at,
            ends_at=quote.ends_at,
            minutes=round((quote.ends_at - quote.starts_at).total_seconds() / 60),
            total_fen=quote.total_fen,
            before_fen=before if before > quote.total_fen else None,
            lines=lines,
            coupons=[CouponChoice.model_validate(one) for one in quote.detail.get("coupons", [])],
            payg=quote.detail.get("payg"),
            expires_at=quote.expires_at,
        )
