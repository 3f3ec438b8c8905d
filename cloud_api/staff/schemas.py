"""What goes in and out of the routes for staff, roles, invitations and the platform."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from cloud_api.auth.models import Account, Login
from cloud_api.kit.actor import Limits
from cloud_api.staff.models import Impersonation, Invitation, StaffMember
from cloud_api.staff.platform import MerchantView
from cloud_api.staff.roles import RoleView

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
RoleName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Phone = Annotated[str, StringConstraints(strip_whitespace=True, min_length=6, max_length=24)]
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=200)]
Fen = Annotated[int, Field(ge=0, le=100_000_000)]
Stores = Annotated[
    list[Annotated[str, StringConstraints(max_length=64)]], Field(min_length=1, max_length=500)
]
Token = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10, max_length=80)]


class WorkplaceOut(BaseModel):
    """A merchant that the logged-in person works for."""

    merchant_id: str
    merchant: str
    role: str


class ConsoleMeOut(BaseModel):
    """Who the console knows, and what they may do. ``acting``: the platform acts for the owner."""

    staff_id: str
    name: str
    merchant_id: str
    permissions: list[str]
    store_ids: list[str] | None
    refund_fen: int | None
    waiver_fen: int | None
    fresh: bool
    acting: bool
    workplaces: list[WorkplaceOut]


class StaffOut(BaseModel):
    """A member of staff; the number is never given in full."""

    id: str
    name: str
    role: str
    phone_tail: str
    store_ids: list[str] | None
    active: bool

    @classmethod
    def of(cls, member: StaffMember, account: Account) -> StaffOut:
        """From the tables."""
        return cls(
            id=member.id,
            name=member.name,
            role=member.role,
            phone_tail=account.phone_tail,
            store_ids=None if member.store_ids is None else list(map(str, member.store_ids)),
            active=member.active,
        )


class StaffListOut(BaseModel):
    """A page of the merchant's staff."""

    items: list[StaffOut]
    next_cursor: str | None = None


class StaffIn(BaseModel):
    """A new member of staff; ``store_ids`` null = every store."""

    phone: Phone
    name: Name
    role: Key
    store_ids: Stores | None = None


class StaffChangeIn(BaseModel):
    """What to change; what is not given stays. ``store_ids`` null = every store."""

    name: Name | None = None
    role: Key | None = None
    store_ids: Stores | None = None


class RoleIn(BaseModel):
    """An own role. Limits in fen; null = no limit."""

    name: RoleName
    permissions: list[str] = Field(max_length=100)
    refund_fen: Fen | None = None
    waiver_fen: Fen | None = None
    second_factor: bool = False

    @property
    def limits(self) -> Limits:
        """Both limits."""
        return Limits(self.refund_fen, self.waiver_fen)


class RoleChangeIn(BaseModel):
    """What to change; what is not given stays. The limits change together; null = no limit."""

    name: RoleName | None = None
    permissions: list[str] | None = Field(None, max_length=100)
    refund_fen: Fen | None = None
    waiver_fen: Fen | None = None
    second_factor: bool | None = None

    @property
    def limits(self) -> Limits | None:
        """Both limits, where either was given."""
        if not {"refund_fen", "waiver_fen"} & self.model_fields_set:
            return None
        return Limits(self.refund_fen, self.waiver_fen)


class RoleOut(BaseModel):
    """A role as the merchant has it. ``members``: how many work in it now."""

    key: str
    name: str
    permissions: list[str]
    refund_fen: int | None
    waiver_fen: int | None
    second_factor: bool
    preset: bool
    members: int

    @classmethod
    def of(cls, view: RoleView) -> RoleOut:
        """From the view."""
        return cls(
            key=view.key,
            name=view.name,
            permissions=sorted(view.permissions),
            refund_fen=view.limits.refund_fen,
            waiver_fen=view.limits.waiver_fen,
            second_factor=view.second_factor,
            preset=view.preset,
            members=view.members,
        )


class PermissionOut(BaseModel):
    """A permission in words."""

    key: str
    name: str
    group: str


class RolesOut(BaseModel):
    """The merchant's roles, and all that they are made of."""

    items: list[RoleOut]
    permissions: list[PermissionOut]


class InvitationOut(BaseModel):
    """An invitation that nobody took yet."""

    id: str
    name: str
    phone_tail: str
    role: str
    store_ids: list[str] | None
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, invitation: Invitation) -> InvitationOut:
        """From the table."""
        stores = invitation.store_ids
        return cls(
            id=invitation.id,
            name=invitation.name,
            phone_tail=invitation.phone_tail,
            role=invitation.role,
            store_ids=None if stores is None else list(map(str, stores)),
            created_at=invitation.created_at,
            expires_at=invitation.expires_at,
        )


class InvitationsOut(BaseModel):
    """Open invitations, the newest first."""

    items: list[InvitationOut]


class InvitedOut(InvitationOut):
    """An invitation just made. ``link`` is shown this one time; it works for that phone alone."""

    link: str
    sms_sent: bool


class TokenIn(BaseModel):
    """The token of an invitation's link."""

    token: Token


class InvitedToOut(BaseModel):
    """What an invitation invites to."""

    merchant: str
    role: str
    name: str
    phone_tail: str
    expires_at: datetime


class StaffLoginOut(BaseModel):
    """Where a member of staff is logged in. ``kind`` platform: the platform acts for them."""

    id: str
    staff_id: str
    staff: str
    kind: str
    device: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, member: StaffMember, login: Login) -> StaffLoginOut:
        """From the tables."""
        return cls(
            id=login.id,
            staff_id=member.id,
            staff=member.name,
            kind=login.kind,
            device=login.device,
            created_at=login.created_at,
            last_seen_at=login.last_seen_at or login.created_at,
            expires_at=login.expires_at,
        )


class StaffLoginsOut(BaseModel):
    """Where the merchant's staff are logged in, the one used last first."""

    items: list[StaffLoginOut]


class SecondFactorIn(BaseModel):
    """Who needs a second factor at the console."""

    who: Literal["off", "owner", "all"]


class PlatformMeOut(BaseModel):
    """The administrator of the installation of this login."""

    admin_id: str
    name: str
    fresh: bool


class MerchantOut(BaseModel):
    """A merchant as the platform sees it."""

    id: str
    name: str
    created_at: datetime
    staff: int
    owners: list[str]
    suspended_at: datetime | None
    suspended_why: str

    @classmethod
    def of(cls, view: MerchantView) -> MerchantOut:
        """From the view."""
        return cls(
            id=view.merchant.id,
            name=view.merchant.name,
            created_at=view.merchant.created_at,
            staff=view.staff,
            owners=list(view.owners),
            suspended_at=view.merchant.suspended_at,
            suspended_why=view.merchant.suspended_why,
        )


class MerchantsOut(BaseModel):
    """A page of all merchants, the oldest first."""

    items: list[MerchantOut]
    next_cursor: str | None = None


class MerchantIn(BaseModel):
    """A new merchant and its owner, who logs in with a code by SMS."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
    phone: Phone
    owner: Name = "店主"


class WhyIn(BaseModel):
    """A reason, which the merchant reads in its audit."""

    why: Why


class ImpersonateIn(WhyIn):
    """Act for a merchant's owner, for ``minutes``."""

    read_only: bool = True
    minutes: Annotated[int, Field(ge=1, le=60)] = 15


class ActingOut(BaseModel):
    """An impersonation just begun; browsers have ``token`` in a cookie as well."""

    id: str
    token: str
    merchant_id: str
    merchant: str
    read_only: bool
    expires_at: datetime

    @classmethod
    def of(cls, impersonation: Impersonation, token: str, merchant: str) -> ActingOut:
        """From the table."""
        return cls(
            id=impersonation.id,
            token=token,
            merchant_id=impersonation.merchant_id,
            merchant=merchant,
            read_only=impersonation.read_only,
            expires_at=impersonation.expires_at,
        )
