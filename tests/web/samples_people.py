"""What pages about people are given in tests of templates."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cloud_api.staff.permissions import GROUPS, ROLES
from cloud_api.web.view_models import Column, ConsoleShell, Empty, Listing, Shell
from cloud_api.web.view_models.people import (
    FactorPage,
    InviteRow,
    LoginRow,
    MerchantRow,
    PlatformPage,
    RoleColumn,
    RoleFormPage,
    RolesPage,
    SecurityPage,
    StaffFormPage,
    StaffLoginRow,
    StaffPage,
    StaffRow,
)
from tests.web.samples import NOW

_ROLES = (("owner", "店主"), ("cashier", "收银员"))
_STORES = (("s1", "静安店", "南京西路"), ("s2", "徐汇店", "漕溪北路"))
_LIST = Listing(
    path="/console/staff",
    columns=(Column("姓名"), Column("岗位"), Column("门店"), Column("状态")),
    rows=(
        StaffRow("m1", "/console/staff/m1", "陈店长", "店主", "尾号 0001", "全部门店", True),
        StaffRow("m2", "/console/staff/m2", "小王", "保洁", "尾号 0002", "静安店", False),
    ),
    query={"sort": ""},
    empty=Empty("这里是和你一起管店的人"),
)
_STAFF = StaffPage(
    _LIST,
    (InviteRow("i1", "小李", "收银员", "尾号 0003", NOW + timedelta(days=6)),),
    (StaffLoginRow("l1", "陈店长", "平台 · 小李", NOW, True),),
    "owner",
    can_edit=True,
)
_COLUMN = RoleColumn(
    "cashier", "/console/roles/cashier", "收银员", ROLES["cashier"], "¥100", "—", True, 2, True
)
_SAFE = SecurityPage(
    phone="尾号 0001",
    has_password=True,
    needs_old=True,
    second_factor=True,
    recovery_left=9,
    logins=(
        LoginRow("l1", "Windows 电脑 · Chrome", "密码登录", "203.0.113.7", NOW, True, False),
        LoginRow("l2", "平台 · 小李", "平台代看", "", NOW, False, True),
    ),
    guided=False,
    next_href="/console",
)
_NEW = SecurityPage("尾号 0001", False, False, False, 0, (), True, "/console")
_MERCHANTS = (
    MerchantRow("m1", "雀友会", "陈店长", 3, NOW, None),
    MerchantRow("m2", "停了的", "还没有店主", 0, NOW, "欠费"),
)

_IN_FRAME: dict[str, tuple[str, object]] = {
    "staff": ("console/staff.html", _STAFF),
    "staff-new": ("console/staff_form.html", StaffFormPage(_ROLES, _STORES)),
    "staff-one": (
        "console/staff_form.html",
        StaffFormPage(_ROLES, _STORES, "m1", "小王", "尾号 0002", "cashier", ("s1",)),
    ),
    "staff-left": (
        "console/staff_form.html",
        StaffFormPage(_ROLES, _STORES, "m1", "小王", "尾号 0002", active=False),
    ),
    "staff-read": (
        "console/staff_form.html",
        StaffFormPage(_ROLES, _STORES, "m1", "小王", "尾号 0002", can_edit=False),
    ),
    "roles": ("console/roles.html", RolesPage((_COLUMN,), GROUPS, can_edit=True)),
    "role-new": ("console/role_form.html", RoleFormPage(GROUPS, refund_fen=0, waiver_fen=0)),
    "role-own": (
        "console/role_form.html",
        RoleFormPage(GROUPS, "k", "夜班", ROLES["cashier"], 1050, None),
    ),
    "role-owner": ("console/role_form.html", RoleFormPage(GROUPS, "owner", "店主", preset=True)),
}
_ALONE: dict[str, tuple[str, object]] = {
    "setup": ("console/setup.html", FactorPage("/console")),
    "second-factor": ("console/second_factor.html", FactorPage("/console")),
    "invite": ("console/invite.html", FactorPage("/console")),
    "security": ("console/security.html", _SAFE),
    "security-first": ("console/security.html", _NEW),
    "platform": ("console/platform.html", PlatformPage("小李", _MERCHANTS)),
    "platform-empty": ("console/platform.html", PlatformPage("小李", ())),
}


def console_pages(nav: ConsoleShell, shell: Shell) -> dict[str, tuple[str, dict[str, object]]]:
    """By name: the template and what it is given."""
    around = {"nav": replace(nav, here="staff"), "shell": shell}
    made = {
        f"people-{name}": (template, {"page": page, **around})
        for name, (template, page) in _IN_FRAME.items()
    }
    acting = made["people-staff"]
    made["people-acting"] = (acting[0], {**acting[1], "acting": True})
    for name, (template, page) in _ALONE.items():
        made[f"people-{name}"] = (template, {"page": page, "shell": shell})
    made["people-factor"] = ("console/_factor.html", {"shell": shell})
    made["people-frame"] = ("console/plain.html", {"shell": shell})
    return made
