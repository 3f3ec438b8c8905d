"""Leaving early: told at once to a store that is there, and in its desired document anyway."""

from __future__ import annotations

import pytest
from sqlmodel import col, select, update

from cloud_api.devices.models import StoreStatus
from cloud_api.kit.errors import Conflict
from cloud_api.kit.models import OutboxRow
from cloud_api.orders.finish import finish
from tests.cloud_api.house import House


async def test_finishing_in_the_window_commands_the_store(house: House) -> None:
    order = await house.paid_order(in_h=1)
    house.passes(50 * 60)
    async with house.cloud.db.write() as session:
        order, command = await finish(session, house.who, order.id, house.cloud.clocks, "i1")
    assert order.finished_early
    assert command is not None
    assert (command.action, command.target, command.order_id) == (
        "finish",
        order.claim_id,
        order.id,
    )
    async with house.cloud.db.read() as session:
        rows = (await session.exec(select(OutboxRow).order_by(col(OutboxRow.seq)))).all()
    assert [row.topic for row in rows][-2:] == ["desired", "command"]


async def test_an_offline_store_is_told_by_its_desired_document(house: House) -> None:
    order = await house.paid_order(in_h=1)
    house.passes(3600)
    async with house.cloud.db.write() as session:
        await session.exec(update(StoreStatus).values(online=False, nonce=None))
    async with house.cloud.db.write() as session:
        order, command = await finish(session, house.who, order.id, house.cloud.clocks, "i1")
    assert (order.finished_early, command) == (True, None)


async def test_before_the_window_there_is_nothing_to_finish(house: House) -> None:
    order = await house.paid_order(in_h=3)
    async with house.cloud.db.write() as session:
        with pytest.raises(Conflict) as refused:
            await finish(session, house.who, order.id, house.cloud.clocks, "i1")
    assert refused.value.code == "finish.not_running"
