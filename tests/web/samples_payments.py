"""Payment accounts as pages are given them, and the page that leads on to a provider."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from cloud_api.web.view_models import Column, Empty, Listing, PayForm
from cloud_api.web.view_models.payments import (
    AccountFact,
    AccountField,
    AccountKind,
    AccountPage,
    AccountRow,
    AccountsPage,
)
from cloud_api.web.view_models.reconciliation import BillLineRow, BillPage, BillsPage, GapRow

NOW = datetime(2026, 11, 23, 14, 8, tzinfo=UTC)
HREF = "/console/payments/1"
ROWS = (
    AccountRow("1", "银联卡", "银联在线支付（银行卡）", "credit-card", "全部门店", "在用", "is-free", "", "不限金额", HREF),
    AccountRow(
        "2", "信用卡", "Stripe（境外信用卡）", "credit-card", "静安店", "试过不通", "is-overtime",
        "Stripe 不认这个密钥", "¥10 – ¥500", HREF, '{"ids": ["2", "1"]}',
    ),
)  # fmt: skip
KINDS = (
    AccountKind(
        "银联在线支付（银行卡）", "银联卡", "credit-card", "/console/payments/new?kind=unionpay"
    ),
)
ACCOUNT = AccountPage(
    id="1",
    provider="unionpay",
    kind_name="银联在线支付（银行卡）",
    guide="证书在银联商户服务平台下载",
    name="银联卡",
    enabled=True,
    fields=(
        AccountField("merchant", "银联商户号", "text", "777290058110097", True, False),
        AccountField("pfx", "签名证书文件", "file", "", False, True),
        AccountField("pfx_password", "签名证书的密码", "password", "", False, True),
    ),
    channels=(("page", "网页", True), ("wap", "手机网页", False)),
    min_fen=None,
    max_fen=500_000,
    stores=(),
    all_stores=True,
    facts=(AccountFact("签名证书", "051@雀友会@1 · A264", NOW, "还有 12 天", "is-grace"),),
    notify_url="https://shop.test/api/v1/payments/unionpay/1/notify",
    store_name="全部门店",
    checked="通了，可以收款",
    checked_at=NOW,
    good=True,
)
NEW = replace(
    ACCOUNT, id="", facts=(), notify_url="", checked="", checked_at=None, stores=(("s1", "静安店"),)
)

BILLS = Listing(
    path="/console/reconciliation",
    caption="每天的对账",
    columns=(Column("日期"), Column("结果"), Column("账户"), Column("账单收款", number=True)),
    rows=(
        BillLineRow(
            "b1", "/console/reconciliation/b1", "2026-11-22", "银联在线支付（银行卡） · 银联卡", "有差异",
            "is-offline", "1 处", 128_600, 7_600, 386,
        ),
    ),
    empty=Empty("有了线上收款，第二天上午自动对账，结果会出现在这里"),
)  # fmt: skip
GAPS = Listing(
    path="/console/reconciliation/b1",
    caption="差异",
    columns=(Column("单号"), Column("哪里不一样"), Column("处理"), Column("")),
    rows=(
        GapRow(
            "g1", "2611221200000001-1", "收款", "金额不一样", "¥76", "¥67", "待处理", "", True,
            "/console/orders/o1", NOW,
        ),
        GapRow(
            "g2", "2611221200000002-1", "退款", "收款方有，我们没有", "¥38", "—", "已处理",
            "已在收款方后台核对", False, "", NOW,
        ),
    ),
    empty=Empty("没有差异"),
)  # fmt: skip
BILL = BillPage(
    id="b1",
    title="银联在线支付（银行卡） · 2026-11-22",
    word="有差异",
    tone="is-offline",
    line="还有 1 处要人看",
    sums=(("收款", "¥1286", "¥1277", False), ("退款", "¥76", "¥76", True)),
    facts=(("账户", "银联卡"), ("账单笔数", "23"), ("手续费", "¥3.86")),
    read_at=NOW,
    can_act=True,
    gaps=GAPS,
)
WAITING = replace(
    BILL, word="等账单", tone="is-booked", read_at=None, can_act=False, gaps=replace(GAPS, rows=())
)


def pages(nav: object, shell: object) -> dict[str, tuple[str, dict[str, object]]]:
    """The console's inside its frame, full and empty; and the customer's."""
    around = {"nav": nav, "shell": shell}
    form = PayForm("https://gateway.95516.com/gateway/api/frontTransReq.do", (("orderId", "1"),))
    return {
        "console-payments": (
            "console/payment_accounts.html",
            {"page": AccountsPage(ROWS, KINDS), **around},
        ),
        "console-no-payments": (
            "console/payment_accounts.html",
            {"page": AccountsPage((), KINDS), **around},
        ),
        "console-payment": ("console/payment_account.html", {"page": ACCOUNT, **around}),
        "console-payment-new": ("console/payment_account.html", {"page": NEW, **around}),
        "console-bills": ("console/reconciliation.html", {"page": BillsPage(BILLS), **around}),
        "console-no-bills": (
            "console/reconciliation.html",
            {"page": BillsPage(replace(BILLS, rows=())), **around},
        ),
        "console-bill": ("console/reconciliation_day.html", {"page": BILL, **around}),
        "console-bill-waiting": ("console/reconciliation_day.html", {"page": WAITING, **around}),
        "pay-go": ("customer/pay_go.html", {"page": form}),
    }
