"""Payment accounts as pages are given them, and the page that leads on to a provider."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from cloud_api.web.view_models import PayForm
from cloud_api.web.view_models.payments import (
    AccountFact,
    AccountField,
    AccountKind,
    AccountPage,
    AccountRow,
    AccountsPage,
)

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
        "pay-go": ("customer/pay_go.html", {"page": form}),
    }
