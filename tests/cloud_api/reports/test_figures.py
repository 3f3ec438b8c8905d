"""A period in numbers: business days, hours, rooms, guests; the period before; the rows behind each figure."""

from __future__ import annotations

import csv
import io
import re
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook

import cloud_api.reports.jobs  # noqa: F401  registers its handlers
from cloud_api.alarms.models import Alarm
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import COOKIE
from cloud_api.reports import rollup, service
from cloud_api.reports.measures import FIGURES
from cloud_api.reports.periods import period_of
from cloud_api.staff.permissions import ALL
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
    make_store,
    staff,
)

HERE = "/api/v1/console/reports"
CHINESE = re.compile(r"[\u3400-\u9fff]")
MONDAY = date(2026, 11, 23)


def test_periods_and_what_they_are_compared_with() -> None:
    week = period_of("week", MONDAY + timedelta(days=2))
    assert (week.first, week.last, week.until) == (MONDAY, date(2026, 11, 29), date(2026, 11, 25))
    assert (week.earlier().first, week.earlier().until) == (date(2026, 11, 16), date(2026, 11, 18))
    whole = period_of("month", MONDAY, day=date(2026, 10, 5))
    assert (whole.first, whole.last, whole.running) == (
        date(2026, 10, 1),
        date(2026, 10, 31),
        False,
    )
    assert (whole.earlier().first, whole.earlier().until) == (date(2026, 9, 1), date(2026, 9, 30))
    march = period_of("month", date(2026, 3, 30))
    assert march.earlier().until == date(2026, 2, 28)  # 30 days have begun, the month before had 28
    own = period_of("custom", MONDAY, first=date(2026, 11, 10), last=date(2026, 11, 12))
    assert (own.earlier().first, own.earlier().last) == (date(2026, 11, 7), date(2026, 11, 9))
    ahead = period_of("day", MONDAY, day=date(2026, 12, 1))
    assert ahead.days == 0
    for first, last in ((MONDAY, date(2026, 11, 22)), (MONDAY, date(2028, 1, 1))):
        with pytest.raises(KaimenError) as refused:
            period_of("custom", MONDAY, first=first, last=last)
        assert refused.value.code == "report.days"


async def _stage(cloud: Cloud, shop: Shop, now: datetime) -> dict[str, Any]:
    """Two guests, four stays on three evenings; one order cancelled, one let go; a board that failed."""
    async with cloud.db.write() as session:
        anna, ben = await make_customer(session, now), await make_customer(session, now)
        at = now - timedelta(days=1)

        async def stay(guest: Any, starts: datetime, **values: Any) -> Any:
            return await make_order(session, shop, guest, starts, now=at, **values)

        await stay(anna, now + timedelta(hours=2), status="completed")  # Monday 14:00 to 16:00
        await stay(anna, now + timedelta(hours=9), room=shop.rooms[1])  # Monday 21:00
        night = await stay(ben, now + timedelta(hours=17), minutes=120)  # Tuesday 5:00 to 7:00
        night.usage, night.used_s = {"energy_wh": 900}, 5400
        session.add(night)
        await stay(ben, now - timedelta(days=6, hours=-4), status="completed")  # last Tuesday 16:00
        gone = await stay(ben, now + timedelta(hours=4), room=shop.rooms[2], status="cancelled")
        gone.paid_fen = gone.total_fen
        await stay(ben, now + timedelta(hours=6), room=shop.rooms[2], status="cancelled")
        other = await make_store(session, now, merchant=shop.merchant, name="别的店")
        await make_order(session, other, anna, now + timedelta(hours=2), now=at)
        foreign = await make_store(session, now, name="别人的店")
        await make_order(session, foreign, anna, now + timedelta(hours=2), now=at)
        session.add_all(
            [
                gone,
                Alarm(
                    merchant_id=shop.merchant.id,
                    store_id=shop.store.id,
                    kind="device.offline",
                    subject="board:x",
                    severity="warning",
                    data={"room_id": shop.room.id},
                    since=now,
                    raised_at=now,
                ),
            ]
        )
        await rollup.touch(session, MONDAY - timedelta(days=8), MONDAY + timedelta(days=3))
        boss = await make_staff(session, shop, now)
        here = await make_staff(session, shop, now, role="manager", store_ids=[shop.store.id])
        made = {
            "owner": bearer(await make_login(session, boss.account_id, now)),
            "manager": bearer(await make_login(session, here.account_id, now)),
        }
    await rollup.catch_up(cloud)
    return made


async def test_a_week_in_numbers(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, now: datetime
) -> None:
    who = await _stage(cloud, shop, now)

    async def told(path: str, by: str = "manager", **query: Any) -> Any:
        answer = await client.get(f"{HERE}{path}", params=query, headers=who[by])
        assert answer.status_code == 200, answer.text
        return answer.json()

    week = await told("/summary", day="2026-11-23")
    assert (week["first"], week["until"], week["behind"]) == ("2026-11-23", "2026-11-23", 0)
    value = {one["key"]: one["value"] for one in week["figures"]}
    before = {one["key"]: one["before"] for one in week["figures"]}
    # Tuesday 5:00 is Monday's business day; what was placed on Sunday counts on Sunday.
    assert (value["stays"], value["made"], value["faults"]) == (3, 0, 1)
    assert (before["stays"], before["made"]) == (0, 0)  # Monday is compared with last Monday
    assert value["ticket"] == 7600
    assert value["energy"] == 0.6  # 900 Wh in an hour and a half
    # Three rooms round the clock; of the night's two hours one is Tuesday's.
    assert value["occupancy"] == round(100 * 300 / (3 * 1440), 1)
    hours = {(h["weekday"], h["hour"]): h["busy_minutes"] for h in week["hours"]}
    assert [hours[0, h] for h in (13, 14, 15, 16, 21, 22, 5, 6)] == [0, 60, 60, 0, 60, 60, 60, 0]
    assert {h["open_minutes"] for h in week["hours"]} == {180}
    assert next((r["name"], r["sums"]["stays"]) for r in week["rooms"]) == ("竹间", 2)
    assert [(c["key"], c["sums"]["stays"]) for c in week["channels"]] == [("app", 3), ("", 0)]
    guests = week["guests"]
    assert (guests["active"], guests["returning"], guests["fresh"]) == (2, 2, 1)
    assert {s["key"]: s["guests"] for s in week["segments"]} == {"promising": 2}

    sunday = await told("/summary", kind="day", day="2026-11-22")
    value = {one["key"]: one["value"] for one in sunday["figures"]}
    assert (value["made"], value["cancelled"]) == (5, 20.0)  # the one that was let go is no order
    assert [one["count"] for one in sunday["leads"]] == [1, 0, 0, 4, 0]
    last = await told("/summary", kind="custom", first="2026-11-16", last="2026-11-23")
    assert last["days"][1]["sums"]["stays"] == 1
    assert len(last["days"]) == 8

    both = await told("/summary", "owner", kind="day", day="2026-11-23")
    assert {s["name"]: s["sums"]["stays"] for s in both["stores"]} == {
        shop.store.name: 3,
        "别的店": 1,
    }  # nobody else's
    room = await told("/summary", day="2026-11-23", room_id=shop.rooms[1].id)
    assert room["guests"] is None
    assert next(f for f in room["figures"] if f["key"] == "stays")["value"] == 1


async def test_every_figure_is_the_sum_of_its_rows(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, now: datetime
) -> None:
    who = await _stage(cloud, shop, now)
    span = {"first": "2026-11-16", "last": "2026-11-24"}
    week = await client.get(
        f"{HERE}/summary", params={"kind": "custom", **span}, headers=who["owner"]
    )
    days = week.json()["days"]
    for key, figure in FIGURES.items():
        answer = await client.get(f"{HERE}/figures/{key}/rows", params=span, headers=who["owner"])
        assert answer.status_code == 200, answer.text
        rows = answer.json()
        for name in {*figure.columns, *figure.of}:
            listed = sum(row["values"].get(name, 0) for row in rows["items"])
            assert rows["total"][name] == listed, (key, name)
            assert listed == sum(day["sums"][name] for day in days), (key, name)
    # Of Tuesday's facts nothing is listed under Monday, and of another room's nothing here.
    one = await client.get(
        f"{HERE}/figures/stays/rows",
        params={"first": "2026-11-23", "last": "2026-11-23", "room_id": shop.rooms[1].id},
        headers=who["manager"],
    )
    assert [row["kind"] for row in one.json()["items"]] == ["stay"]
    # Page by page, a store's day each, it is the same.
    async with cloud.db.write() as session:
        boss = staff(await make_staff(session, shop, now), ALL)
        _, wanted, stores = await service.asked(
            session,
            boss,
            cloud.clocks,
            kind="custom",
            first=MONDAY - timedelta(days=7),
            last=MONDAY,
        )
        pages: list[list[int]] = []
        after = ""
        while not pages or after:
            page = await service.rows(session, boss, "made", wanted, stores, after=after, most=1)
            pages.append([row.values["made"] for row in page.items if "made" in row.values])
            after = page.next or ""
    assert sorted(map(sum, pages)) == [1, 5]  # Sunday's of two stores
    bad = {
        "/figures/made/rows?first=2026-11-23&last=2026-11-23&after=x": (422, "cursor.bad"),
        "/figures/none/rows?first=2026-11-23&last=2026-11-23": (404, "figure.not_found"),
        "/summary?channel=x": (422, "report.channel"),
        "/summary?kind=custom&first=2026-11-23&last=2026-11-01": (422, "report.days"),
        "/summary?room_id=x": (404, "room.not_found"),
        "/summary?store_id=x": (404, "store.not_found"),
    }
    for path, expected in bad.items():
        answer = await client.get(f"{HERE}{path}", headers=who["owner"])
        assert (answer.status_code, answer.json()["code"]) == expected, path


async def test_what_is_left_alone_is_not_made_again(cloud: Cloud, shop: Shop) -> None:
    """A look marks what changed and the days that were never made, once; then there is nothing to do."""
    assert await rollup.catch_up(cloud) == 1  # today, on which nothing was yet
    assert await rollup.catch_up(cloud) == 0


async def _exported(
    client: httpx.AsyncClient,
    cloud: Cloud,
    headers: dict[str, str],
    detail: str,
    part: dict[str, str],
) -> float:
    """How many stays a CSV of a part of the period holds."""
    body = {"form": "csv", "detail": detail, "first": "2026-11-16", "last": "2026-11-23", **part}
    asked = await client.post(f"{HERE}/exports", json=body, headers=headers)
    assert asked.status_code == 202, asked.text
    while await run_due(cloud):
        pass
    path = f"/api/v1/console/order-exports/{asked.json()['id']}"
    told = (await client.get(path, headers=headers)).json()
    got = await client.get(told["url"], headers=headers)
    rows = csv.DictReader(io.StringIO(got.content.decode("utf-8-sig")))
    return sum(float(row["场次"]) for row in rows)


async def test_a_period_as_a_file(
    client: httpx.AsyncClient, cloud: Cloud, shop: Shop, now: datetime
) -> None:
    """By day, by part and by fact the same sums, in yuan; only its own asker gets it."""
    who = await _stage(cloud, shop, now)
    sums = {}
    for detail, form in (("day", "csv"), ("part", "csv"), ("fact", "csv"), ("day", "xlsx")):
        body = {"form": form, "detail": detail, "first": "2026-11-16", "last": "2026-11-23"}
        asked = await client.post(f"{HERE}/exports", json=body, headers=who["manager"])
        assert asked.status_code == 202, asked.text
        while await run_due(cloud):
            pass
        told = await client.get(
            f"/api/v1/console/order-exports/{asked.json()['id']}", headers=who["manager"]
        )
        assert told.json()["state"] == "done"
        got = await client.get(told.json()["url"], headers=who["manager"])
        assert "statistics-" in got.headers["content-disposition"]
        assert (await client.get(told.json()["url"], headers=who["owner"])).status_code == 404
        if form == "csv":
            rows = list(csv.DictReader(io.StringIO(got.content.decode("utf-8-sig"))))
            assert {row["门店"] for row in rows} == {shop.store.name}
            names = ("场次", "实付（元）", "占用（分钟）", "设备故障")
            sums[detail] = tuple(sum(float(row[name]) for row in rows) for name in names)
        else:
            sheet = load_workbook(io.BytesIO(got.content)).active
            assert sheet is not None
            assert sheet.max_row == 9
    assert sums["day"] == sums["part"] == sums["fact"] == (4, 304.0, 420, 1)
    # Of one room and one source it is their part in each detail, and all sources together are the whole.
    room = {"room_id": shop.room.id}
    whole = await _exported(client, cloud, who["manager"], "day", room)
    assert 0 < whole < 4
    for detail in ("day", "part", "fact"):
        by_source = [
            await _exported(client, cloud, who["manager"], detail, room | {"channel": channel})
            for channel in ("app", "staff", "groupbuy")
        ]
        assert sum(by_source) == whole, (detail, by_source)
    body = {"first": "2026-11-16", "last": "2026-11-23", "channel": "moon"}
    refused = await client.post(f"{HERE}/exports", json=body, headers=who["manager"])
    assert (refused.status_code, refused.json()["code"]) == (422, "report.channel")
    # Whoever asks in English reads English heads, though a job writes them later; and so for 繁體.
    for wanted, head, channel in (
        ("en", ("Business day", "Store"), "Own pages"),
        ("zh-Hant", ("營業日", "門店"), "自己的頁面"),
    ):
        body = {"form": "csv", "detail": "part", "first": "2026-11-16", "last": "2026-11-23"}
        asked = await client.post(
            f"{HERE}/exports", json=body, headers=who["manager"] | {"Cookie": f"{COOKIE}={wanted}"}
        )
        while await run_due(cloud):
            pass
        path = f"/api/v1/console/order-exports/{asked.json()['id']}"
        told = await client.get(path, headers=who["manager"])
        got = await client.get(told.json()["url"], headers=who["manager"])
        heads, *lines = csv.reader(io.StringIO(got.content.decode("utf-8-sig")))
        assert tuple(heads[:2]) == head
        assert wanted != "en" or not CHINESE.search("".join(heads)), heads
        assert channel in {line[3] for line in lines}
