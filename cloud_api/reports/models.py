"""The rollups: what a store's business day came to, in whole and by room and channel; its months and guests.

All of it can be made again from orders, books and alarms at any time (reports/rollup.py), so nothing
here is truth. Minutes and fen are whole; a day is the books' business day, in the store's zone.
"""

from datetime import date, datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import UTCDateTime


class Measures(SQLModel):
    """What is counted; reports/measures.py tells of each what it means and where its rows are."""

    # orders placed on the day
    made: int = 0
    made_fen: int = 0
    lapsed: int = 0
    cancelled: int = 0
    lead_minutes: int = 0
    lead_now: int = 0  # begins within an hour
    lead_hours: int = 0  # 1 to 6 h
    lead_day: int = 0  # 6 to 24 h
    lead_days: int = 0  # 1 to 3 days
    lead_more: int = 0
    # stays that begin on the day
    stays: int = 0
    minutes: int = 0
    stay_fen: int = 0
    spend_50: int = 0  # stays below 50 yuan
    spend_100: int = 0
    spend_200: int = 0
    spend_300: int = 0
    spend_500: int = 0
    spend_more: int = 0
    energy_wh: int = 0
    energy_minutes: int = 0
    # room time within the day
    busy_minutes: int = 0
    open_minutes: int = 0
    # money, by the books
    room_fen: int = 0
    overtime_fen: int = 0
    voucher_fen: int = 0
    other_fen: int = 0
    cash_order_fen: int = 0
    cash_more_fen: int = 0
    cash_group_fen: int = 0
    cash_topup_fen: int = 0
    back_fen: int = 0
    # group-buy, devices
    group_sold: int = 0
    group_fen: int = 0
    redeemed: int = 0
    faults: int = 0


class ReportDay(Measures, table=True):
    """A store's day in whole: the sum of its parts."""

    __tablename__ = "report_day"
    __table_args__ = (Index("report_day_of_merchant", "merchant_id", "day"),)
    store_id: str = Field(foreign_key="store.id", primary_key=True)
    day: date = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id")
    made_at: datetime = Field(sa_type=UTCDateTime)  # wire time


class ReportPart(Measures, table=True):
    """A part of a store's day; ``room_id`` empty: of no room, ``channel`` empty: of no order."""

    __tablename__ = "report_part"
    __table_args__ = (Index("report_part_of_merchant", "merchant_id", "day"),)
    store_id: str = Field(foreign_key="store.id", primary_key=True)
    day: date = Field(primary_key=True)
    room_id: str = Field(primary_key=True)
    channel: str = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id")


class ReportHour(SQLModel, table=True):
    """An hour (0 to 23, local) of a store's business day: minutes of rooms taken, and on offer."""

    __tablename__ = "report_hour"
    __table_args__ = (Index("report_hour_of_merchant", "merchant_id", "day"),)
    store_id: str = Field(foreign_key="store.id", primary_key=True)
    day: date = Field(primary_key=True)
    hour: int = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id")
    busy_minutes: int = 0
    open_minutes: int = 0


class ReportGuest(SQLModel, table=True):
    """Who came on a store's day, how often, and for how much."""

    __tablename__ = "report_guest"
    __table_args__ = (
        Index("report_guest_of_merchant", "merchant_id", "day"),
        Index("report_guest_of_person", "account_id"),
    )
    store_id: str = Field(foreign_key="store.id", primary_key=True)
    day: date = Field(primary_key=True)
    account_id: str = Field(foreign_key="account.id", primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id")
    visits: int
    spent_fen: int
    vouchers: int = 0  # visits that a group-buy voucher paid for


class ReportLife(SQLModel, table=True):
    """A guest of a store over all days: the sum of their ReportGuest rows."""

    __tablename__ = "report_life"
    __table_args__ = (
        # All that segments ask of it, in the order in which they ask: nothing is sorted, no row is read.
        Index(
            "report_life_of_merchant", "merchant_id", "account_id",
            "visits", "spent_fen", "first_day", "last_day", "store_id",
        ),
    )  # fmt: skip
    store_id: str = Field(foreign_key="store.id", primary_key=True)
    account_id: str = Field(foreign_key="account.id", primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id")
    visits: int
    spent_fen: int
    vouchers: int
    first_day: date
    last_day: date


class ReportMonthPart(Measures, table=True):
    """A part of a store's month: the sum of its days' (reports/months.py)."""

    __tablename__ = "report_month_part"
    __table_args__ = (Index("report_month_part_of_merchant", "merchant_id", "month"),)
    store_id: str = Field(foreign_key="store.id", primary_key=True)
    month: date = Field(primary_key=True)  # its first day
    room_id: str = Field(primary_key=True)
    channel: str = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id")


class ReportMonthHour(SQLModel, table=True):
    """An hour of a weekday (0 is Monday) in a store's month: the sum of its days'."""

    __tablename__ = "report_month_hour"
    __table_args__ = (Index("report_month_hour_of_merchant", "merchant_id", "month"),)
    store_id: str = Field(foreign_key="store.id", primary_key=True)
    month: date = Field(primary_key=True)
    weekday: int = Field(primary_key=True)
    hour: int = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id")
    busy_minutes: int = 0
    open_minutes: int = 0


class ReportNumber(SQLModel, table=True):
    """A guest's number among a merchant's, from 0 on: their bit in every crowd. It never changes."""

    __tablename__ = "report_number"
    __table_args__ = (
        UniqueConstraint("merchant_id", "number"),
        Index("report_number_of_person", "account_id"),
    )
    merchant_id: str = Field(foreign_key="merchant.id", primary_key=True)
    account_id: str = Field(foreign_key="account.id", primary_key=True)
    number: int


class ReportCrowd(SQLModel, table=True):
    """Who came to a store in a day, month or year, a bit for each guest (reports/crowd.py)."""

    __tablename__ = "report_crowd"
    __table_args__ = (Index("report_crowd_of_merchant", "merchant_id", "span", "first"),)
    store_id: str = Field(foreign_key="store.id", primary_key=True)
    span: str = Field(primary_key=True)  # day | month | year
    first: date = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id")
    came: bytes = b""
    again: bytes = b""  # twice or more
    by_voucher: bytes = b""


class ReportTouched(SQLModel, table=True):
    """A store's day on which something changed since it was rolled up."""

    __tablename__ = "report_touched"
    store_id: str = Field(foreign_key="store.id", primary_key=True)
    day: date = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id")


class ReportCursor(SQLModel, table=True):
    """How far a source was read for days that were touched."""

    __tablename__ = "report_cursor"
    name: str = Field(primary_key=True)
    at: str
    looked_at: datetime = Field(sa_type=UTCDateTime)  # wire time
