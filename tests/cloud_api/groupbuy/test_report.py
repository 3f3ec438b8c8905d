"""Group-buy in numbers: by day and channel, what expired and went back, what sharing brought; as a sheet."""

from __future__ import annotations

import io
from datetime import timedelta

from openpyxl import load_workbook

from cloud_api.groupbuy import back, report, shares
from cloud_api.groupbuy.schemas import ReportOut
from cloud_api.orders import export_sheet
from tests.cloud_api.factories import customer
from tests.cloud_api.groupbuy.conftest import Club


async def _report(club: Club, by: str) -> ReportOut:
    day = club.cloud.clocks.now.date()
    async with club.cloud.db.read() as session:
        return await report.report(
            session, club.owner, day - timedelta(days=9), day + timedelta(days=1), by
        )


async def test_each_thing_on_its_day_and_by_its_channel(club: Club) -> None:
    one, two, three = club.people[:3]
    pair = await club.campaign(team_size=2, valid_days=3, refund_on_expiry=False)
    opened = await club.buy(pair, one)
    await club.pay(opened, one)
    await club.until(opened, "paid")
    team = await club.team(opened)
    async with club.cloud.db.write() as session:
        for _ in range(4):
            await shares.opened(session, pair, club.cloud.clocks)
    joined = await club.buy(pair, two, team_token=team.token)
    await club.pay(joined, two)
    await club.until(joined, "issued")
    plain = await club.campaign(name="一个人")
    vouchers = await club.bought(plain, three, 2)
    first = f"{club.cloud.clocks.now:%Y-%m-%d}"

    club.house.passes(86400)
    second = f"{club.cloud.clocks.now:%Y-%m-%d}"
    async with club.cloud.db.write() as session:
        await back.give_back(session, customer(three), vouchers[0].id, club.cloud.clocks)
    club.house.passes(2.5 * 86400)
    await club.house.quiet()

    days = {row.key: row for row in (await _report(club, "day")).rows}
    assert (days[first].sold, days[first].sold_fen, days[first].visits) == (4, 4 * 5800, 4)
    assert (days[second].refunded, days[second].refunded_fen) == (1, 5800)
    assert sum(row.expired for row in days.values()) == 2
    assert days[first].expired == 0

    channels = {row.key: row for row in (await _report(club, "channel")).rows}
    assert {key: row.sold for key, row in channels.items()} == {
        report.OPENED: 1,
        report.JOINED: 1,
        report.ALONE: 2,
    }
    campaigns = {row.name: row for row in (await _report(club, "campaign")).rows}
    shared = campaigns[pair.name]
    assert (shared.visits, shared.share_orders, shared.expired) == (4, 1, 2)
    assert campaigns["一个人"].refunded == 1

    head, *rows = report.sheet(await _report(club, "campaign"))
    book = load_workbook(
        io.BytesIO(export_sheet.write("xlsx", rows, [str(one) for one in head], "团购"))
    )
    assert book.active is not None
    cells = list(book.active.iter_rows(values_only=True))
    assert cells[0][0] == "名称"
    assert {row[0] for row in cells[1:]} == {pair.name, "一个人"}
