"""One right to enter, several stays: an order that changed its room or time, or lived again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.contract import Outcome
from store_link.messages import AckState, StayState
from tests.controller.cloud import until
from tests.controller.doors import DoorWorld, new_grant
from tests.controller.world import MINUTE, TABLE_1, stay
from tests.support.nats import NatsBroker


@pytest.fixture
async def doors(tmp_path: Path, nats_broker: NatsBroker) -> AsyncIterator[DoorWorld]:
    made = DoorWorld(tmp_path, nats_broker.host, nats_broker.mqtt_port)
    made.role = "keypad"
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def test_who_changed_the_order_has_power_by_pass_and_pin(doors: DoorWorld) -> None:
    """A guest changed the room before coming and showed the pass: the door opened and the table stayed dark.

    The store still knew the old claim, ended as cancelled, under the same grant, and took the entry for
    that one. So a paid stay never began, and nobody measured it.
    """
    await doors.run()
    grant, now = new_grant(), doors.now()
    ends = now + 60 * MINUTE
    await doors.want(stay("old", "r2", now - MINUTE, ends, grant=grant))
    await doors.boards_up()
    await doors.want(
        stay("new", "r1", now - MINUTE, ends, grant=grant), pins=[doors.pin(grant, "271828")]
    )
    await until(lambda: doors.cloud.transitions("old")[-1:] == ["ended"], 30, "the old one is over")
    doors.show(doors.make_pass(grant))
    assert (await doors.access(1))["stay"] == "new"
    await until(lambda: doors.cloud.transitions("new")[-1:] == ["in_use"], 30, "the stay began")
    await doors.coil_is(TABLE_1, True, 5)
    await asyncio.sleep(0.8)  # a lock that is held refuses a second pulse
    doors.show("271828")
    assert (await doors.access(2))["stay"] == "new"


async def test_a_stay_that_is_renamed_while_the_lock_is_pulsed_begins_all_the_same(
    doors: DoorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tap for a stay that a pass had begun met the document that names it: its outcome was lost.

    The command stood as executing for ever (unknown after the next restart), though the door had opened.
    """
    controller = await doors.run()
    await doors.want()
    await doors.boards_up()
    grant, now = new_grant(), doors.now()
    doors.show(doors.make_pass(grant, expires=now + 30 * MINUTE))
    await doors.access(1)
    await doors.coil_is(TABLE_1, True, 5)
    await asyncio.sleep(0.8)
    pulse = controller.bridge.pulse

    async def slow(*args: Any, **options: Any) -> Outcome:
        outcome = await pulse(*args, **options)
        await until(lambda: "claim" in controller.state.stays, 30, "the document has come")
        return outcome

    monkeypatch.setattr(controller.bridge, "pulse", slow)
    command = await doors.cloud.send(
        doors.cloud.command("unlock", "d1", args={"grant": grant}, by="customer:1")
    )
    query = "SELECT state FROM command WHERE id = ?"
    await until(lambda: doors.rows(query, command.id) == [("opened",)], 30, "it is under way")
    await doors.want(stay("claim", "r1", now - MINUTE, now + 40 * MINUTE, grant=grant))
    assert (await doors.cloud.outcome(command, 30)).state is AckState.DONE
    await until(lambda: doors.rows(query, command.id) == [("done",)], 30, "the outcome is written")
    assert controller.state.stays["claim"].state is StayState.IN_USE
    assert grant not in controller.state.stays
