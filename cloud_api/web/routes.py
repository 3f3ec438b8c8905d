"""All pages in one router, and the page that says why another cannot be shown."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.web import rendering
from cloud_api.web.console import account as console_account
from cloud_api.web.console import alarm_rules as console_alarm_rules
from cloud_api.web.console import alarms as console_alarms
from cloud_api.web.console import api_keys as console_api_keys
from cloud_api.web.console import audit as console_audit
from cloud_api.web.console import backups as console_backups
from cloud_api.web.console import booking_rules as console_booking_rules
from cloud_api.web.console import brand as console_brand
from cloud_api.web.console import campaigns as console_campaigns
from cloud_api.web.console import cleaning as console_cleaning
from cloud_api.web.console import controllers as console_controllers
from cloud_api.web.console import coupons as console_coupons
from cloud_api.web.console import day as console_day
from cloud_api.web.console import desk as console_desk
from cloud_api.web.console import doors as console_doors
from cloud_api.web.console import finance as console_finance
from cloud_api.web.console import house as console_house
from cloud_api.web.console import invoices as console_invoices
from cloud_api.web.console import keys as console_keys
from cloud_api.web.console import members as console_members
from cloud_api.web.console import notice_words as console_notice_words
from cloud_api.web.console import notices as console_notices
from cloud_api.web.console import opening as console_opening
from cloud_api.web.console import order_exports as console_order_exports
from cloud_api.web.console import orders as console_orders
from cloud_api.web.console import overtime as console_overtime
from cloud_api.web.console import payments as console_payments
from cloud_api.web.console import people as console_people
from cloud_api.web.console import platforms as console_platforms
from cloud_api.web.console import prices as console_prices
from cloud_api.web.console import reconciliation as console_reconciliation
from cloud_api.web.console import redeem as console_redeem
from cloud_api.web.console import refunds as console_refunds
from cloud_api.web.console import retention as console_retention
from cloud_api.web.console import routes as console
from cloud_api.web.console import stat_rows as console_stat_rows
from cloud_api.web.console import stats as console_stats
from cloud_api.web.console import store_rules as console_store_rules
from cloud_api.web.console import stored_value as console_stored_value
from cloud_api.web.console import stuck_refunds as console_stuck_refunds
from cloud_api.web.console import support as console_support
from cloud_api.web.console import webhooks as console_webhooks
from cloud_api.web.customer import calendar as customer_calendar
from cloud_api.web.customer import changes as customer_changes
from cloud_api.web.customer import coupons as customer_coupons
from cloud_api.web.customer import doors as customer_doors
from cloud_api.web.customer import friends as customer_friends
from cloud_api.web.customer import groupbuy as customer_groupbuy
from cloud_api.web.customer import invoices as customer_invoices
from cloud_api.web.customer import mini as customer_mini
from cloud_api.web.customer import money as customer_money
from cloud_api.web.customer import notices as customer_notices
from cloud_api.web.customer import other_room as customer_other_room
from cloud_api.web.customer import outside_login as customer_outside_login
from cloud_api.web.customer import payment as customer_payment
from cloud_api.web.customer import platforms as customer_platforms
from cloud_api.web.customer import pocket as customer_pocket
from cloud_api.web.customer import privacy as customer_privacy
from cloud_api.web.customer import routes as customer
from cloud_api.web.customer import store_reviews as customer_store_reviews
from cloud_api.web.customer import support as customer_support
from cloud_api.web.customer import vouchers as customer_vouchers
from cloud_api.web.customer import waiting as customer_waiting
from cloud_api.web.customer import wechat_payer as customer_wechat_payer
from cloud_api.web.customer import weekly as customer_weekly
from cloud_api.web.pages import go, login_href, page, visit, visit_of
from cloud_api.web.view_models import ErrorPage, Way

BUNDLES = rendering.BUNDLES  # static files that stand in one address; the app serves them

router = APIRouter(include_in_schema=False)
FACTOR_PAGES = {  # who may go on once they prove, or set up, their second factor
    "second_factor.needed": "/console/second-factor?",
    "second_factor.fresh_needed": "/console/second-factor?",
    "second_factor.enrol_needed": "/console/security?first=true&",
}
router.include_router(customer.router)
router.include_router(customer_changes.router)
router.include_router(customer_doors.router)
router.include_router(customer_other_room.router)
router.include_router(customer_friends.router)
router.include_router(customer_waiting.router)
router.include_router(customer_wechat_payer.router)
router.include_router(customer_mini.router)
router.include_router(customer_invoices.router)
router.include_router(customer_outside_login.router)
router.include_router(customer_payment.router)
router.include_router(customer_support.router)
router.include_router(customer_store_reviews.router)
router.include_router(customer_notices.router)
router.include_router(customer_money.router)
router.include_router(customer_privacy.router)
router.include_router(customer_pocket.router)
router.include_router(customer_coupons.router)
router.include_router(customer_calendar.router)
router.include_router(customer_weekly.router)
router.include_router(customer_groupbuy.router)
router.include_router(customer_vouchers.router)
router.include_router(customer_platforms.router)
router.include_router(console.router)
for pages in (
    console_account,
    console_people,
    console_orders,
    console_order_exports,
    console_alarms,
    console_alarm_rules,
    console_notices,
    console_notice_words,
    console_audit,
    console_backups,
    console_overtime,
    console_reconciliation,
    console_finance,
    console_stat_rows,
    console_stats,
    console_refunds,
    console_invoices,
    console_stuck_refunds,
    console_stored_value,
    console_booking_rules,
    console_desk,
    console_payments,
    console_support,
    console_store_rules,
    console_keys,
    console_doors,
    console_controllers,
    console_house,
    console_prices,
    console_coupons,
    console_campaigns,
    console_redeem,
    console_cleaning,
    console_members,
    console_platforms,
    console_opening,
    console_day,
    console_api_keys,
    console_retention,
    console_brand,
    console_webhooks,
):  # a package's console pages are a line here and a row in console.nav
    router.include_router(pages.router)


async def error_page(request: Request, refusal: KaimenError) -> Response:
    """A refusal as a page in the look; who is not logged in goes to the login and comes back."""
    if refusal.status == 401 and request.method in ("GET", "HEAD"):
        return go(login_href(request))
    if request.method in ("GET", "HEAD") and refusal.code in FACTOR_PAGES:
        way = FACTOR_PAGES[refusal.code]
        return go(f"{way}next={quote(request.url.path, safe='')}")
    # What crashed may be the database: a page that says so must not need it.
    seen = visit_of(request, None) if refusal.status >= 500 else await visit(request)
    on_console = request.url.path.startswith("/console")
    heads = {
        403: _("这一页不给你看"),
        404: _("没有找到这一页"),
        405: _("没有找到这一页"),
    }
    lines = {"not_found": _("可能已经删除，或者地址不对")}
    if refusal.code == "staff.none":
        heads[403] = _("这里只给店员看")
    number = str(getattr(request.state, "request_id", ""))[-6:]
    main = Way("", _("回到实时"), "/console") if on_console else Way("", _("回到找店"), "/")
    if refusal.code == "store.none":
        heads[404] = _("还没有门店")
        main = Way("", _("开第一家店"), "/console/opening")
    if on_console and refusal.code == "staff.none":
        main = Way("", _("换个号码登录"), "/console/login")
    model = ErrorPage(
        status=refusal.status,
        headline=heads.get(refusal.status, _("这一步没做成")),
        line=lines.get(refusal.code, _(refusal.message)),
        safe="" if on_console else _("订单和钱都不受影响"),
        main=main,
        code=number if refusal.status >= 500 else "",
    )
    template = "console/error.html" if on_console else "customer/error.html"
    return page(seen, template, model, shell=seen.shell(), status=refusal.status)
