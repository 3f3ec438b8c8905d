"""A member's balance at a merchant, its gifts, its movements; plans to top it up."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id


class Wallet(SQLModel, table=True):
    """What a member has at a merchant: paid and given part, without what is held for open payments."""

    __tablename__ = "wallet"
    __table_args__ = (
        UniqueConstraint("merchant_id", "account_id"),
        CheckConstraint(
            "paid_fen >= 0 AND gift_fen >= 0 AND held_paid_fen >= 0 AND held_gift_fen >= 0"
        ),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    paid_fen: int = 0
    gift_fen: int = 0
    held_paid_fen: int = 0
    held_gift_fen: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)

    @property
    def total_fen(self) -> int:
        """What can be spent now."""
        return self.paid_fen + self.gift_fen


class GiftLot(SQLModel, table=True):
    """A gift and until when it counts; the one that ends first is spent first."""

    __tablename__ = "gift_lot"
    __table_args__ = (CheckConstraint("left_fen >= 0 AND left_fen <= amount_fen"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    wallet_id: str = Field(foreign_key="wallet.id", index=True)
    store_id: str = Field(foreign_key="store.id")
    amount_fen: int
    left_fen: int
    expires_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)


class WalletMove(SQLModel, table=True):
    """One movement, never changed. ``key`` names its cause; ``lots`` which gifts it took or gave."""

    __tablename__ = "wallet_move"
    __table_args__ = (
        UniqueConstraint("wallet_id", "key"),
        Index("wallet_move_key", "merchant_id", "key"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id")
    account_id: str = Field(foreign_key="account.id", index=True)
    wallet_id: str = Field(foreign_key="wallet.id", index=True)
    key: str
    kind: str  # topup | pay | refund | expire | adjust | paid_out
    paid_fen: int  # signed
    gift_fen: int
    paid_after_fen: int
    gift_after_fen: int
    subject: str
    text: str = ""
    by: str
    lots: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    at: datetime = Field(sa_type=UTCDateTime)


class WalletHold(SQLModel, table=True):
    """The part of a combined payment that comes out of the balance, until the other part is known."""

    __tablename__ = "wallet_hold"
    __table_args__ = (
        CheckConstraint("state IN ('held','taken','released')"),
        CheckConstraint("paid_fen >= 0 AND gift_fen >= 0 AND paid_fen + gift_fen > 0"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    wallet_id: str = Field(foreign_key="wallet.id", index=True)
    payment_id: str = Field(foreign_key="payment_attempt.id", unique=True)
    state: str = "held"
    paid_fen: int
    gift_fen: int
    lots: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    created_at: datetime = Field(sa_type=UTCDateTime)


class TopupPlan(SQLModel, table=True):
    """充 300 送 50. ``gift_days`` None: the gift has no end; ``per_member`` None: as often as one likes."""

    __tablename__ = "topup_plan"
    __table_args__ = (CheckConstraint("pay_fen > 0 AND gift_fen >= 0"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    name: str = Field(max_length=40)
    pay_fen: int
    gift_fen: int = 0
    gift_days: int | None = None
    per_member: int | None = None
    active: bool = True
    sort: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)


class Topup(SQLModel, table=True):
    """A top-up that a member bought: the plan as it was then. States: waiting → done | void."""

    __tablename__ = "topup"
    __table_args__ = (CheckConstraint("state IN ('waiting','done','void')"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    plan_id: str = Field(foreign_key="topup_plan.id", index=True)
    number: str = Field(unique=True)
    state: str = "waiting"
    pay_fen: int
    gift_fen: int
    gift_days: int | None = None
    created_at: datetime = Field(sa_type=UTCDateTime)
    done_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class BalanceRule(SQLModel, table=True):
    """A merchant's rule: which part of a balance is spent first."""

    __tablename__ = "balance_rule"
    __table_args__ = (CheckConstraint("spend IN ('gift_first','paid_first','in_proportion')"),)
    merchant_id: str = Field(primary_key=True, foreign_key="merchant.id")
    spend: str = "gift_first"
