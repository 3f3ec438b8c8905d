"""The console's pages in one table: what the rail, the tabs and the sheet of all pages are built from.

A page of a package is one row here. Whoever lacks the permission of a row never sees it, and a section
with nothing left in it is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cloud_api.kit.i18n import gettext as _
from cloud_api.staff.permissions import (
    ALARM_READ,
    AUDIT_READ,
    BACKUP_READ,
    BALANCE_EDIT,
    BRAND_EDIT,
    CAMPAIGN_READ,
    CLEANING_DO,
    CLEANING_MANAGE,
    COUPON_EDIT,
    CUSTOMER_DELETE,
    CUSTOMER_READ,
    DEVICE_READ,
    INVOICE_ISSUE,
    NOTICE_READ,
    ORDER_CREATE,
    ORDER_READ,
    ORDER_REFUND,
    PAYMENT_ACCOUNTS,
    PRICE_EDIT,
    REPORT_READ,
    STAFF_READ,
    STORE_EDIT,
    STORE_READ,
    TICKET_HANDLE,
    VOUCHER_REDEEM,
)
from cloud_api.stores.models import Store
from cloud_api.web.view_models import ConsoleShell, NavItem, NavSection


@dataclass(frozen=True, slots=True)
class Section:
    """A place on the rail. The first ``TABS`` that are left are a phone's tabs."""

    key: str
    icon: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page: ``key`` is what its route calls itself, ``needs`` the permission of its first read.

    ``also`` is needed beside it; ``any_of`` opens it to whoever has one of several. ``place`` is a section,
    and one of ``GROUPS`` after a slash where the section has more pages than a row holds.
    """

    place: str
    key: str
    text: str
    href: str
    needs: str = ""
    any_of: tuple[str, ...] = ()
    also: str = ""

    @property
    def section(self) -> str:
        """Where it stands on the rail."""
        return self.place.partition("/")[0]

    @property
    def group(self) -> str:
        """What its row is called there; empty where the section has one row."""
        return GROUPS.get(self.place.partition("/")[2], "")

    def open_to(self, permissions: frozenset[str]) -> bool:
        """Whether somebody with ``permissions`` sees it."""
        if self.any_of:
            return bool(permissions.intersection(self.any_of))
        return {self.needs, self.also} - {""} <= permissions


SECTIONS: Final = (
    Section("live", "layout-grid", "实时"),
    Section("orders", "calendar-days", "订单"),
    Section("redeem", "scan-line", "核销"),
    Section("cleaning", "brush-cleaning", "保洁"),
    Section("groupbuy", "ticket", "团购"),
    Section("members", "users", "会员"),
    Section("reports", "chart-column", "统计"),
    Section("devices", "cpu", "设备"),
    Section("settings", "settings", "设置"),
)

GROUPS: Final = {
    "shop": "门店",
    "money": "价格和收款",
    "people": "员工",
    "words": "通知",
    "data": "数据和接口",
}

PAGES: Final = (
    Page("live", "live", "实时", "/console", STORE_READ),
    Page("live", "alarms", "告警", "/console/alarms", ALARM_READ),
    Page("live", "alarm-rules", "告警规则", "/console/alarms/rules", ALARM_READ),
    Page("orders", "orders", "订单", "/console/orders", ORDER_READ),
    Page("orders", "calendar", "日历", "/console/calendar", ORDER_READ),
    Page("orders", "timeline", "时间轴", "/console/timeline", ORDER_READ, also=STORE_READ),
    Page("orders", "book", "代客下单", "/console/book", ORDER_CREATE, also=STORE_READ),
    Page("members", "members", "会员", "/console/members", CUSTOMER_READ),
    Page("members", "tickets", "工单", "/console/tickets", TICKET_HANDLE),
    Page("members", "reviews", "评价", "/console/reviews", ORDER_READ),
    Page("reports", "stats", "统计", "/console/stats", REPORT_READ),
    Page("reports", "reconciliation", "对账", "/console/reconciliation", REPORT_READ),
    Page("orders", "refunds", "退款申请", "/console/refunds", ORDER_REFUND),
    Page("orders", "invoices", "发票", "/console/invoices", INVOICE_ISSUE),
    Page("members", "plans", "储值方案", "/console/plans", BALANCE_EDIT),
    Page("reports", "finance", "财务", "/console/finance", REPORT_READ),
    Page("redeem", "redeem", "核销", "/console/redeem", VOUCHER_REDEEM),
    Page("cleaning", "cleaning", "保洁", "/console/cleaning", CLEANING_DO),
    Page("cleaning", "cleaning-pay", "工钱", "/console/cleaning/sheet", CLEANING_DO),
    Page("cleaning", "cleaning-rules", "保洁规则", "/console/cleaning/rules", CLEANING_MANAGE),
    Page("redeem", "platform-vouchers", "平台券", "/console/platform-vouchers", VOUCHER_REDEEM),
    Page("groupbuy", "campaigns", "团购", "/console/campaigns", CAMPAIGN_READ),
    Page("groupbuy", "groupbuy-report", "团购统计", "/console/groupbuy/report", CAMPAIGN_READ),
    Page("devices", "doors", "门", "/console/doors", STORE_EDIT),
    Page("devices", "stickers", "门贴", "/console/stickers", STORE_READ),
    Page("devices", "wiring", "接线", "/console/wiring", STORE_EDIT),
    Page("devices", "controllers", "控制器", "/console/controllers", DEVICE_READ),
    Page("devices", "schedules", "定时", "/console/schedules", STORE_EDIT),
    Page("devices", "scenes", "场景", "/console/scenes", STORE_EDIT),
    Page("members", "coupons", "优惠券", "/console/coupons", COUPON_EDIT),
    Page("settings/shop", "opening", "开店", "/console/opening", STORE_EDIT),
    Page("settings/shop", "house", "门店和包间", "/console/house", STORE_EDIT),
    Page("settings/shop", "brand", "品牌", "/console/brand", BRAND_EDIT),
    Page("settings/shop", "booking-rules", "预订规则", "/console/booking-rules", STORE_READ),
    Page("settings/money", "prices", "价格", "/console/prices", PRICE_EDIT),
    Page("settings/money", "deposits", "押金", "/console/deposits", PRICE_EDIT),
    Page(
        "settings/money", "overtime", "超时收费", "/console/overtime", PRICE_EDIT, also=STORE_EDIT
    ),
    Page("settings/money", "payments", "支付方式", "/console/payments", PAYMENT_ACCOUNTS),
    Page("settings/money", "platforms", "平台账号", "/console/platforms", PAYMENT_ACCOUNTS),
    Page("settings/people", "staff", "员工", "/console/staff", STAFF_READ),
    Page("settings/people", "roles", "岗位", "/console/roles", STAFF_READ),
    Page("settings/people", "staff-keys", "门卡和开门码", "/console/keys", STAFF_READ),
    Page("settings/words", "notifications", "通知", "/console/notifications", NOTICE_READ),
    Page(
        "settings/words",
        "notice-words",
        "通知模板",
        "/console/notifications/templates",
        NOTICE_READ,
    ),
    Page("settings/words", "notice-log", "通知记录", "/console/notifications/log", NOTICE_READ),
    Page("settings/data", "audit", "操作记录", "/console/audit", AUDIT_READ),
    Page("settings/data", "retention", "数据保留", "/console/retention", CUSTOMER_DELETE),
    Page("settings/data", "backups", "备份", "/console/backups", BACKUP_READ),
    Page("settings/data", "api-keys", "API 密钥", "/console/api-keys", STAFF_READ),
    Page("settings/data", "webhooks", "事件推送", "/console/webhooks", STAFF_READ),
)


def first(permissions: frozenset[str]) -> str:
    """Where somebody with ``permissions`` begins; empty where no page is open to them."""
    return next((page.href for page in PAGES if page.open_to(permissions)), "")


def shell(
    permissions: frozenset[str],
    here: str,
    *,
    merchant: str,
    stores: Sequence[Store],
    badges: Mapping[str, int] | None = None,
    alarms: int = 0,
) -> ConsoleShell:
    """The frame for somebody with ``permissions`` who is on page ``here``.

    ``badges`` counts what waits, by page; ``alarms`` is the bell's number.
    """
    counts = badges or {}
    shown = []
    for section in SECTIONS:
        items = tuple(
            NavItem(
                page.key,
                _(page.text),
                page.href,
                counts.get(page.key, 0),
                _(page.group) if page.group else "",
            )
            for page in PAGES
            if page.section == section.key and page.open_to(permissions)
        )
        if items:
            shown.append(NavSection(section.key, section.icon, _(section.text), items))
    return ConsoleShell(
        sections=tuple(shown),
        here=here,
        alarms=alarms,
        store_word=stores[0].name if len(stores) == 1 else _("全部门店 {n}").format(n=len(stores)),
        merchant=merchant,
    )
