"""Days of bills against our books, for templates: one that agrees, one with a gap."""

from __future__ import annotations

from cloud_api.web.view_models import Column, Empty, Listing
from cloud_api.web.view_models.reconciliation import BillLineRow, BillPage, BillsPage, GapRow
from tests.web.samples import at

BILLS: Listing[BillLineRow] = Listing(
    path="/console/reconciliation",
    columns=tuple(Column(text) for text in ("哪一天", "结果", "账户", "收款")),
    rows=(
        BillLineRow(
            "b1", "/console/reconciliation/b1", "2026-11-21", "微信支付", "对上了", "is-free", "",
            152000, 7600, 912,
        ),
        BillLineRow(
            "b2", "/console/reconciliation/b2", "2026-11-20", "支付宝", "有出入", "is-overtime",
            "1 笔", 99000, 0, 594,
        ),
    ),
    query={"sort": ""},
    empty=Empty("账单会在第二天取来"),
)  # fmt: skip
GAPS: Listing[GapRow] = Listing(
    path="/console/reconciliation/b2",
    columns=tuple(Column(text) for text in ("单号", "差在哪", "状态", "")),
    rows=(
        GapRow(
            "g1", "KM-7F3Q", "收款", "账单有，我们没有", "¥58", "没有", "待处理", "", True,
            "/console/orders/o1", at(9),
        ),
        GapRow(
            "g2", "KM-7F3R", "退款", "金额不同", "¥20", "¥30", "处理好了", "已核对", False, "", at(9),
        ),
    ),
    query={"sort": ""},
    empty=Empty("这一天都对上了"),
)  # fmt: skip
BILL = BillPage(
    id="b2",
    title="支付宝 2026-11-20",
    word="有出入",
    tone="is-overtime",
    line="1 笔要看",
    sums=(("收款", "¥990", "¥932", False), ("手续费", "¥5.94", "¥5.94", True)),
    facts=(("笔数", "12"),),
    read_at=at(10),
    can_act=True,
    gaps=GAPS,
)


def console_pages(nav: object, shell: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The list of days, and one of them."""
    around = {"nav": nav, "shell": shell}
    return {
        "console-bills": ("console/reconciliation.html", {"page": BillsPage(BILLS), **around}),
        "console-bill": ("console/reconciliation_day.html", {"page": BILL, **around}),
    }
