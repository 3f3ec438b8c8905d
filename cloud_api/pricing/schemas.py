"""What goes in and out of quotes."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.kit.calendar import Instant
from cloud_api.pricing.models import Quote


class QuoteIn(BaseModel):
    """What somebody wants to know the price of. Instants carry an offset."""

    model_config = ConfigDict(extra="forbid")
    room_id: str = Field(min_length=1, max_length=64)
    starts_at: Instant
    ends_at: Instant


class QuoteLine(BaseModel):
    """One line: a stretch under one tariff. Money in fen."""

    model_config = ConfigDict(populate_by_name=True)
    text: str
    from_: AwareDatetime = Field(alias="from")
    to: AwareDatetime
    minutes: int
    hourly_fen: int
    amount_fen: int
    tariff_id: str


class QuoteOut(BaseModel):
    """A quote as told."""

    id: str
    store_id: str
    room_id: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    minutes: int
    total_fen: int
    lines: list[QuoteLine]
    expires_at: AwareDatetime

    @classmethod
    def of(cls, quote: Quote) -> "QuoteOut":
        """From the stored row."""
        return cls(
            id=quote.id,
            store_id=quote.store_id,
            room_id=quote.room_id,
            starts_at=quote.starts_at,
            ends_at=quote.ends_at,
            minutes=round((quote.ends_at - quote.starts_at).total_seconds() / 60),
            total_fen=quote.total_fen,
            lines=[QuoteLine.model_validate(line) for line in quote.lines],
            expires_at=quote.expires_at,
        )
