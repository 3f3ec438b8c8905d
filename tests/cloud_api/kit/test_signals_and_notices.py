"""The two ways up: notices and alarm signals leave their work in the caller's transaction, once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlmodel import col, select

from cloud_api.kit.alarm_signals import LOOK, signal
from cloud_api.kit.database import Database
from cloud_api.kit.models import AlarmSignal, DueJob
from cloud_api.kit.notices import NOTICE, notify
from tests.cloud_api.factories import Shop


async def jobs(db: Database, kind: str) -> list[DueJob]:
    async with db.read() as session:
        return list((await session.exec(select(DueJob).where(col(DueJob.kind) == kind))).all())


async def say(db: Database, shop: Shop, active: bool, at: datetime, subject: str = "board:1"):
    async with db.write() as session:
        await signal(
            session,
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            kind="device.offline",
            subject=subject,
            active=active,
            data={"board_id": "1"},
            at=at,
        )


async def test_a_level_said_again_writes_nothing(db: Database, shop: Shop, now: datetime):
    await say(db, shop, False, now)  # nothing was ever wrong
    assert await jobs(db, LOOK) == []
    await say(db, shop, True, now)
    await say(db, shop, True, now + timedelta(seconds=30))
    async with db.read() as session:
        row = (await session.exec(select(AlarmSignal))).one()
    assert (row.active, row.since, row.version) == (True, now, 1)
    await say(db, shop, False, now)  # the same instant: still its own change
    assert len(await jobs(db, LOOK)) == 2
    async with db.read() as session:
        row = (await session.exec(select(AlarmSignal))).one()
    assert (row.active, row.version) == (False, 2)


async def test_an_unknown_alarm_is_a_mistake_of_the_caller(db: Database, shop: Shop, now: datetime):
    async with db.write() as session:
        with pytest.raises(ValueError, match="no such alarm"):
            await signal(
                session,
                merchant_id=shop.merchant.id,
                store_id=None,
                kind="moon.full",
                subject="moon:1",
                active=True,
                data={},
                at=now,
            )


async def test_a_notice_is_told_once_and_only_if_its_cause_is_committed(
    db: Database, shop: Shop, now: datetime
):
    async def tell(key: str, event: str = "order.paid", to: str = "account:a1") -> None:
        async with db.write() as session:
            await notify(
                session,
                merchant_id=shop.merchant.id,
                store_id=shop.store.id,
                event=event,
                to=to,
                subject="order:o1",
                data={"amount_fen": 7600},
                key=key,
                at=now,
            )
            if key == "rolled back":
                raise RuntimeError

    with pytest.raises(RuntimeError):
        await tell("rolled back")
    assert await jobs(db, NOTICE) == []
    await tell("o1")
    await tell("o1")
    assert len(await jobs(db, NOTICE)) == 1
    await tell("o1", to="staff:order.read")
    assert len(await jobs(db, NOTICE)) == 2
    with pytest.raises(ValueError, match="no such event"):
        await tell("o1", event="order.sneezed")
    with pytest.raises(ValueError, match="to must be"):
        await tell("o1", to="13900000000")
