"""Samples for the pages about money: balance, refunds, the books, plans, deposits."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from cloud_api.web.view_models import ConsoleShell, Shell
from cloud_api.web.view_models.money import (
    AccountRow,
    Balance,
    BalanceMove,
    BalancePage,
    CountRow,
    DayRow,
    DepositForm,
    DepositsPage,
    FinancePage,
    Gift,
    InvoiceForm,
    InvoiceRow,
    InvoicesPage,
    MemberBalancePage,
    PaymentPage,
    PayWay,
    PlanCard,
    PlanForm,
    PlansPage,
    RefundCase,
    RefundForm,
    RefundsPage,
    StuckRefund,
    StuckRefundsPage,
)

AT = datetime(2026, 11, 23, 14, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
BALANCE = Balance(
    merchant="雀友会",
    paid_fen=22_400,
    gift_fen=5_000,
    total_fen=27_400,
    held_fen=3_000,
    refundable_fen=22_400,
    spend="先用赠送",
    gifts=(Gift(5_000, AT.replace(month=12)),),
    moves=(
        BalanceMove(AT, "消费", "竹间 11月23日 14:00–16:00", -7_600, 27_400),
        BalanceMove(AT, "充值", "充 300 送 50", 35_000, 35_000),
    ),
    plans=(PlanCard("p1", "充 300 送 50", 30_000, 5_000, "赠送 90 天内用"),),
)
BALANCES = BalancePage((BALANCE,), "s1", "雀友会·静安店", (PayWay("cashier", "page", "收银台"),))
FORM = RefundForm("o1", "2611231430123456", "竹间", 7_600, "还有 40 分钟没用，按时间退")
ANSWERED = replace(
    FORM, state="approved", word="同意退一部分", why="空调坏了", answer="修好了", asked_fen=7_600,
    approved_fen=4_000,
)  # fmt: skip
INVOICE = InvoiceForm(
    "o1", "2611231430123456", "雀友会·静安店", 7_600, can_ask=True, kind="company", title="上海雀友文化有限公司",
    tax_no="91310000MA1K3XYZ2B", email="fapiao@example.com", phone="021-6258 0000",
)  # fmt: skip
INVOICE_ROW = InvoiceRow(
    id="i1", order_href="/console/orders/o1", order_number="2611231430123456", store_name="雀友会·静安店",
    who="4821", company=True, title="上海雀友文化有限公司", tax_no="91310000MA1K3XYZ2B",
    email="fapiao@example.com", amount_fen=7_600, now_fen=7_600, at=AT,
)  # fmt: skip
ISSUED = replace(
    INVOICE_ROW,
    id="i2",
    company=False,
    title="王小明",
    tax_no="",
    email="",
    now_fen=5_600,
    number="26312",
)
CASE = RefundCase(
    id="r1",
    href="/console/refunds/r1",
    order_number="2611231430123456",
    order_href="/console/orders/o1",
    room_name="竹间",
    store_name="雀友会·静安店",
    who="尾号 4821",
    asked_at=AT,
    waits="等了 20 分钟",
    why="空调坏了，热得坐不住",
    asked_fen=7_600,
    proposal_fen=2_500,
    proposal_text="还有 40 分钟没用，按时间退",
    kept_fen=7_600,
    state="open",
    word="等店家处理",
    passed_up=False,
    facts=(("进门", "11-23 14:02"), ("付了", "¥76")),
)
DECIDED = replace(CASE, state="declined", word="没有同意", answer="时段已经用完")
LIMIT = "你的岗位最多退 ¥100，超过的交给店长"
REFUNDS = RefundsPage((CASE,), CASE, False, LIMIT)
FINANCE = FinancePage(
    store_id="s1",
    store_name="雀友会·静安店",
    stores=(("s1", "雀友会·静安店"), ("s2", "分店")),
    first=date(2026, 11, 22),
    last=date(2026, 11, 23),
    today=date(2026, 11, 23),
    last_over=date(2026, 11, 22),
    revenue_fen=7_600,
    rows=(AccountRow("现金", 0, 17_600, 7_600, 10_000), AccountRow("收入 · 包间时长", 0, 7_600, 0, 7_600)),
    days=(DayRow(date(2026, 11, 23), False, ""), DayRow(date(2026, 11, 22), True, "自动")),
    drawer_fen=10_000,
    counts=(CountRow(AT, 10_100, 10_000, "找零找错了"),),
    can_close=True,
    csv_href="/api/v1/console/ledger/stores/s1/entries.csv?first=2026-11-22&last=2026-11-23",
)  # fmt: skip
PLAN = PlanForm("p1", "充 300 送 50", 30_000, 5_000, 90, None, True)
RULES = (("gift_first", "先用赠送"), ("paid_first", "先用本金"), ("in_proportion", "按比例"))
PLANS = PlansPage((PLAN, PlanForm("", "", None, 0, None, None, True)), "gift_first", RULES)
DEPOSITS = DepositsPage(
    (("雀友会·静安店", (DepositForm("/api/v1/x", "整店", "", 10_000, 30),
                   DepositForm("/api/v1/x", "竹间", "r1", 20_000, 30))),)
)  # fmt: skip
MEMBER = MemberBalancePage("a1", "尾号 4821", BALANCE, (("s1", "雀友会·静安店"),), True, LIMIT)

PAYMENT = PaymentPage(
    id="p1",
    subject="雀友会·静安店 充 300 送 50",
    store_name="雀友会·静安店",
    amount_fen=30_000,
    provider_name="微信支付",
    until=AT.replace(minute=40),
    open_state="pending",
    back_href="/me/balance?store=s1",
    code_href="/payments/p1/code.svg",
)
STUCK = StuckRefund(
    id="f1",
    number="2611231430123456-1-Rc",
    amount_fen=7_600,
    what="订单",
    subject="竹间 11月23日 14:00–16:00",
    href="/console/orders/o1",
    store_name="雀友会·静安店",
    provider="微信支付",
    state="收款方没有退",
    hint="换一个单号再退一次，或者线下退给顾客",
    detail="NOT_ENOUGH",
    reason="顾客取消",
    at=AT,
)


def customer_pages() -> dict[str, tuple[str, dict[str, object]]]:
    """The guest's pages."""
    return {
        "balance": ("customer/balance.html", {"page": BALANCES}),
        "no-balance": ("customer/balance.html", {"page": BalancePage(())}),
        "payment-code": ("customer/payment.html", {"page": PAYMENT}),
        "payment-sheet": (
            "customer/payment.html",
            {"page": replace(PAYMENT, code_href="", jsapi='{"package": "prepay_id=1"}')},
        ),
        "payment-unknown": (
            "customer/payment.html",
            {"page": replace(PAYMENT, code_href="", open_state="unknown")},
        ),
        "invoice": ("customer/invoice.html", {"page": INVOICE}),
        "invoice-issued": (
            "customer/invoice.html",
            {
                "page": replace(
                    INVOICE, can_ask=False, state="issued", word="已开", invoice_number="26312"
                )
            },
        ),
        "mini-again": ("customer/mini.html", {"page": "/orders/o1/pay"}),
        "refund-form": ("customer/refund.html", {"page": FORM}),
        "refund-answered": ("customer/refund.html", {"page": ANSWERED}),
    }


def console_pages(nav: ConsoleShell, staff: Shell) -> dict[str, tuple[str, dict[str, object]]]:
    """The pages of staff."""
    pages: tuple[tuple[str, str, str, object], ...] = (
        ("console-refunds", "refunds", "refunds", REFUNDS),
        (
            "console-refund-decided",
            "refunds",
            "refunds",
            RefundsPage((DECIDED,), DECIDED, True, LIMIT),
        ),
        ("console-invoices", "invoices", "invoices", InvoicesPage("asked", (INVOICE_ROW,), 7_600)),
        (
            "console-invoices-issued",
            "invoices",
            "invoices",
            InvoicesPage("issued", (ISSUED,), 7_600),
        ),
        ("console-no-invoices", "invoices", "invoices", InvoicesPage("asked", (), 0)),
        ("console-no-refunds", "refunds", "refunds", RefundsPage((), None, False, LIMIT)),
        (
            "console-stuck-refunds",
            "stuck_refunds",
            "refunds",
            StuckRefundsPage((STUCK, replace(STUCK, id="f2", href="", mine=False))),
        ),
        ("console-no-stuck-refunds", "stuck_refunds", "refunds", StuckRefundsPage(())),
        ("console-finance", "finance", "finance", FINANCE),
        ("console-plans", "plans", "plans", PLANS),
        ("console-deposits", "deposits", "deposits", DEPOSITS),
        ("console-member-balance", "member_balance", "plans", MEMBER),
    )
    return {
        name: (
            f"console/{page}.html",
            {"page": model, "nav": replace(nav, here=here), "shell": staff},
        )
        for name, page, here, model in pages
    }
