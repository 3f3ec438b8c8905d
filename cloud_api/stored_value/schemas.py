"""What goes in and out of stored value. Money in fen."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.kit.i18n import gettext as _
from cloud_api.stored_value.models import GiftLot, TopupPlan, Wallet, WalletMove

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=200)]
KINDS = {
    "topup": "充值",
    "pay": "消费",
    "refund": "退回余额",
    "expire": "赠送到期",
    "adjust": "店家调整",
    "paid_out": "余额退款",
}


class PlanIn(BaseModel):
    """A plan: what is paid, what is given on top, for how many days, how often per member."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    pay_fen: Annotated[int, Field(ge=100, le=10_000_000)]
    gift_fen: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    gift_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    per_member: Annotated[int, Field(ge=1, le=1000)] | None = None
    active: bool = True
    sort: Annotated[int, Field(ge=0, le=1000)] = 0


class PlanOut(PlanIn):
    """A plan as it stands."""

    id: str

    @classmethod
    def of(cls, plan: TopupPlan) -> PlanOut:
        """From the table."""
        return cls(id=plan.id, **plan.model_dump(include=set(PlanIn.model_fields)))


class RuleIn(BaseModel):
    """Which part of a balance is spent first."""

    model_config = ConfigDict(extra="forbid")
    spend: Annotated[str, Field(pattern="^(gift_first|paid_first|in_proportion)$")]


class TopupIn(BaseModel):
    """Buy a plan at a store."""

    model_config = ConfigDict(extra="forbid")
    store_id: Annotated[str, Field(min_length=1, max_length=64)]
    plan_id: Annotated[str, Field(min_length=1, max_length=64)]
    provider: Annotated[str, Field(min_length=1, max_length=40)] = "cashier"
    channel: Annotated[str, Field(min_length=1, max_length=40)] = "page"


class TopupOut(BaseModel):
    """A top-up on its way."""

    topup_id: str
    payment_id: str
    state: str
    amount_fen: int
    redirect_url: str | None
    next_href: str  # where to go now: the provider's page, else the page of the payment


class MoveOut(BaseModel):
    """A movement; parts are signed."""

    id: str
    at: AwareDatetime
    kind: str
    word: str
    text: str
    paid_fen: int
    gift_fen: int
    after_fen: int

    @classmethod
    def of(cls, move: WalletMove) -> MoveOut:
        """From the table."""
        return cls(
            id=move.id,
            at=move.at,
            kind=move.kind,
            word=_(KINDS[move.kind]),
            text=move.text,
            paid_fen=move.paid_fen,
            gift_fen=move.gift_fen,
            after_fen=move.paid_after_fen + move.gift_after_fen,
        )


class GiftOut(BaseModel):
    """What is left of a gift, and until when."""

    left_fen: int
    expires_at: AwareDatetime | None

    @classmethod
    def of(cls, lot: GiftLot) -> GiftOut:
        """From the table."""
        return cls(left_fen=lot.left_fen, expires_at=lot.expires_at)


class BalanceOut(BaseModel):
    """A member's balance at a merchant. ``held_fen`` waits for payments that are open."""

    merchant_id: str
    merchant: str
    paid_fen: int
    gift_fen: int
    total_fen: int
    held_fen: int
    refundable_fen: int
    spend: str
    gifts: list[GiftOut]
    moves: list[MoveOut]
    plans: list[PlanOut]


class AdjustIn(BaseModel):
    """Add to a balance (as a gift) or take from it; why is shown to the member."""

    model_config = ConfigDict(extra="forbid")
    store_id: Annotated[str, Field(min_length=1, max_length=64)]
    amount_fen: Annotated[int, Field(ge=-10_000_000, le=10_000_000)]
    why: Why


class PayOutIn(BaseModel):
    """Give paid money back out of a balance, the way it came."""

    model_config = ConfigDict(extra="forbid")
    amount_fen: Annotated[int, Field(gt=0, le=100_000_000)]
    why: Why


def held(wallet: Wallet) -> int:
    """What waits for open payments."""
    return wallet.held_paid_fen + wallet.held_gift_fen
