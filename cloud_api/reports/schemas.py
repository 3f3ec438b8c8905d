"""What the statistics say, for the API and for the page. Fen and minutes are whole; days are business days."""

from __future__ import annotations

from datetime import date

from pydantic import AwareDatetime, BaseModel


class FigureOut(BaseModel):
    """A figure, and what it was in the period before; None where there is nothing to divide by.

    ``unit``: fen, fen_each, count, per_cent, minutes, kwh_per_hour. ``good``: whether more is better.
    """

    key: str
    text: str
    what: str
    unit: str
    good: bool | None
    value: float | int | None
    before: float | int | None = None


class LineOut(BaseModel):
    """One day, store, room or channel with its sums, by column."""

    key: str
    name: str
    sums: dict[str, int]


class ShareOut(BaseModel):
    """A part of a whole: how many."""

    key: str
    text: str
    count: int


class HourOut(BaseModel):
    """An hour of the week; ``weekday`` 0 is Monday, of the business day (1:00 on Tuesday is Monday's)."""

    weekday: int
    hour: int
    busy_minutes: int
    open_minutes: int


class SegmentOut(BaseModel):
    """Guests by recency, frequency and money, over all time until now."""

    key: str
    text: str
    what: str
    guests: int
    visits: int
    spent_fen: int


class GuestsOut(BaseModel):
    """Guests of the period; ``returning`` had come before it or came at least twice in it."""

    active: int
    returning: int
    fresh: int
    with_voucher: int
    visits: int


class SummaryOut(BaseModel):
    """A period in numbers. ``as_of``: until when everything is counted (business time)."""

    kind: str
    first: date
    last: date
    until: date
    before_first: date
    before_last: date
    store_ids: list[str]
    room_id: str | None
    channel: str | None
    as_of: AwareDatetime | None
    behind: int  # days that wait to be counted again
    figures: list[FigureOut]
    days: list[LineOut]
    days_before: list[LineOut]
    stores: list[LineOut]
    rooms: list[LineOut]
    channels: list[LineOut]
    hours: list[HourOut]
    leads: list[ShareOut]
    spends: list[ShareOut]
    guests: GuestsOut | None
    guests_before: GuestsOut | None
    segments: list[SegmentOut]
    guests_ever: int
    average_guest_fen: int

    @property
    def parted(self) -> bool:
        """Whether it is of one room or one channel alone: then nothing is known of guests and hours."""
        return self.room_id is not None or self.channel is not None


class RowOut(BaseModel):
    """One row behind a figure: ``ref`` names it ("order:…"), ``values`` what it adds, by column."""

    kind: str
    ref: str
    text: str
    at: AwareDatetime
    store_id: str
    day: date
    room_id: str
    channel: str
    values: dict[str, int]


class RowsOut(BaseModel):
    """Rows behind a figure, newest day first; ``next`` asks for more as ``after``."""

    figure: str
    total: dict[str, int]  # of the whole period, not of this page alone
    items: list[RowOut]
    next: str | None
