"""Vouchers as they were sold, and each redemption of one. Instants are business time."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime
from cloud_api.kit.ids import new_id


class Voucher(SQLModel, table=True):
    """A right to ``minutes`` of a room, bought and not yet used. It keeps the terms it was sold under.

    States: issued → redeemed | expired | refunding → refunded (vouchers/transitions.py). The code is a
    bearer's secret: encrypted, found by ``code_index``. ``weekdays`` is a bit mask, Monday = 1;
    ``from_minute`` and ``until_minute`` count from local midnight, the second may lie on the next day.
    """

    __table_args__ = (
        CheckConstraint("state IN ('issued','redeemed','expired','refunding','refunded')"),
        CheckConstraint("minutes > 0 AND value_fen >= 0 AND valid_from < valid_until"),
        CheckConstraint("state <> 'redeemed' OR redemption_id IS NOT NULL"),
        CheckConstraint("weekdays BETWEEN 1 AND 127"),
        CheckConstraint("from_minute >= 0 AND from_minute < until_minute AND until_minute <= 2880"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)  # whose it is; a gift moves it
    source: str = Field(index=True)  # "groupbuy:<order id>": what it was bought with
    campaign_id: str = Field(index=True)
    name: str = Field(max_length=60)
    code: str = Field(sa_type=Encrypted("voucher.code"))
    code_index: str = Field(unique=True)
    value_fen: int  # what was paid for it
    minutes: int
    people: int = 0  # 0: as many as the room holds
    store_ids: list[Any] = Field(sa_type=Json)
    room_ids: list[Any] = Field(default_factory=list, sa_type=Json)  # none: every room
    weekdays: int = 127
    from_minute: int = 0
    until_minute: int = 1440
    rules: str = ""  # in words, as they stood on the page
    valid_from: datetime = Field(sa_type=UTCDateTime)
    valid_until: datetime = Field(sa_type=UTCDateTime)
    refundable: bool = True  # not used, it may be given back at any time
    refund_on_expiry: bool = True
    returned_fen: int = 0  # of one that a late cancelling used up: what went back all the same
    state: str = Field(default="issued", index=True)
    redemption_id: str | None = Field(default=None, unique=True)
    gift_hash: str | None = Field(default=None, unique=True)  # of the link that a friend may open
    reminded_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)
    version: int = 0


class Redemption(SQLModel, table=True):
    """One use of a voucher, or the undoing of one: who, how, where, for which order. Never changed."""

    __table_args__ = (
        CheckConstraint("kind IN ('redeem','undo')"),
        CheckConstraint("kind = 'redeem' OR undoes IS NOT NULL"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    voucher_id: str = Field(foreign_key="voucher.id", index=True)
    campaign_id: str = Field(index=True)
    kind: str = "redeem"
    undoes: str | None = Field(default=None, unique=True)  # at most one undoing of a redemption
    order_id: str = Field(index=True)
    room_id: str
    way: str  # scan | code | pick | online | door | scanner
    by: str
    by_name: str = ""
    why: str = ""
    amount_fen: int
    at: datetime = Field(sa_type=UTCDateTime, index=True)
