"""What is advised after weeks of business: each rule with its reason and its rows; its draft is made by one request."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
from sqlmodel import col, select

import cloud_api.reports.jobs  # noqa: F401  registers its handlers
from cloud_api.coupons.models import CouponGrant
from cloud_api.groupbuy.models import Campaign
from cloud_api.kit.cloud import Cloud
from cloud_api.pricing.models import Tariff
from cloud_api.reports import rollup
from tests.cloud_api.factories import (
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
    make_store,
)

HERE = "/api/v1/console"
AGO = timedelta(days=52)


async def _busy(cloud: Cloud) -> tuple[str, dict[str, str], dict[str, str]]:
    """One room, full from 19 to 22 each night of four weeks; three regulars who stayed away since."""
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        shop = await make_store(session, now - AGO, rooms=1)
        everyday, *away = [await make_customer(session, now) for _ in range(4)]
        for back in range(1, 29):
            night = (now - timedelta(days=back)).replace(hour=11)  # 19:00 in Shanghai
            args: dict[str, Any] = {"now": night, "minutes": 180, "status": "completed"}
            await make_order(session, shop, everyday, night, **args)
        for visit in range(4):
            for n, guest in enumerate(away):
                at = (now - timedelta(days=45 + visit)).replace(hour=1 + 4 * n)
                await make_order(session, shop, guest, at, now=at, status="completed")
        boss = await make_staff(session, shop, now)
        cashier = await make_staff(session, shop, now, role="cashier")
        today = now.date()
        await rollup.touch(session, today - AGO, today)
        logins = [bearer(await make_login(session, one.account_id, now)) for one in (boss, cashier)]
    await rollup.catch_up(cloud)
    return shop.store.id, logins[0], logins[1]


async def test_a_package_a_coupon_and_a_price_are_advised_and_made_drafts_once(
    client: httpx.AsyncClient, cloud: Cloud
) -> None:
    store_id, owner, cashier = await _busy(cloud)
    reports = f"{HERE}/reports"
    assert (await client.get(f"{reports}/advice", headers=cashier)).status_code == 403
    told = (await client.get(f"{reports}/advice", headers=owner)).json()
    assert told["quiet"] == []
    advised = {one["key"]: one for one in told["items"]}
    assert {key: one["title"] for key, one in advised.items()} == {
        "quiet_hours": "周一到周四 9–13 点，¥91 / 4 小时",
        "drifting": "给 3 位快要走的常客减 ¥23",
        "full_hours": "周五到周日 19–22 点卖 ¥42 / 小时",
    }
    # Each number is that of its rows: the minutes taken and on offer, and who stays away.
    rows = advised["quiet_hours"]["trace"] | {}
    figure = rows.pop("figure")
    found = (
        await client.get(f"{reports}/figures/{figure}/rows", params=rows, headers=owner)
    ).json()
    assert found["total"] == {"busy_minutes": 28 * 180, "open_minutes": 28 * 1440}
    assert "全店白天平均 20%" in advised["quiet_hours"]["why"]  # 3 of the 15 hours of a day
    gone = await client.get(
        f"{reports}/guests/drifting", params={"store_id": store_id}, headers=owner
    )
    assert gone.json()["total"] == 3
    for key, one in advised.items():
        draft = one["draft"]
        for _twice in range(2):  # a double click: one key, one draft
            made = await client.post(
                draft["path"], json=draft["body"], headers=owner | {"Idempotency-Key": f"try-{key}"}
            )
            assert made.status_code in {200, 201}, made.text
    async with cloud.db.read() as session:
        (campaign,) = (await session.exec(select(Campaign))).all()
        assert (campaign.state, campaign.price_fen, campaign.from_minute) == ("draft", 9100, 540)
        assert (await session.exec(select(CouponGrant))).all() == []  # nobody was given one yet
        peak = col(Tariff.name) == "周五到周日高峰"
        (tariff,) = (await session.exec(select(Tariff).where(peak))).all()
        assert (tariff.hourly_fen, tariff.weekdays, tariff.from_minute) == (4200, 0b1110000, 1140)
    # Of a store that has just begun nothing is said, and why not.
    async with cloud.db.write() as session:
        fresh = await make_store(session, cloud.clocks.now, name="新店")
        boss = await make_staff(session, fresh, cloud.clocks.now)
        new = bearer(await make_login(session, boss.account_id, cloud.clocks.now))
    told = (await client.get(f"{reports}/advice", headers=new)).json()
    assert told == {"items": [], "quiet": ["新店：数据还不够，要营业 14 天、20 场以上"]}
