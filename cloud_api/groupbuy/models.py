"""Campaigns, teams, who bought how many, and the orders of group-buy. Instants are business time."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id

_ACTIVE = text("team_id IS NOT NULL AND status IN ('pending_payment','paid','issued')")


class Campaign(SQLModel, table=True):
    """What a merchant sells in advance: a package, its price, who may use it when, and how many.

    ``team_size`` 1 is plain group-buy; more needs that many buyers within ``team_hours``. ``taken``
    counts what is sold or held for somebody who is paying; never more than ``stock``. ``weekdays``,
    ``from_minute`` and ``until_minute`` as in a voucher. ``picture`` is the drawing where there is no photo.
    """

    __table_args__ = (
        CheckConstraint("state IN ('draft','published','paused','ended')"),
        CheckConstraint("price_fen > 0 AND list_fen >= price_fen"),
        CheckConstraint("team_size BETWEEN 1 AND 20 AND team_hours > 0"),
        CheckConstraint("taken >= 0 AND (stock IS NULL OR taken <= stock)"),
        CheckConstraint("minutes > 0 AND valid_days > 0 AND most_per_order > 0"),
        CheckConstraint("starts_at < ends_at"),
        CheckConstraint("on_fail IN ('refund','complete')"),
        CheckConstraint("weekdays BETWEEN 1 AND 127"),
        CheckConstraint("from_minute >= 0 AND from_minute < until_minute AND until_minute <= 2880"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    name: str = Field(max_length=60)
    tagline: str = Field(default="", max_length=120)
    state: str = Field(default="draft", index=True)
    price_fen: int  # for one, in a team
    list_fen: int  # what the same costs without
    team_size: int = 1
    team_hours: int = 24
    on_fail: str = "refund"
    starts_at: datetime = Field(sa_type=UTCDateTime)
    ends_at: datetime = Field(sa_type=UTCDateTime)
    stock: int | None = None
    taken: int = 0
    most_per_customer: int | None = None
    most_per_order: int = 5
    valid_days: int = 90
    minutes: int
    people: int = 0
    store_ids: list[Any] = Field(sa_type=Json)
    room_ids: list[Any] = Field(default_factory=list, sa_type=Json)
    weekdays: int = 127
    from_minute: int = 0
    until_minute: int = 1440
    extras: list[Any] = Field(default_factory=list, sa_type=Json)  # words: 茶水一壶
    story: str = ""  # HTML, sanitised
    pictures: list[Any] = Field(default_factory=list, sa_type=Json)  # ids of media, cover first
    picture: str = "room-moon-bamboo"
    rules: str = ""
    refundable: bool = True  # a voucher not used may be given back at any time
    refund_on_expiry: bool = True
    sort: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    version: int = 0


class Bought(SQLModel, table=True):
    """How many of a campaign a customer has bought or holds; the limit is kept by a conditional UPDATE."""

    __tablename__ = "groupbuy_bought"
    __table_args__ = (CheckConstraint("count >= 0"),)
    campaign_id: str = Field(primary_key=True, foreign_key="campaign.id")
    account_id: str = Field(primary_key=True, foreign_key="account.id")
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    count: int = 0


class ShareVisit(SQLModel, table=True):
    """How often a campaign's shared pages were opened on a day, by people who were not in the team."""

    __tablename__ = "groupbuy_share_visit"
    campaign_id: str = Field(primary_key=True, foreign_key="campaign.id")
    day: date = Field(primary_key=True)  # local to the first store
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    visits: int = 0


class Team(SQLModel, table=True):
    """People who buy together. ``reserved`` counts seats of who paid or is paying, ``paid`` who paid."""

    __table_args__ = (
        CheckConstraint("state IN ('open','full','failed')"),
        CheckConstraint("paid >= 0 AND paid <= reserved AND reserved <= size"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    campaign_id: str = Field(foreign_key="campaign.id", index=True)
    token: str = Field(unique=True)  # in the link that is shared
    opened_by: str = Field(foreign_key="account.id")
    size: int
    reserved: int = 1
    paid: int = 0
    state: str = "open"
    deadline: datetime = Field(sa_type=UTCDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)


class GroupOrder(SQLModel, table=True):
    """What a customer bought of a campaign. Status is changed in groupbuy/transitions.py only."""

    __tablename__ = "group_order"
    __table_args__ = (
        CheckConstraint(
            "status IN ('pending_payment','paid','issued','cancelled','refunding','refunded')"
        ),
        CheckConstraint("quantity > 0 AND total_fen = quantity * price_fen"),
        CheckConstraint("refunded_fen >= 0 AND refunded_fen <= total_fen"),
        Index(  # nobody sits twice at one table
            "one_seat_each",
            "team_id",
            "account_id",
            unique=True,
            postgresql_where=_ACTIVE,
            sqlite_where=_ACTIVE,
        ),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)  # whose account takes the money
    account_id: str = Field(foreign_key="account.id", index=True)
    campaign_id: str = Field(foreign_key="campaign.id", index=True)
    team_id: str | None = Field(default=None, foreign_key="team.id", index=True)
    number: str = Field(unique=True)
    status: str = "pending_payment"
    quantity: int
    price_fen: int
    total_fen: int
    refunded_fen: int = 0
    # What its vouchers are good for, as it stood when it was bought: see groupbuy/terms.py.
    terms: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    hold_expires_at: datetime = Field(sa_type=UTCDateTime)
    why: str = ""  # of the last change
    paid_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    shared_by: str | None = None  # whose link led here
    created_at: datetime = Field(sa_type=UTCDateTime)
    version: int = 0
