"""Reconciliation in a browser: a day with a difference, closed by a person, is balanced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date

import pytest
from playwright.sync_api import Browser, expect
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.payments.bill_models import BillDifference, ProviderBill
from cloud_api.payments.models import ProviderAccount
from tests.cloud_api.factories import make_login, make_staff
from tests.web.test_people_walk import sitting
from tests.web.town import Visitor, running_town

pytestmark = pytest.mark.xdist_group("reconciliation-walk")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("reconciliation-walk")) as running:
        yield running


async def _days(session: AsyncSession) -> None:
    account = (await session.exec(select(ProviderAccount))).first()
    assert account is not None
    for day, gaps in ((21, 0), (22, 2)):
        bill = ProviderBill(
            merchant_id=account.merchant_id,
            account_ref=account.id,
            provider="wechat",
            day=date(2026, 11, day),
            state="open" if gaps else "balanced",
            lines=14,
            theirs_paid_fen=106400,
            ours_paid_fen=106400 - 7600 * gaps,
            fee_fen=638,
            open_differences=gaps,
            healed=1,
            read_at=account.created_at,
        )
        session.add(bill)
        await session.flush()
        for at in range(gaps):
            session.add(
                BillDifference(
                    merchant_id=account.merchant_id,
                    bill_id=bill.id,
                    category="missing_here" if at else "amount",
                    kind="payment",
                    number=f"261122190012345{at}-1",
                    theirs_fen=7600,
                    ours_fen=None if at else 7500,
                    found_at=account.created_at,
                )
            )


def test_differences_are_closed_with_a_note(browser: Browser, town: Visitor):
    """The first at a desk, the last one on a phone: then the day is right."""
    town.site.write(_days)
    site = town.site

    async def finance(session: AsyncSession) -> str:
        member = await make_staff(session, site.shop, site.now, role="finance")
        return await make_login(session, member.account_id, site.cloud.clocks.real)

    token = site.write(finance)
    for phone in (False, True):
        _close_one(browser, town, token, phone)


def _close_one(browser: Browser, town: Visitor, token: str, phone: bool) -> None:
    with sitting(browser, town, token, phone=phone) as page:
        page.goto(f"{town.site.url}/console/reconciliation")
        expect(page.get_by_text("2026-11-22")).to_be_visible()
        expect(page.get_by_text("对上了").first).to_be_visible()
        if where := os.environ.get("KAIMEN_SHOTS"):
            page.screenshot(path=f"{where}/bills-{phone}.png")
        page.get_by_role("link", name="2026-11-22").click()
        if where:
            page.screenshot(path=f"{where}/bill-{phone}.png")
        page.get_by_role("button", name="处理").first.click()
        sheet = page.get_by_role("dialog")
        sheet.get_by_role("button", name="测试交易").click()
        sheet.get_by_role("button", name="处理好了").click()
        expect(page.get_by_text("测试交易").first).to_be_visible()
        if phone:
            expect(page.get_by_text("都对上了")).to_be_visible()
