"""Staff and roles: who works here, in which role, where they are logged in, what each role may do."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth import phones
from cloud_api.auth.models import Account
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.staff import invitations, roles, service
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import GROUPS, STAFF_EDIT
from cloud_api.staff.roles import RoleView
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.console.listing import asked
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models import Choice, Column, Empty, Filter, Listing
from cloud_api.web.view_models.people import (
    InviteRow,
    RoleColumn,
    RoleFormPage,
    RolesPage,
    StaffFormPage,
    StaffLoginRow,
    StaffPage,
    StaffRow,
)

router = APIRouter(prefix="/console", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("/staff")
async def all_staff(request: Request, seen: Seen, who: Who) -> Response:
    """The merchant's staff, open invitations, logins. Needs staff.read."""
    wish = asked(request, names=("state", "role"), sorts=("name",), path="/console/staff")
    may = STAFF_EDIT in who.permissions
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        named = {one.key: one.name for one in await roles.list_roles(session, who)}
        members = await service.list_staff(session, who)
        open_ = await invitations.list_open(session, who, seen.cloud.clocks)
        logins = await service.logins_of_staff(session, who, seen.cloud.clocks) if may else []
    state, role = wish.get("state") or "working", wish.get("role")
    rows = tuple(
        StaffRow(
            id=member.id,
            href=f"/console/staff/{member.id}",
            name=member.name,
            role=_(named.get(member.role, _("已删除的岗位"))),
            phone=phones.masked(account.phone_tail),
            stores=frame.names_of(member.store_ids),
            active=member.active,
        )
        for member, account in members
        if member.active == (state == "working") and role in ("", member.role)
    )
    listing = Listing(
        path="/console/staff",
        caption=_("员工"),
        columns=(
            Column(_("姓名")),
            Column(_("岗位")),
            Column(_("门店")),
            Column(_("状态")),
        ),
        rows=rows,
        filters=(
            Filter(
                "state",
                "chips",
                _("状态"),
                state,
                (Choice("working", _("在职")), Choice("left", _("已停用"))),
            ),
            Filter(
                "role",
                "select",
                _("岗位"),
                role,
                (
                    Choice("", _("全部岗位")),
                    *(Choice(key, _(name)) for key, name in named.items()),
                ),
            ),
        ),
        query=wish.query,
        empty=Empty(_("这里是和你一起管店的人"), _("请一位员工"), "/console/staff/new"),
    )
    model = StaffPage(
        listing,
        invites=tuple(
            InviteRow(
                one.id,
                one.name,
                _(named.get(one.role, _("已删除的岗位"))),
                phones.masked(one.phone_tail),
                here.local(one.expires_at),
            )
            for one in open_
        ),
        logins=tuple(
            StaffLoginRow(
                login.id,
                member.name,
                login.device or _("不知道的设备"),
                here.local(login.last_seen_at or login.created_at),
                login.kind == "platform",
                login.id == who.login_id,
            )
            for member, login in logins[:30]
        ),
        second_factor=frame.merchant.second_factor,
        can_edit=may,
    )
    return console_page(here, who, frame, "console/staff.html", model, here="staff")


@router.get("/staff/new")
async def new_staff(seen: Seen, who: Who) -> Response:
    """Ask somebody to work here. Needs staff.edit."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        choices = await _choices(session, who)
    model = StaffFormPage(choices, frame.store_choices)
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/staff_form.html", model, here="staff")


@router.get("/staff/{staff_id}")
async def one_member(seen: Seen, who: Who, staff_id: str) -> Response:
    """A member of staff, to change. Needs staff.read."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        member = await service.get_staff(session, who, staff_id)
        account = await session.get_one(Account, member.account_id)
        choices = await _choices(session, who)
    stores = member.store_ids
    model = StaffFormPage(
        choices,
        frame.store_choices,
        id=member.id,
        name=member.name,
        phone=phones.masked(account.phone_tail),
        role=member.role,
        store_ids=None if stores is None else tuple(map(str, stores)),
        active=member.active,
        can_edit=STAFF_EDIT in who.permissions,
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/staff_form.html", model, here="staff")


@router.get("/roles")
async def all_roles(seen: Seen, who: Who) -> Response:
    """What each role may do. Needs staff.read."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await roles.list_roles(session, who)
    model = RolesPage(
        tuple(_column(one) for one in found), GROUPS, can_edit=STAFF_EDIT in who.permissions
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/roles.html", model, here="roles")


@router.get("/roles/new")
async def new_role(seen: Seen, who: Who) -> Response:
    """An own role. Needs staff.edit."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
    here = seen.at(frame.tz)
    model = RoleFormPage(GROUPS, refund_fen=0, waiver_fen=0)
    return console_page(here, who, frame, "console/role_form.html", model, here="roles")


@router.get("/roles/{key}")
async def one_role(seen: Seen, who: Who, key: str) -> Response:
    """A role, to change. Needs staff.read."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = {one.key: one for one in await roles.list_roles(session, who)}
    role = found.get(key)
    if role is None:
        raise NotFound("role", "没有这个岗位，或已经删除")
    model = RoleFormPage(
        GROUPS,
        key=role.key,
        name=_(role.name),
        permissions=role.permissions,
        refund_fen=role.limits.refund_fen,
        waiver_fen=role.limits.waiver_fen,
        second_factor=role.second_factor,
        preset=role.preset,
        members=role.members,
        can_edit=STAFF_EDIT in who.permissions,
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/role_form.html", model, here="roles")


async def _choices(session: AsyncSession, who: Staff) -> tuple[tuple[str, str], ...]:
    found = await roles.list_roles(session, who)
    return tuple((one.key, _(one.name)) for one in found)


def _column(role: RoleView) -> RoleColumn:
    return RoleColumn(
        key=role.key,
        href=f"/console/roles/{role.key}",
        name=_(role.name),
        permissions=role.permissions,
        refund=_limit(role.limits.refund_fen),
        waiver=_limit(role.limits.waiver_fen),
        second_factor=role.second_factor,
        members=role.members,
        preset=role.preset,
    )


def _limit(fen: int | None) -> str:
    if fen is None:
        return _("不限")
    return yuan(fen) if fen else "—"
