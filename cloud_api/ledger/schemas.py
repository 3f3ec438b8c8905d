"""What goes in and out of the books. Money in fen; a liability or revenue that grows is positive."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.kit.calendar import Day
from cloud_api.ledger.models import CashCount, LedgerDay

Fen = Annotated[int, Field(ge=0, le=100_000_000)]


class AccountLine(BaseModel):
    """One account over some days: what it held, what came and went, what it holds."""

    account: str
    detail: str
    name: str
    opening_fen: int
    up_fen: int
    down_fen: int
    closing_fen: int


class DayOut(BaseModel):
    """A business day. ``closed_by`` is ``system`` where nobody did it by hand."""

    day: date
    state: str
    closed_at: AwareDatetime | None
    closed_local: str
    closed_by: str | None

    @classmethod
    def of(cls, day: LedgerDay, tz: str) -> DayOut:
        """From the table; ``closed_local`` is the store's time."""
        at = day.closed_at
        return cls(
            day=day.day,
            state=day.state,
            closed_at=at,
            closed_local="" if at is None else f"{at.astimezone(ZoneInfo(tz)):%m-%d %H:%M}",
            closed_by=day.closed_by,
        )


class StatementOut(BaseModel):
    """A store's accounts over the business days ``first`` to ``last``."""

    store_id: str
    first: date
    last: date
    lines: list[AccountLine]
    revenue_fen: int
    days: list[DayOut]


class CloseIn(BaseModel):
    """Close a day; with ``counted_fen`` the drawer was counted."""

    model_config = ConfigDict(extra="forbid")
    day: Day
    counted_fen: Fen | None = None
    why: Annotated[str, Field(max_length=200)] = ""


class CountIn(BaseModel):
    """A count of the drawer."""

    model_config = ConfigDict(extra="forbid")
    counted_fen: Fen
    why: Annotated[str, Field(max_length=200)] = ""


class BankIn(BaseModel):
    """Cash that was taken to the bank."""

    model_config = ConfigDict(extra="forbid")
    amount_fen: Annotated[int, Field(gt=0, le=100_000_000)]
    why: Annotated[str, Field(max_length=200)] = ""


class CountOut(BaseModel):
    """A count as written down."""

    day: date
    expected_fen: int
    counted_fen: int
    why: str
    by: str
    at: AwareDatetime

    @classmethod
    def of(cls, made: CashCount) -> CountOut:
        """From the table."""
        return cls(
            day=made.day,
            expected_fen=made.expected_fen,
            counted_fen=made.counted_fen,
            why=made.why,
            by=made.by,
            at=made.at,
        )


class DrawerOut(BaseModel):
    """What should be in the drawer now, and its last counts."""

    store_id: str
    expected_fen: int
    counts: list[CountOut]
