"""Where orders come from: a voucher of the house makes a stay of group-buy, worth what was paid for it."""

from __future__ import annotations

from datetime import date, timedelta

from sqlmodel import col, select

from cloud_api.groupbuy import redeem
from cloud_api.kit.database import Database
from cloud_api.orders import store_events
from cloud_api.reports import rollup
from cloud_api.reports.models import ReportGuest, ReportPart
from tests.cloud_api.groupbuy.conftest import Club, club

__all__ = ["club"]
MONDAY = date(2026, 11, 23)


async def _parts(db: Database) -> dict[str, ReportPart]:
    async with db.read() as session:
        rows = (await session.exec(select(ReportPart).where(col(ReportPart.day) == MONDAY))).all()
    return {row.room_id: row for row in rows if row.channel == "groupbuy"}


async def test_a_voucher_is_sold_redeemed_and_undone(club: Club) -> None:
    guest, house = club.people[0], club.house
    vouchers = await club.bought(await club.campaign(), guest, quantity=2)
    async with club.cloud.db.write() as session:
        used = await redeem.redeem(
            session, club.owner, room_id=house.shop.room.id, clocks=club.cloud.clocks,
            voucher_id=vouchers[0].id, starts_at=house.noon + timedelta(hours=1),
        )  # fmt: skip
    async with club.cloud.db.write() as session:
        other = await redeem.redeem(
            session, club.owner, room_id=house.shop.rooms[1].id, clocks=club.cloud.clocks,
            voucher_id=vouchers[1].id, starts_at=house.noon + timedelta(hours=1),
        )  # fmt: skip
        await redeem.undo(session, club.owner, other.redemption.id, "选错券了", club.cloud.clocks)
    house.passes(30 * 3600)
    async with club.cloud.db.write() as session:
        await store_events.complete_forgotten(session, used.order.id, club.cloud.clocks)
    await house.quiet()
    await rollup.catch_up(club.cloud)
    parts = await _parts(club.cloud.db)
    sold, room = parts[""], parts[house.shop.room.id]
    assert (sold.group_sold, sold.group_fen, sold.cash_group_fen) == (2, 11_600, 11_600)
    async with club.cloud.db.read() as session:
        rows = (await session.exec(select(ReportPart))).all()
        assert sum(row.redeemed for row in rows) == 1
        assert sum(row.voucher_fen for row in rows) == 5800  # one used; the other is owed still
        (came,) = (await session.exec(select(ReportGuest))).all()
    assert (room.stays, room.stay_fen) == (1, 5800)
    assert (came.visits, came.spent_fen, came.vouchers) == (1, 5800, 1)
