"""Rows made and written the short way are those that the long way makes and writes."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from cloud_api.kit.database import Database
from cloud_api.kit.models import DueJob, FeedEntry
from cloud_api.kit.writing import made, values_of, write_new
from tests.support.statements import statements


async def test_rows_of_two_tables_are_one_statement_and_read_as_they_were_made(
    db: Database, now: datetime
):
    async with db.write() as session:
        job = made(DueJob, merchant_id="m", kind="k", ref="r", run_at=now, body={"a": [1]})
        line = made(FeedEntry, merchant_id="m", topic="t", body={"b": None}, at=now)
        assert values_of(job) == values_of(DueJob(**values_of(job)))
        other = made(DueJob, merchant_id="m", kind="k", ref="s", run_at=now)
        assert other.id != job.id
        assert other.body is not made(DueJob, merchant_id="m", kind="k", ref="t", run_at=now).body
        session.add_all([job, line, other])
        with statements(db) as told:
            await write_new(session)
            await write_new(session)  # nothing is left to write
        assert len([one for one in told if "INSERT" in one]) == (3 if db.is_sqlite else 1)
        job.attempts = 2  # it is known as a row, and changes like one
        session.add(job)
    async with db.read() as session:
        rows = (await session.exec(select(DueJob).order_by(col(DueJob.ref)))).all()
        assert [(row.ref, row.attempts, row.body, row.run_at) for row in rows] == [
            ("r", 2, {"a": [1]}, now), ("s", 0, {}, now),
        ]  # fmt: skip
        seen = (await session.exec(select(FeedEntry))).one()
        assert (seen.body, seen.at, seen.store_id) == ({"b": None}, now, None)


async def test_what_the_database_refuses_leaves_nothing(db: Database, now: datetime):
    async def thrice() -> None:
        async with db.write() as session:
            for when in (now, now + timedelta(hours=1), now):
                session.add(made(DueJob, merchant_id="m", kind="k", ref="r", run_at=when))
            await write_new(session)

    with pytest.raises(IntegrityError):
        await thrice()
    async with db.read() as session:
        assert (await session.exec(select(DueJob))).all() == []


async def test_rows_that_the_database_counts_are_counted_in_the_order_of_adding(
    db: Database, now: datetime
):
    async with db.write() as session:
        session.add_all(
            made(FeedEntry, merchant_id="m", topic=str(topic), body={}, at=now)
            for topic in range(5)
        )
        await write_new(session)
    async with db.read() as session:
        seen = (await session.exec(select(FeedEntry).order_by(col(FeedEntry.id)))).all()
        assert [one.topic for one in seen] == ["0", "1", "2", "3", "4"]
