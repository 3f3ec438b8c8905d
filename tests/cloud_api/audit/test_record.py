"""An act and its entry are one transaction; the entries of a merchant are one chain."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select, text
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import chain, guard
from cloud_api.audit.models import AuditEntry, AuditHead
from cloud_api.audit.service import changes, record
from cloud_api.kit.actor import Customer, Staff, System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database

OWNER = Staff(
    staff_id="s1",
    account_id="a1",
    merchant_id="m1",
    permissions=frozenset(),
    login_id="l1",
    ip="203.0.113.7",
    name="陈店长",
)


async def note(db: Database, clocks: Clocks, subject: str, merchant: str = "m1") -> AuditEntry:
    async with db.write() as session:
        return await record(
            session, OWNER, "door.unlock", merchant_id=merchant, subject=subject, clocks=clocks
        )


async def entries(db: Database, merchant: str = "m1") -> list[AuditEntry]:
    query = select(AuditEntry).where(col(AuditEntry.merchant_id) == merchant)
    async with db.read() as session:
        return list((await session.exec(query.order_by(col(AuditEntry.seq)))).all())


async def test_an_entry_says_who_what_why_and_from_where(db: Database, clocks: Clocks):
    async with db.write() as session:
        made = await record(
            session,
            OWNER,
            "store.edit",
            merchant_id="m1",
            store_id="st1",
            subject="store:st1",
            before={"grace_s": 600, "opens": None},
            after={"grace_s": 900, "opens": "09:00"},
            why="假日加长",
            clocks=clocks,
        )
    (found,) = await entries(db)
    assert found.id == made.id
    assert (found.by, found.ip, found.login_id) == ("staff:s1", "203.0.113.7", "l1")
    assert (found.action, found.subject, found.store_id) == ("store.edit", "store:st1", "st1")
    assert found.before == {"grace_s": 600, "opens": None}
    assert found.after == {"grace_s": 900, "opens": "09:00"}
    assert (found.why, found.at, found.wire_at) == ("假日加长", clocks.now, clocks.real)
    assert found.prev == chain.genesis("m1")
    assert found.hash == chain.hash_of(found)


async def test_entries_are_chained_per_merchant(db: Database, clocks: Clocks):
    for number in range(3):
        await note(db, clocks, f"door:{number}")
        await note(db, clocks, f"door:{number}", merchant="m2")
    for merchant in ("m1", "m2"):
        found = await entries(db, merchant)
        assert [one.seq for one in found] == [1, 2, 3]
        links = [chain.genesis(merchant), *(one.hash for one in found)]
        assert [one.prev for one in found] == links[:-1]
        async with db.read() as session:
            head = (
                await session.exec(select(AuditHead).where(col(AuditHead.merchant_id) == merchant))
            ).one()
        assert (head.seq, head.hash) == (3, links[-1])


async def test_two_transactions_at_once_do_not_fork_the_chain(db: Database, clocks: Clocks):
    async def several(who: int) -> None:
        for number in range(5):
            await note(db, clocks, f"door:{who}-{number}")

    await asyncio.gather(*(several(who) for who in range(4)))
    found = await entries(db)
    assert [one.seq for one in found] == list(range(1, 21))
    assert [one.prev for one in found[1:]] == [one.hash for one in found[:-1]]


async def test_the_lock_is_taken_last(db: Database, clocks: Clocks):
    """Two audited transactions that lock the same rows in two orders would else block in a ring."""
    noted, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with db.write() as session:
            await record(
                session, OWNER, "door.unlock", merchant_id="m1", subject="door:slow", clocks=clocks
            )
            noted.set()
            await go_on.wait()

    task = asyncio.create_task(slow())
    await noted.wait()
    if not db.is_sqlite:  # SQLite has one writer anyway
        await asyncio.wait_for(note(db, clocks, "door:quick"), 20)
    go_on.set()
    await task
    subjects = [one.subject for one in await entries(db)]
    assert subjects == (["door:slow"] if db.is_sqlite else ["door:quick", "door:slow"])


async def test_what_rolls_back_leaves_no_entry(db: Database, clocks: Clocks):
    async def fail(session: AsyncSession, subject: str) -> None:
        await record(session, OWNER, "a.b", merchant_id="m1", subject=subject, clocks=clocks)
        raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError):
        async with db.write() as session:
            await fail(session, "x:1")
    async with db.write() as session:
        await record(session, OWNER, "a.b", merchant_id="m1", subject="x:2", clocks=clocks)
        with contextlib.suppress(ZeroDivisionError):
            async with session.begin_nested(), session.begin_nested():
                await fail(session, "x:3")
        async with session.begin_nested():
            await record(session, OWNER, "a.b", merchant_id="m1", subject="x:4", clocks=clocks)
    assert [one.subject for one in await entries(db)] == ["x:2", "x:4"]


async def test_the_database_refuses_to_change_an_entry(db: Database, clocks: Clocks):
    await note(db, clocks, "door:1")
    statements = [
        "UPDATE audit_entry SET why = 'nothing'",
        "DELETE FROM audit_entry",
        "INSERT OR REPLACE INTO audit_entry SELECT * FROM audit_entry"
        if db.is_sqlite
        else "TRUNCATE audit_entry",
    ]
    for statement in statements:
        with pytest.raises(DBAPIError) as refused:
            async with db.write() as session:
                await session.exec(text(statement))  # type: ignore[call-overload]
        assert guard.is_refusal(refused.value), statement
    assert len(await entries(db)) == 1


async def test_personal_data_and_secrets_do_not_get_in(db: Database, clocks: Clocks):
    async with db.write() as session:
        await record(
            session,
            Customer("a9", "l9", ip="198.51.100.77"),
            "staff.invite",
            merchant_id="m1",
            subject="staff:2",
            after={
                "phone": "+8613812345678",
                "note": "打 138 1234 5678 或 lin@example.com",
                "token": "abc",
                "deep": [{"password": "x", "totp_on": True}],
                "order": "ORD13812345678",
            },
            why="他换了号 13912345678",
            clocks=clocks,
        )
    (found,) = await entries(db)
    assert found.after == {
        "phone": "•••5678",
        "note": "打 •••5678 或 l•••@example.com",
        "token": "•••",
        "deep": [{"password": "•••", "totp_on": True}],
        "order": "ORD13812345678",
    }
    assert found.why == "他换了号 •••5678"
    assert found.ip == "198.51.100.0/24"


async def test_an_entry_reads_as_it_was_written_on_both_databases(db: Database, clocks: Clocks):
    """The hash is over the text that is stored: no database may spell a number or a text anew."""
    odd = {"tiny": 1e-7, "big": 1e20, "zero": 0.0, "text": "a\x00b\u2028竹", "none": None, "n": -1}
    odd |= {"prev": "", "seq": 0}  # as an entry's own link stands in its text
    async with db.write() as session:
        await record(
            session, System(), "a.b", merchant_id="m1", subject="x:1", after=odd, clocks=clocks
        )
    (found,) = await entries(db)
    assert found.after == {**odd, "text": "ab\u2028竹"}
    assert chain.hash_of(found) == found.hash


async def test_an_action_has_a_noun_and_a_verb(db: Database, clocks: Clocks):
    async with db.write() as session:
        with pytest.raises(ValueError, match=r"noun\.verb"):
            await record(session, OWNER, "unlock", merchant_id="m", subject="d:1", clocks=clocks)


def test_changes_keep_what_differs():
    assert changes({"a": 1, "b": 2, "gone": 0}, {"a": 1, "b": 3, "new": 4}) == (
        {"b": 2, "gone": 0},
        {"b": 3, "new": 4},
    )
