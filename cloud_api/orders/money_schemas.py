"""What goes in and out of refund requests, deposits and the desk. Money in fen."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cloud_api.kit.i18n import gettext as _
from cloud_api.orders.models import Deposit, DepositClaim, DepositRule, RefundRequest

Text = Annotated[str, Field(max_length=200)]
Amount = Annotated[int, Field(gt=0, le=100_000_000)]


class RefundAskIn(BaseModel):
    """Why, and how much; without an amount all of it."""

    model_config = ConfigDict(extra="forbid")
    why: Text = ""
    amount_fen: Amount | None = None


class ApproveIn(BaseModel):
    """How much goes back."""

    model_config = ConfigDict(extra="forbid")
    amount_fen: Amount
    why: Text = ""


class ReasonIn(BaseModel):
    """A reason."""

    model_config = ConfigDict(extra="forbid")
    why: Text = ""


class RefundRequestOut(BaseModel):
    """A request. ``state``: open, approved, declined, withdrawn."""

    id: str
    order_id: str
    state: str
    word: str
    why: str
    asked_fen: int
    approved_fen: int | None
    decided_why: str
    at: AwareDatetime
    decided_at: AwareDatetime | None

    @classmethod
    def of(cls, found: RefundRequest) -> RefundRequestOut:
        """From the table."""
        part = found.approved_fen is not None and found.approved_fen < found.asked_fen
        texts = {
            "open": _("等店家处理"),
            "approved": _("同意退一部分") if part else _("已同意"),
            "declined": _("没有同意"),
            "withdrawn": _("已撤回"),
        }
        return cls(
            id=found.id,
            order_id=found.order_id,
            state=found.state,
            word=texts[found.state],
            why=found.why,
            asked_fen=found.asked_fen,
            approved_fen=found.approved_fen,
            decided_why=found.decided_why,
            at=found.created_at,
            decided_at=found.decided_at,
        )


class StaffRefundRequestOut(RefundRequestOut):
    """What staff see more: the rule's proposal, and who passed it up."""

    proposal_fen: int
    proposal_text: str
    passed_up: bool

    @classmethod
    def of(cls, found: RefundRequest) -> StaffRefundRequestOut:
        """From the table."""
        return cls(
            **RefundRequestOut.of(found).model_dump(),
            proposal_fen=found.proposal_fen,
            proposal_text=found.proposal_text,
            passed_up=found.passed_up_by is not None,
        )


class ClaimIn(BaseModel):
    """What staff want to keep of a deposit."""

    model_config = ConfigDict(extra="forbid")
    amount_fen: Amount
    why: Text = ""
    photo: Annotated[str, Field(max_length=300)] = ""


class DecideIn(ReasonIn):
    """Keep it, or let it go."""

    keep: bool


class ClaimOut(BaseModel):
    """A claim on a deposit."""

    id: str
    state: str
    word: str
    amount_fen: int
    why: str
    photo: str
    objection: str
    decided_why: str
    at: AwareDatetime

    @classmethod
    def of(cls, found: DepositClaim) -> ClaimOut:
        """From the table."""
        texts = {
            "open": _("24 小时内可以提出异议"),
            "disputed": _("有异议，店家在处理"),
            "kept": _("已扣"),
            "dropped": _("不扣了"),
        }
        return cls(
            id=found.id,
            state=found.state,
            word=texts[found.state],
            amount_fen=found.amount_fen,
            why=found.why,
            photo=found.photo,
            objection=found.objection,
            decided_why=found.decided_why,
            at=found.created_at,
        )


class DepositOut(BaseModel):
    """A deposit: what was paid, what of it is held, went back, was kept."""

    state: str
    amount_fen: int
    held_fen: int
    returned_fen: int
    damage_fen: int
    overtime_fen: int
    return_at: AwareDatetime | None
    claims: list[ClaimOut]

    @classmethod
    def of(cls, deposit: Deposit, claims: list[DepositClaim]) -> DepositOut:
        """From the tables."""
        return cls(
            state=deposit.state,
            amount_fen=deposit.amount_fen,
            held_fen=deposit.held_fen,
            returned_fen=deposit.returned_fen,
            damage_fen=deposit.damage_fen,
            overtime_fen=deposit.overtime_fen,
            return_at=deposit.return_at,
            claims=[ClaimOut.of(one) for one in claims],
        )


class DepositRuleIn(BaseModel):
    """The deposit of a store, or of one of its rooms; nothing is none."""

    model_config = ConfigDict(extra="forbid")
    room_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    amount_fen: Annotated[int, Field(ge=0, le=10_000_000)]
    return_minutes: Annotated[int, Field(ge=0, le=10_080)] = 30


class DepositRuleOut(DepositRuleIn):
    """As it stands."""

    @classmethod
    def of(cls, rule: DepositRule) -> DepositRuleOut:
        """From the table."""
        return cls(
            room_id=rule.room_id, amount_fen=rule.amount_fen, return_minutes=rule.return_minutes
        )
