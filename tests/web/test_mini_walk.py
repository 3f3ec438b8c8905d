"""Inside our WeChat mini-program: its own scripts, the site that its web-view shows, and WeChat Pay's real side.

Of WeChat's app only what it puts into a mini-program and into a web-view is put there here: ``wx``, and the script
that leads from a page of ours to the mini-program's own pages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.web.apps import IN_WECHAT, TO_PAY, Apps, phone_in, running_apps, shot
from tests.web.arrive import arrive
from tests.web.test_walk import log_in

pytestmark = pytest.mark.xdist_group("mini-walk")

HERE = Path(__file__).parents[2] / "mini_program"
IN_MINI = f"{IN_WECHAT} miniProgram/wx0123456789abcdef"
SDK = """
const on = (name) => ({ url }) => window.native(name, url);
window.wx = { miniProgram: { navigateTo: on('navigateTo'), reLaunch: on('reLaunch') } };
"""
RUN = """
([files, site, file, options, answers]) => {
  const said = [];
  const wx = new Proxy({}, { get: (_, name) => (asked = {}) => {
    said.push([name, JSON.parse(JSON.stringify(asked))]);
    if (name in answers) asked.success?.(answers[name]); else asked.fail?.({});
    asked.complete?.({});
  } });
  const load = (name) => {
    if (name === 'config') return { site };
    const module = { exports: {} };
    const require = (path) => load(path.replace(/^(\\.\\.?\\/)+/, ''));
    new Function('module', 'require', 'wx', 'Page', files[name])(module, require, wx, (page) => { shown = page; });
    return module.exports;
  };
  let shown;
  load(file);
  shown.setData = (data) => said.push(['setData', data]);
  shown.onLoad(options);
  const share = shown.onShareAppMessage?.({ webViewUrl: `${site}/groupbuy/teams/t1?from=a` });
  return { said, share };
}
"""


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apps]:
    with running_apps(tmp_path_factory.mktemp("mini")) as running:
        asked = running.site.cloud.settings
        asked.wechat_mini_app = running.wechat.account["mini_appid"]
        asked.wechat_mini_secret = running.wechat.account["mini_secret"]
        asked.domain_proofs = "MP_verify_a1.txt=a1, b2.txt=b2"
        yield running


class Phone:
    """A phone with the mini-program open: its scripts are run as they stand in the folder."""

    def __init__(self, browser: Browser, apps: Apps, person: str) -> None:
        self.apps, self.person = apps, person
        self.context: BrowserContext = phone_in(browser, IN_MINI)
        self.native: list[tuple[str, str]] = []
        self.context.expose_function("native", lambda name, url: self.native.append((name, url)))
        self.context.route(
            "https://res.wx.qq.com/**",
            lambda asked: asked.fulfill(body=SDK, content_type="text/javascript"),
        )
        self.shell = self.context.new_page()
        self.web: Page = self.context.new_page()

    def run(self, file: str, options: dict[str, str], **answers: Any) -> dict[str, Any]:
        names = ("address", "pages/web/web", "pages/pay/pay", "pages/scan/scan")
        files = {name: (HERE / f"{name}.js").read_text("utf-8") for name in names}
        found: dict[str, Any] = self.shell.evaluate(
            RUN, [files, self.apps.site.url, file, options, answers]
        )
        return found

    def open(self, **options: str) -> str:
        """Begin the mini-program; the address that its web-view is given."""
        counter = self.apps.wechat
        code = counter.app.state.apps.code(counter.account["mini_appid"], self.person)
        said = self.run("pages/web/web", options, login={"code": code})["said"]
        src: str = said[-1][1]["src"]
        self.web.goto(src)
        return src

    def asked(self, name: str) -> str:
        """The newest page of its own that our page asked the mini-program for."""
        for _try in range(600):
            if self.native and self.native[-1][0] == name:
                return self.native.pop()[1]
            self.web.wait_for_timeout(50)
        raise AssertionError(f"no {name}: {self.native}")


def test_a_guest_comes_by_the_mini_program_pays_in_wechats_sheet_and_scans_a_door(
    browser: Browser, apps: Apps
) -> None:
    """A number once; then the mini-program alone says who is here, WeChat's own sheet takes the money."""
    url, wechat = apps.site.url, apps.wechat
    phone = Phone(browser, apps, "guest")
    phone.open(path=quote("/me", safe=""))
    expect(
        phone.web.get_by_role("heading", name="第一次用微信登录，验证一次手机号")
    ).to_be_visible()
    log_in(phone.web, apps.site, "13800000091")
    expect(phone.web).to_have_url(f"{url}/me")
    phone.context.close()

    phone = Phone(browser, apps, "guest")  # the same person at an empty browser
    phone.open(path=quote("/me", safe=""))
    expect(phone.web.get_by_text("0091")).to_be_visible()
    assert "res.wx.qq.com" in str(phone.web.request.get(f"{url}/me").headers)
    order = apps.unpaid(
        apps.member(phone.context, "13800000092"), 1
    )  # another login: who pays is unknown
    phone.web.goto(f"{order}/pay")
    back = parse_qs(urlsplit(phone.asked("reLaunch")).query)["path"][0]
    phone.open(path=quote(back, safe=""))
    expect(phone.web).to_have_url(TO_PAY)
    assert phone.web.get_by_text("支付宝").count() == 0  # its page would not open in a web-view
    phone.web.get_by_role("button", name=re.compile("^付 ¥")).click()
    page = urlsplit(phone.asked("navigateTo"))
    assert page.path == "/pages/pay/pay"
    shot(phone.web, "mini-waiting")
    said = phone.run("pages/pay/pay", {"fields": quote(parse_qs(page.query)["fields"][0], safe="")})
    [(name, sheet), after] = said["said"]
    assert (name, after[0]) == ("requestPayment", "navigateBack")
    assert set(sheet) == {"timeStamp", "nonceStr", "package", "signType", "paySign"}
    token = sheet["package"].removeprefix("prepay_id=")
    [(number, row)] = [(n, row) for n, row in wechat.payments().items() if row["token"] == token]
    assert row["channel"] == "mini" or row["payer"]
    assert wechat.pay(number)
    arrive(phone.web, re.compile(r"/orders/[^/?]+\?paid=1$"))

    phone.web.goto(f"{url}/scan")
    phone.web.get_by_role("button", name="打开相机").click()
    assert phone.asked("navigateTo") == "/pages/scan/scan"
    found = phone.run("pages/scan/scan", {}, scanCode={"result": f"{url}/d/abc"})["said"]
    assert found[-1] == ["reLaunch", {"url": "/pages/web/web?path=%2Fd%2Fabc"}]
    found = phone.run("pages/scan/scan", {}, scanCode={"result": "https://elsewhere.example/d/abc"})
    assert [name for name, _ in found["said"]] == ["scanCode", "showToast", "navigateBack"]
    phone.context.close()


def test_the_way_in_is_nobody_elses(browser: Browser, apps: Apps) -> None:
    """A link with somebody's code would log a guest in as that somebody: it is worth nothing anywhere else, and
    the mini-program itself begins no such address and no foreign one.
    """
    url, wechat = apps.site.url, apps.wechat
    phone = Phone(browser, apps, "other")
    for given in (
        "https://elsewhere.example/",
        f"{url}.example/x",
        "//elsewhere.example",
        f"{url}/mini?code=x",
    ):
        src = phone.open(q=quote(given, safe=""))
        assert parse_qs(urlsplit(src).query)["next"] == ["/"], given
    assert phone.run("pages/web/web", {})["said"][-1] == [
        "setData",
        {"src": f"{url}/"},
    ]  # no answer of WeChat
    share = phone.run("pages/web/web", {}, login={"code": "c"})["share"]
    assert share == {"path": "/pages/web/web?path=%2Fgroupbuy%2Fteams%2Ft1%3Ffrom%3Da"}
    code = wechat.app.state.apps.code(wechat.account["mini_appid"], "guest")
    chat = phone_in(browser, IN_WECHAT)
    page = chat.new_page()
    page.goto(f"{url}/mini?code={code}&next=/me")
    expect(page).to_have_url(re.compile(r"/login\?"))
    assert not [one for one in chat.cookies() if one["name"] in ("kaimen_outside", "kaimen_payer")]
    page.goto(f"{url}/mini/again?next=/groupbuy")
    expect(page).to_have_url(f"{url}/groupbuy")
    chat.close()
    ask = phone.web.request
    wrong = ask.get(f"{url}/mini?code=used&next=/groupbuy")
    assert wrong.url == f"{url}/groupbuy?wechat=no"
    assert ask.get(f"{url}/MP_verify_a1.txt").text() == "a1"
    assert (ask.get(f"{url}/b2.txt").text(), ask.get(f"{url}/c3.txt").status) == ("b2", 404)
    phone.context.close()


def test_the_program_is_whole() -> None:
    """Every page that it names is there with its four parts."""
    told = json.loads((HERE / "app.json").read_text("utf-8"))
    for page in told["pages"]:
        assert all((HERE / f"{page}.{end}").is_file() for end in ("js", "json", "wxml")), page
    assert (
        json.loads((HERE / "project.config.json").read_text("utf-8"))["compileType"]
        == "miniprogram"
    )
