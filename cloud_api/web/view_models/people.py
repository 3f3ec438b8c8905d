"""What the pages about people are given: staff, roles, one's own safety, the platform."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.web.view_models.listing import Listing


@dataclass(frozen=True)
class StaffRow:
    id: str
    href: str
    name: str
    role: str
    phone: str
    stores: str
    active: bool


@dataclass(frozen=True)
class InviteRow:
    id: str
    name: str
    role: str
    phone: str
    until: datetime


@dataclass(frozen=True)
class StaffLoginRow:
    id: str
    name: str
    device: str
    seen_at: datetime
    platform: bool
    current: bool = False


@dataclass(frozen=True)
class StaffPage:
    """``second_factor``: who needs one: off, owner, all."""

    list: Listing[StaffRow]
    invites: tuple[InviteRow, ...]
    logins: tuple[StaffLoginRow, ...]
    second_factor: str
    can_edit: bool


Choices = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class StaffFormPage:
    """A new member (``id`` empty) or one to change. ``stores``: id, name, note."""

    roles: Choices
    stores: tuple[tuple[str, str, str], ...]
    id: str = ""
    name: str = ""
    phone: str = ""
    role: str = "cashier"
    store_ids: tuple[str, ...] | None = None
    active: bool = True
    can_edit: bool = True


@dataclass(frozen=True)
class RoleColumn:
    """``refund`` and ``waiver`` in words."""

    key: str
    href: str
    name: str
    permissions: frozenset[str]
    refund: str
    waiver: str
    second_factor: bool
    members: int
    preset: bool


@dataclass(frozen=True)
class RolesPage:
    roles: tuple[RoleColumn, ...]
    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    can_edit: bool


@dataclass(frozen=True)
class RoleFormPage:
    """A new role (``key`` empty), an own one, or a preset of which the limits alone change."""

    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    key: str = ""
    name: str = ""
    permissions: frozenset[str] = frozenset()
    refund_fen: int | None = None
    waiver_fen: int | None = None
    second_factor: bool = False
    preset: bool = False
    members: int = 0
    can_edit: bool = True


@dataclass(frozen=True)
class LoginRow:
    id: str
    device: str
    kind: str
    address: str
    seen_at: datetime
    current: bool
    platform: bool


@dataclass(frozen=True)
class SecurityPage:
    """``guided``: the first login: password, then the second factor, then on to ``next_href``."""

    phone: str
    has_password: bool
    needs_old: bool
    second_factor: bool
    recovery_left: int
    logins: tuple[LoginRow, ...]
    guided: bool
    next_href: str


@dataclass(frozen=True)
class FactorPage:
    next_href: str


@dataclass(frozen=True)
class MerchantRow:
    id: str
    name: str
    owners: str
    staff: int
    since: datetime
    suspended_why: str | None


@dataclass(frozen=True)
class PlatformPage:
    name: str
    merchants: tuple[MerchantRow, ...]
