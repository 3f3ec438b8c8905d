"""What a member of staff may do and give away: the preset role, changed or replaced by the merchant's."""

from __future__ import annotations

from cloud_api.kit.actor import Limits
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff.models import Role, StaffMember
from cloud_api.staff.permissions import ALL, NOTHING, ROLE_LIMITS, ROLE_NAMES, ROLES, of_role


def permissions_of(key: str, role: Role | None) -> frozenset[str]:
    """The permissions of a role; an own role that is gone has none."""
    if role is None or role.permissions is None:
        return of_role(key)
    return frozenset(map(str, role.permissions)) & ALL


def limits_of(key: str, role: Role | None) -> Limits:
    """What the role may give away at once."""
    if role is None:
        return ROLE_LIMITS.get(key, NOTHING)
    return Limits(refund_fen=role.refund_fen, waiver_fen=role.waiver_fen)


def name_of(key: str, role: Role | None) -> str:
    """The role in words."""
    return role.name if role is not None else ROLE_NAMES.get(key, _("已删除的岗位"))


def is_owner(member: StaffMember) -> bool:
    """Whether the member owns the whole merchant, not only a branch."""
    return member.active and member.role == "owner" and member.store_ids is None


def is_preset(key: str) -> bool:
    """Whether a role is one of ours, not the merchant's."""
    return key in ROLES
