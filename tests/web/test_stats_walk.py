"""The pages of statistics over weeks of business, in a real browser: drawn, told in tables, traceable."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.groupbuy.models import Campaign
from cloud_api.reports import rollup
from tests.cloud_api.factories import make_login, make_staff
from tests.web.arrive import arrive
from tests.web.busy import fill
from tests.web.real import Site, running_site

SHOTS = os.environ.get("KAIMEN_SHOTS", "")
pytestmark = pytest.mark.xdist_group("stats-walk")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("stats")) as site:
        site.write(lambda session: _people(session, site))
        yield site


@pytest.fixture(scope="module")
def site(running: Site) -> str:
    return running.url


async def _people(session: AsyncSession, site: Site) -> None:
    member = await make_staff(session, site.shop, site.now)
    site.people["owner_login"] = await make_login(
        session, member.account_id, site.cloud.clocks.real
    )


def _open(tab: Page, running: Site, path: str) -> None:
    tab.context.add_cookies(
        [{"name": LOGIN_COOKIE, "value": running.people["owner_login"], "url": running.url}]
    )
    tab.goto(f"{running.url}{path}")


def _shot(tab: Page, name: str) -> None:
    """A picture for people to look at, where they ask for one."""
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        tab.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


async def _busy(running: Site) -> None:
    async with running.cloud.db.write() as session:
        await fill(session, running.shop, running.cloud.clocks)
    today = running.now.date()
    async with running.cloud.db.write() as session:
        await rollup.touch(session, today - timedelta(days=30), today)
    await rollup.catch_up(running.cloud)


def _drawn(tab: Page) -> None:
    for box in tab.locator("[data-chart]").all():
        box.scroll_into_view_if_needed()
        expect(box).to_have_class(re.compile("is-drawn"))
    tab.evaluate("scrollTo(0, 0)")


def _yuan(text: str) -> float:
    return float(text.strip("¥").replace(",", ""))


def test_statistics_from_nothing_to_a_figure_and_its_rows(running: Site, page: Page) -> None:
    """On a desktop, then on a phone; whatever the policy blocks fails the test by the fixture."""
    page.set_viewport_size({"width": 1440, "height": 900})
    _open(page, running, "/console/stats")
    expect(page.get_by_text("还没有可以统计的")).to_be_visible()
    _shot(page, "stats-empty")
    running.run(_busy(running))
    _open(page, running, "/console/stats?kind=week")
    page.get_by_label("前一段", exact=True).click()
    expect(page.get_by_text("和上周比")).to_be_visible()
    _drawn(page)
    _shot(page, "stats-desk")
    for view in ("客人", "团购", "设备与电"):
        page.locator(".st-views").get_by_role("link", name=view).click()
        expect(page.locator(".st-views [aria-current]")).to_have_text(view)
        _drawn(page)
        _shot(page, f"stats-{view}")
    first, last = running.now.date() - timedelta(days=30), running.now.date()
    _open(page, running, f"/console/stats?kind=custom&first={first}&last={last}")
    _drawn(page)
    page.get_by_text("表格", exact=True).first.click()
    _shot(page, "stats-month")
    page.set_viewport_size({"width": 390, "height": 844})
    _open(page, running, "/console/stats?kind=week")
    page.get_by_label("前一段", exact=True).click()
    _drawn(page)
    _shot(page, "stats-phone")
    total = page.locator(".st-kpis .kpi-v").nth(1).inner_text()
    page.get_by_role("link", name=re.compile("^确认收入 ")).click()
    expect(page.locator(".kpi-v")).to_have_text(total)
    _shot(page, "stats-rows-phone")
    page.set_viewport_size({"width": 1440, "height": 900})
    _shot(page, "stats-rows")
    # Of one room, then of what came to it by one way: each figure less than before, and its rows say so.
    page.get_by_role("link", name="回到统计").click()
    sources = page.locator("[data-chart-table=channels] tbody tr")
    expect(sources.filter(has_text="代客下单")).to_contain_text("¥")
    for label, option, words in (("包间", "竹间", "竹间"), ("来处", "代客下单", "竹间 · 代客下单")):
        before, shown = total, page.locator(".st-kpis .kpi-v").nth(1)
        page.get_by_label(label, exact=True).select_option(label=option)
        expect(shown).not_to_have_text(before)
        total = shown.inner_text()
        assert 0 < _yuan(total) < _yuan(before)
        _drawn(page)
        _shot(page, f"stats-{option}")
        page.get_by_role("link", name=re.compile("^确认收入 ")).click()
        expect(page.locator(".kpi")).to_contain_text(words)
        expect(page.locator(".kpi-v")).to_have_text(total)
        page.get_by_role("link", name="回到统计").click()
        expect(page.get_by_label(label, exact=True).locator("option:checked")).to_have_text(option)


def test_one_click_makes_what_is_advised_a_draft(running: Site, page: Page) -> None:
    """The quiet hours of a store that was busy at night become a campaign that nobody sees yet."""
    page.set_viewport_size({"width": 1440, "height": 900})
    _open(page, running, "/console/stats")
    tip = page.locator(".tip", has=page.get_by_role("button", name="建活动草稿"))
    expect(tip).to_contain_text("规则：4 小时的时段出租率低于 40%")
    title = tip.locator("h3").inner_text()
    tip.get_by_role("button", name="建活动草稿").click()
    sheet = page.locator("dialog[open]")
    expect(sheet).to_contain_text(title)
    sheet.get_by_role("button", name="建草稿").click()
    arrive(page, re.compile("/console/campaigns"))
    expect(page.get_by_text(re.compile("周.到周.4 小时")).first).to_be_visible()
    _shot(page, "advised-campaign")
    told = running.run(_campaigns(running))
    assert [(one.state, one.minutes) for one in told] == [("draft", 240)]


async def _campaigns(running: Site) -> list[Campaign]:
    async with running.cloud.db.read() as session:
        return list((await session.exec(select(Campaign))).all())
