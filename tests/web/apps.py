"""The running site beside WeChat's and Alipay's own sides, and phones whose browser is inside one of the two apps."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser, BrowserContext, Error, Page
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.auth.models import Account
from cloud_api.orders import place
from cloud_api.payments import service as payments
from cloud_api.pricing.service import quote
from tests.cloud_api.factories import customer, make_customer, make_login
from tests.support.providers import Counter, running_alipay, running_wechatpay
from tests.web.conftest import PATIENCE_MS
from tests.web.real import Site, running_site

SHOTS = os.environ.get("SHOTS")
IN_WECHAT = (
    "Mozilla/5.0 (Linux; Android 14; V2307A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
    "Chrome/126.0 Mobile Safari/537.36 MMWEBID/1 MicroMessenger/8.0.49.2600(0x28003133) WeChat/arm64"
)
IN_ALIPAY = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Mobile/21F90 NebulaSDK/1.8.100112 Nebula AliApp(AP/10.6.0.6000) AlipayClient/10.6.0.6000"
)
# Of WeChat's app only the bridge is put into the page: it keeps what it was given.
BRIDGE = """
window.WeixinJSBridge = {
  invoke(name, fields, done) { window.sheets = [...(window.sheets ?? []), { name, fields }]; window.ends = done; },
};
"""


@dataclass
class Apps:
    """The site, and the two that people log in and pay by."""

    site: Site
    wechat: Counter
    alipay: Counter

    def member(self, context: BrowserContext, phone: str) -> Account:
        """Log a browser in as the member with this number, who is made."""
        site = self.site

        async def make(session: AsyncSession) -> tuple[Account, str]:
            account = await make_customer(session, site.now, f"+86{phone}")
            return account, await make_login(session, account.id, site.cloud.clocks.real)

        account, token = site.write(make)
        context.add_cookies([{"name": LOGIN_COOKIE, "value": token, "url": site.url}])
        return account

    def book_href(self, room: int, *, days: int) -> str:
        """The page that books two hours of a room from 14:00, ¥76; the way there is walked elsewhere."""
        site = self.site
        begins = self._begins(days)
        span = {"from": begins.isoformat(), "to": (begins + timedelta(hours=2)).isoformat()}
        query = urlencode({"day": f"{begins:%Y-%m-%d}", **span})
        return f"{site.url}/rooms/{site.shop.rooms[room].id}/book?{query}"

    def _begins(self, days: int) -> datetime:
        now = self.site.now.astimezone(ZoneInfo(self.site.shop.store.tz))
        return now.replace(hour=14, minute=0, second=0, microsecond=0) + timedelta(days=days)

    def unpaid(self, account: Account, room: int, *, days: int = 1) -> str:
        """An order of two hours from 14:00, ``days`` from today, ¥76; its page. The way there is walked elsewhere."""
        site = self.site
        begins = self._begins(days)

        async def make(session: AsyncSession) -> str:
            who, clocks = customer(account), site.cloud.clocks
            there = site.shop.rooms[room].id
            asked = await quote(session, who, there, begins, begins + timedelta(hours=2), clocks)
            return (await place.place(session, who, asked.id, clocks)).id

        return f"{site.url}/orders/{site.write(make)}"


@contextmanager
def running_apps(folder: Path) -> Iterator[Apps]:
    """Until the block ends; both take the store's money, and this installation has an app at each to log in by."""
    with (
        running_wechatpay(mode="public_key") as wechat,
        running_alipay() as alipay,
        running_site(folder) as site,
    ):

        async def accounts(session: AsyncSession) -> None:
            for provider, name, counter in (
                ("wechat", "微信支付", wechat),
                ("alipay", "支付宝", alipay),
            ):
                await payments.add_account(
                    session,
                    merchant_id=site.shop.merchant.id,
                    provider=provider,
                    name=name,
                    credentials=json.dumps(counter.account),
                    clocks=site.cloud.clocks,
                )

        site.write(accounts)
        asked = site.cloud.settings
        asked.wechat_login_app = wechat.account["appid"]
        asked.wechat_login_secret = wechat.account["app_secret"]
        asked.alipay_login_app = alipay.account["app_id"]
        asked.alipay_login_key = alipay.account["private_key"]
        asked.alipay_login_public_key = alipay.account["alipay_public_key"]
        asked.login_endpoints = (
            f"wechat_open={wechat.url},wechat_api={wechat.url},alipay_open={alipay.url},"
            f"alipay_gateway={alipay.account['base_url']}"
        )
        asked.wechat_share = True
        yield Apps(site, wechat, alipay)


def phone_in(browser: Browser, agent: str) -> BrowserContext:
    """A phone's browser inside the app that ``agent`` names."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, user_agent=agent, locale="zh-CN", has_touch=True
    )
    context.set_default_timeout(PATIENCE_MS)
    if agent == IN_WECHAT:
        context.add_init_script(BRIDGE)
    return context


def sheet(page: Page, count: int) -> dict[str, Any]:
    """The newest sheet that the page asked WeChat for, once it has asked for ``count``."""
    deadline = time.monotonic() + 30
    while True:
        assert time.monotonic() < deadline, "the page did not ask for the sheet"
        with suppress(Error):  # it leaves a page while it is asked
            if page.evaluate("(window.sheets ?? []).length") == count:
                break
        page.wait_for_timeout(50)
    found: dict[str, Any] = page.evaluate("window.sheets.at(-1)")
    assert found["name"] == "getBrandWCPayRequest"
    fields: dict[str, str] = found["fields"]
    return fields


def pays_by_sheet(page: Page, wechat: Counter, sheets: int, fen: int) -> None:
    """Whoever looks at the sheet pays; the page hears it from WeChat's app, and we from WeChat."""
    token = sheet(page, sheets)["package"].removeprefix("prepay_id=")
    [(number, row)] = [(n, row) for n, row in wechat.payments().items() if row["token"] == token]
    assert (row["channel"], row["amount_fen"]) == ("jsapi", fen)
    assert wechat.pay(number)
    page.evaluate("window.ends({ err_msg: 'get_brand_wcpay_request:ok' })")


def shot(page: Page, name: str) -> None:
    """For who looks, with SHOTS=FOLDER."""
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


TO_PAY = re.compile(r"/orders/[^/]+/pay(\?wechat=no)?(#wechat_redirect)?$")
