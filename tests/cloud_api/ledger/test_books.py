"""The books: the database refuses what does not balance; orders' money is where it belongs; days close."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

import cloud_api.ledger.jobs  # noqa: F401  registers its handlers
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.ledger import cash, closing, days, guard, statement, verify
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.models import LedgerDay, LedgerEntry
from cloud_api.ledger.service import Line, holds, post
from cloud_api.orders import cancel, store_events
from cloud_api.staff.permissions import ALL
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House


async def _post(house: House, key: str, lines: list[Line]) -> bool:
    async with house.cloud.db.write() as session:
        return await post(
            session,
            store_id=house.shop.store.id,
            kind="payment",
            key=key,
            subject=key,
            lines=lines,
            clocks=house.cloud.clocks,
        )


async def _insert(house: House, sql: str, **values: Any) -> None:
    async with house.cloud.db.write() as session:
        await session.execute(text(sql), values)


async def _unbalanced(house: House, copy: str, of: str, told: dict[str, Any]) -> None:
    header = (
        "INSERT INTO ledger_txn (id, merchant_id, store_id, day, kind, key, subject, text, "
        "\"by\", \"at\") SELECT 't9', merchant_id, store_id, day, kind, 'k9', subject, text, "
        '"by", "at" FROM ledger_txn WHERE id = :of'
    )
    async with house.cloud.db.write() as session:
        await session.execute(text(copy), {"txn": "t9", **told})
        await session.execute(text(header), {"of": of})


async def test_the_database_refuses_what_does_not_balance_and_every_change(house: House) -> None:
    pair = [Line(Account.CASH, 500), Line(Account.ADVANCE, -500)]
    assert await _post(house, "one", pair)
    assert not await _post(house, "one", pair)  # the same cause again
    with pytest.raises(ValueError, match="zero"):
        await _post(house, "two", [Line(Account.CASH, 500), Line(Account.ADVANCE, -499)])
    async with house.cloud.db.read() as session:
        entry = (await session.exec(select(LedgerEntry).limit(1))).one()
    copy = (
        "INSERT INTO ledger_entry (id, txn_id, merchant_id, store_id, day, account, detail, "
        "subject, amount_fen) SELECT :id, :txn, merchant_id, store_id, day, account, '', 's', "
        ":amount FROM ledger_entry WHERE id = :from"
    )
    told = {"from": entry.id, "id": "e9", "amount": 7}
    with pytest.raises(DBAPIError, match=guard.SEALED):
        await _insert(house, copy, txn=entry.txn_id, **told)
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"):  # no transaction ever came
        await _insert(house, copy, txn="t9", **told)
    with pytest.raises(DBAPIError, match=guard.UNBALANCED):
        await _unbalanced(house, copy, entry.txn_id, told)
    for sql in (
        "UPDATE ledger_entry SET amount_fen = 1",
        "DELETE FROM ledger_entry",
        "UPDATE ledger_txn SET kind = 'x'",
        "DELETE FROM ledger_txn",
    ):
        with pytest.raises(DBAPIError, match=guard.APPEND_ONLY):
            await _insert(house, sql)


async def test_money_is_an_advance_until_it_is_used_and_a_payable_until_it_is_back(
    house: House,
) -> None:
    used, given_up = await house.paid_order(), await house.paid_order(in_h=8)

    async def held(order: Any) -> dict[str, int]:
        async with house.cloud.db.read() as session:
            found = await holds(session, f"order:{order.id}")
        return {
            account if account is not Account.REVENUE else detail: amount
            for (account, detail), amount in found.items()
            if amount
        }

    assert await held(used) == {"clearing": 7600, "advance": -7600}
    async with house.cloud.db.write() as session:  # before its time: nobody can have been in
        await cancel.cancel_by_staff(
            session,
            staff(await make_staff(session, house.shop, house.noon), ALL),
            given_up.id,
            "停电",
            house.cloud.clocks,
        )
    house.passes(30 * 3600)
    async with house.cloud.db.write() as session:
        await store_events.complete_forgotten(session, used.id, house.cloud.clocks)
    assert await held(used) == {"clearing": 7600, "room_time": -7600}
    assert await held(given_up) == {"clearing": 9600, "refund_payable": -9600}
    await house.finish_all()
    assert await held(given_up) == {}
    async with house.cloud.db.read() as session:
        assert await verify.verify(session, house.shop.merchant.id) == []


async def test_a_closed_day_stays_as_it_is_and_late_news_go_to_the_open_one(house: House) -> None:
    store, clocks = house.shop.store, house.cloud.clocks
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
    today = days.business_day(clocks.now, store.tz)
    await house.paid_order()
    with pytest.raises(Conflict) as early:
        async with house.cloud.db.write() as session:
            await closing.close(session, owner, store.id, today, clocks)
    assert early.value.code == "ledger.day_runs"
    house.passes(86400)
    async with house.cloud.db.write() as session:
        first = await closing.close(session, owner, store.id, today, clocks)
        again = await closing.close(session, owner, store.id, today, clocks)
    assert first.state == "closed"
    assert first.totals == again.totals
    assert first.totals["advance/"] == -7600
    with pytest.raises(DBAPIError, match=guard.CLOSED):
        await _insert(house, "UPDATE ledger_day SET state = 'open'")
    async with house.cloud.db.write() as session:  # a day that somebody closed before its time
        session.add(
            LedgerDay(
                merchant_id=store.merchant_id,
                store_id=store.id,
                day=today + timedelta(days=1),
                state="closed",
            )
        )
    assert await _post(house, "late", [Line(Account.CASH, 5), Line(Account.ADVANCE, -5)])
    async with house.cloud.db.read() as session:
        entry = (
            await session.exec(select(LedgerEntry).where(col(LedgerEntry.subject) == "late"))
        ).first()
        assert entry is not None
        assert entry.day == today + timedelta(days=2)
        assert await verify._days(session, house.shop.merchant.id) == []
        told = await statement.statement(session, owner, store.id, today, today)
        assert {line.account: line.closing_fen for line in told.lines} == {
            "clearing": 7600,
            "advance": 7600,
        }
        rows = [
            line
            async for line in statement.csv_lines(house.cloud.db, owner, store.id, today, today)
        ]
    assert len(rows) == 3
    assert "76.00" in rows[1]


async def test_a_day_closes_by_itself(house: House) -> None:
    await house.paid_order()
    house.passes(30 * 3600)
    await house.quiet()
    async with house.cloud.db.read() as session:
        states = (await session.exec(select(col(LedgerDay.state)))).all()
    assert states[0] == "closed"


async def test_the_drawer_is_counted_and_a_difference_needs_a_reason(house: House) -> None:
    store, clocks = house.shop.store, house.cloud.clocks
    await _post(house, "sale", [Line(Account.CASH, 5000), Line(Account.ADVANCE, -5000)])
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        with pytest.raises(KaimenError) as why:
            await cash.count(session, owner, store.id, 4900, " ", clocks)
        assert why.value.code == "cash.why"
        made = await cash.count(session, owner, store.id, 4900, "找零找错了", clocks)
        assert (made.expected_fen, made.counted_fen) == (5000, 4900)
        assert await cash.expected(session, store.id) == 4900
        assert await cash.to_bank(session, owner, store.id, 4000, "存银行", clocks) == 900
        with pytest.raises(Conflict):
            await cash.to_bank(session, owner, store.id, 901, "", clocks)
        left = await holds(session, f"drawer:{store.id}")
    assert left[Account.CASH_DIFFERENCE, ""] == 100


def test_a_business_day_begins_at_six_where_the_store_is() -> None:
    at = datetime(2026, 11, 26, 21, 59, tzinfo=UTC)  # 05:59 in Shanghai
    assert days.business_day(at, "Asia/Shanghai").day == 26
    assert days.business_day(at + timedelta(minutes=1), "Asia/Shanghai").day == 27
    assert days.ends_at(days.business_day(at, "Asia/Shanghai"), "Asia/Shanghai") == at + timedelta(
        minutes=1
    )
