"""A merchant's roles: the presets with its limits, and those it made of permissions itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import changes, facts, record
from cloud_api.auth.service import rights_changed
from cloud_api.kit.actor import Limits, Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.staff import rights
from cloud_api.staff.models import Role, StaffMember
from cloud_api.staff.permissions import ALL, ROLES, STAFF_EDIT, STAFF_READ

_FACTS = ("name", "permissions", "refund_fen", "waiver_fen", "second_factor")
MOST = 30


@dataclass(frozen=True, slots=True)
class RoleView:
    """A role as the merchant has it. ``members``: how many work in it now."""

    key: str
    name: str
    permissions: frozenset[str]
    limits: Limits
    second_factor: bool
    preset: bool
    members: int


async def find(session: AsyncSession, merchant_id: str, key: str) -> Role | None:
    """The merchant's row of a role, if it has one. Asked before there is a staff actor."""
    query = select(Role).where(col(Role.merchant_id) == merchant_id, col(Role.key) == key)
    return (await session.exec(query)).one_or_none()


async def list_roles(session: AsyncSession, actor: Staff) -> list[RoleView]:
    """The presets, then the merchant's own. Needs staff.read."""
    actor.need(STAFF_READ)
    rows = (await session.exec(scoped(actor, Role).order_by(col(Role.id)))).all()
    counted = await session.exec(
        select(StaffMember.role, func.count())
        .where(col(StaffMember.merchant_id) == actor.merchant_id, col(StaffMember.active))
        .group_by(col(StaffMember.role))
    )
    members = dict(counted.all())
    known = {row.key: row for row in rows}
    keys = [*ROLES, *(row.key for row in rows if not rights.is_preset(row.key))]
    return [_view(key, known.get(key), members.get(key, 0)) for key in keys]


async def need_role(session: AsyncSession, merchant_id: str, key: str) -> Role | None:
    """The row of a role that is there. Raises KaimenError ``staff.bad_role`` (422)."""
    role = await find(session, merchant_id, key)
    if role is None and not rights.is_preset(key):
        raise KaimenError("staff.bad_role", "没有这个岗位", status=422, field="role")
    return role


async def make_role(
    session: AsyncSession,
    actor: Staff,
    *,
    name: str,
    permissions: frozenset[str],
    limits: Limits,
    second_factor: bool,
    clocks: Clocks,
) -> RoleView:
    """An own role. Needs staff.edit; nobody makes a role that may more than they."""
    _may(actor, permissions)
    _within(actor, limits)
    mine = (await session.exec(scoped(actor, Role))).all()
    if sum(not rights.is_preset(one.key) for one in mine) >= MOST:
        raise Conflict("role.too_many", _("自定岗位最多 {most} 个，先删掉不用的").format(most=MOST))
    _free_name(mine, name, "")
    key = new_id()
    role = Role(
        id=key,
        merchant_id=actor.merchant_id,
        key=key,
        name=name,
        permissions=sorted(permissions),
        refund_fen=limits.refund_fen,
        waiver_fen=limits.waiver_fen,
        second_factor=second_factor,
        created_at=clocks.real,
        updated_at=clocks.real,
    )
    session.add(role)
    await session.flush()
    await _note(session, actor, "role.make", key, None, facts(role, *_FACTS), clocks)
    return _view(key, role, 0)


async def change_role(
    session: AsyncSession,
    actor: Staff,
    key: str,
    *,
    name: str | None,
    permissions: frozenset[str] | None,
    limits: Limits | None,
    second_factor: bool | None,
    clocks: Clocks,
) -> RoleView:
    """Change an own role, or a preset's limits; who has it works by the new one at once.

    Needs staff.edit. Raises KaimenError ``role.preset`` for a preset's name or permissions, and
    ``role.owner`` for limits of the owner's.
    """
    _may(actor, permissions or frozenset())
    role = await find(session, actor.merchant_id, key)
    if role is None and not rights.is_preset(key):
        raise NotFound("role")
    if rights.is_preset(key) and (name is not None or permissions is not None):
        raise Conflict("role.preset", "自带的岗位只能改额度和动态码，要别的权限就新建一个")
    if key == "owner" and limits is not None:
        raise Conflict("role.owner", "店主没有额度限制")
    _may(actor, rights.permissions_of(key, role))
    if limits is not None:
        _within(actor, limits)
    before = _shown(key, role)
    if role is None:
        was = rights.limits_of(key, None)
        role = Role(
            merchant_id=actor.merchant_id,
            key=key,
            name=rights.name_of(key, None),
            refund_fen=was.refund_fen,
            waiver_fen=was.waiver_fen,
            created_at=clocks.real,
            updated_at=clocks.real,
        )
    if name is not None:
        _free_name((await session.exec(scoped(actor, Role))).all(), name, key)
        role.name = name
    if permissions is not None:
        role.permissions = sorted(permissions)
    if limits is not None:
        role.refund_fen, role.waiver_fen = limits.refund_fen, limits.waiver_fen
    if second_factor is not None:
        role.second_factor = second_factor
    role.updated_at = clocks.real
    session.add(role)
    await session.flush()
    was_, is_ = changes(before, facts(role, *_FACTS))
    if is_:
        await _note(session, actor, "role.change", key, was_, is_, clocks)
        rights_changed(session, actor.merchant_id)
    return _view(key, role, await _members(session, actor, key))


async def delete_role(session: AsyncSession, actor: Staff, key: str, clocks: Clocks) -> None:
    """Delete an own role nobody has. Needs staff.edit, for every store, and what the role may.

    Raises NotFound, KaimenError ``role.branch``, ``role.in_use``.
    """
    actor.need(STAFF_EDIT)
    query = scoped(actor, Role).where(col(Role.key) == key).with_for_update()
    role = (await session.exec(query)).one_or_none()
    if role is None or rights.is_preset(key):
        raise NotFound("role")
    _may(actor, rights.permissions_of(key, role))
    count = await _members(session, actor, key)
    if count:
        raise Conflict(
            "role.in_use", _("还有 {count} 个人是这个岗位，先给他们换岗位").format(count=count)
        )
    await _note(session, actor, "role.delete", key, facts(role, *_FACTS), None, clocks)
    await session.delete(role)


def _view(key: str, role: Role | None, members: int) -> RoleView:
    return RoleView(
        key=key,
        name=rights.name_of(key, role),
        permissions=rights.permissions_of(key, role),
        limits=rights.limits_of(key, role),
        second_factor=role is not None and role.second_factor,
        preset=rights.is_preset(key),
        members=members,
    )


def _shown(key: str, role: Role | None) -> dict[str, Any]:
    if role is not None:
        return facts(role, *_FACTS)
    limits = rights.limits_of(key, None)
    return {
        "name": rights.name_of(key, None),
        "permissions": None,
        "refund_fen": limits.refund_fen,
        "waiver_fen": limits.waiver_fen,
        "second_factor": False,
    }


async def _members(session: AsyncSession, actor: Staff, key: str) -> int:
    query = select(func.count()).where(
        col(StaffMember.merchant_id) == actor.merchant_id,
        col(StaffMember.role) == key,
        col(StaffMember.active),
    )
    return (await session.exec(query)).one()


def _may(actor: Staff, permissions: frozenset[str]) -> None:
    actor.need(STAFF_EDIT)
    if actor.store_ids is not None:
        raise KaimenError("role.branch", "岗位是全部门店共用的，请让店主来改", status=403)
    unknown = permissions - ALL
    if unknown:
        raise KaimenError(
            "role.bad_permission",
            "有不认识的权限",
            status=422,
            field="permissions",
            extra={"unknown": sorted(unknown)},
        )
    more = permissions - actor.permissions
    if more:
        actor.need(sorted(more)[0])


def _within(actor: Staff, limits: Limits) -> None:
    for mine, given, field in (
        (actor.limits.refund_fen, limits.refund_fen, "refund_fen"),
        (actor.limits.waiver_fen, limits.waiver_fen, "waiver_fen"),
    ):
        if mine is not None and (given is None or given > mine):
            raise KaimenError("role.limit", "额度不能比你自己的高", status=403, field=field)


def _free_name(mine: Any, name: str, key: str) -> None:
    taken = {one.name for one in mine if one.key != key}
    taken |= {rights.name_of(preset, None) for preset in ROLES if preset != key}
    if name in taken:
        raise Conflict("role.name_taken", "已经有叫这个名字的岗位")


async def _note(
    session: AsyncSession,
    actor: Staff,
    action: str,
    key: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    clocks: Clocks,
) -> None:
    await record(
        session,
        actor,
        action,
        merchant_id=actor.merchant_id,
        subject=f"role:{key}",
        before=before,
        after=after,
        clocks=clocks,
    )
