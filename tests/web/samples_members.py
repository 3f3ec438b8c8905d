"""Members on the same evening: the list, one with everything, one who is to become another."""

from __future__ import annotations

from dataclasses import replace

from cloud_api.web import view_models as vm
from cloud_api.web.view_models.members import (
    MemberCoupon,
    MemberOrder,
    MemberPage,
    MemberRow,
    MembersPage,
)
from tests.web.samples import STORE, at

LIST: vm.Listing[MemberRow] = vm.Listing(
    path="/console/members",
    columns=(
        vm.Column("会员"), vm.Column("标签"), vm.Column("最近一次", "last"),
        vm.Column("来过", "visits", True), vm.Column("花了", "spent", True),
    ),
    rows=(
        MemberRow("a1", "/console/members/a1", "老王 · 尾号 4821", ("常客", "打牌"), "金卡", False, 23, 25, 348600, at(16, 50)),
        MemberRow("a2", "/console/members/a2", "尾号 0937", (), "", True, 1, 2, 7600, at(9)),
    ),
    filters=(vm.Filter("q", "search", "手机号、尾号或订单号"),),
    query={"sort": "-last"},
    sort="-last",
    empty=vm.Empty("顾客下过单，就会出现在这里"),
    caption="会员",
)  # fmt: skip
MEMBER = MemberPage(
    account_id="a1",
    who="老王 · 尾号 4821",
    name="老王",
    note="爱坐竹间，带孙子来",
    tags=("常客", "打牌"),
    all_tags=("常客", "打牌", "茶客"),
    level_id="l2",
    levels=(("l1", "银卡"), ("l2", "金卡")),
    figures=(("来过", "23 次"), ("花了", "¥3,486"), ("每次", "¥151"), ("第一次", "2026-03-02")),
    balance_fen=12000,
    balance_href="/console/members/a1/balance",
    coupons=(MemberCoupon("减十元", "unused", at(23, day=30)), MemberCoupon("加一小时", "used", None)),
    give=(("c1", "减十元"),),
    orders=(
        MemberOrder("/console/orders/o1", "KM-7F3Q", vm.OrderWord.IN_USE, "竹间", STORE, at(16, 50), at(20, 50), 15200),
    ),
    orders_href="/console/orders?q=4821",
    can_edit=True,
    can_block=True,
    can_merge=True,
)  # fmt: skip
PAGES = {
    "console-members": ("console/members.html", MembersPage(LIST)),
    "console-members-none": ("console/members.html", MembersPage(replace(LIST, rows=(), filters=()))),
    "console-member": ("console/member.html", MEMBER),
    "console-member-blocked": (
        "console/member.html",
        replace(
            MEMBER, blocked_id="b1", blocked_why="逃单", blocked_until=at(12, day=30), find="0937",
            others=(("a2", "尾号 0937"),), coupons=(), orders=(), merged_from=("1127",),
        ),
    ),
    "console-member-merge": (
        "console/member.html",
        replace(MEMBER, into="a2", into_who="尾号 0937", moves=("全部订单和付款", "余额 ¥120"), find="0937"),
    ),
    "console-member-stuck": (
        "console/member.html",
        replace(
            MEMBER, into="a2", into_who="尾号 0937", can_edit=False,
            hindrances=("要并掉的这位还有在路上的付款，等它有结果再合并",),
        ),
    ),
}  # fmt: skip


def console_pages(nav: object, staff: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The pages for the tests that draw every template."""
    return {
        name: (template, {"page": model, "nav": replace(nav, here="members"), "shell": staff})  # type: ignore[type-var]
        for name, (template, model) in PAGES.items()
    }
