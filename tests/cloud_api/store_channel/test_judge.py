"""What a store's reports and its silence mean for alarms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from cloud_api.devices.models import Binding, Schedule
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import AlarmSignal
from cloud_api.notifications.wording import Facts
from cloud_api.store_channel import outcomes, status
from store_link.clock import ManualClock
from store_link.reports import Presence, Reported
from tests.cloud_api.factories import Shop, make_customer, make_order, reported


@pytest.fixture
def wire(cloud: Cloud) -> ManualClock:
    clock = ManualClock(cloud.clocks.real)
    cloud.clocks = Clocks(cloud.clocks.business, clock)
    return clock


async def active(cloud: Cloud) -> set[tuple[str, str]]:
    async with cloud.db.read() as session:
        rows = await session.exec(select(AlarmSignal).where(col(AlarmSignal.active)))
        return {(row.kind, row.subject) for row in rows.all()}


async def report(cloud: Cloud, shop: Shop, wire: ManualClock, **changes: Any) -> None:
    wire.pass_time(1)
    told = reported(shop, cloud.clocks.real, **changes)
    await status.take_reported(
        cloud, shop.merchant.id, Reported.model_validate(told), retained=False
    )


async def bind(cloud: Cloud, shop: Shop, capability: str, role: str) -> Binding:
    made = Binding(
        merchant_id=shop.merchant.id,
        store_id=shop.store.id,
        board_id=shop.boards[0].id,
        name=capability,
        capability=capability,
        role=role,
        rooms=[shop.room.id],
        created_at=cloud.clocks.real,
    )
    async with cloud.db.write() as session:
        session.add(made)
    return made


def value(binding: Binding, now: Any, what: Any, quality: str = "ok") -> dict[str, Any]:
    return {binding.id: {"value": what, "quality": quality, "at": round(now.timestamp() * 1000)}}


async def test_a_store_that_goes_and_comes_back(cloud: Cloud, shop: Shop, wire: ManualClock):
    wire.pass_time(91)
    assert await status.sweep_silent(cloud) == 1
    assert await active(cloud) == {("store.offline", f"store:{shop.store.id}")}
    message = Presence(store=shop.store.id, state="online", boot="b2", nonce="n2", sent_at=0)
    await status.take_presence(cloud, shop.merchant.id, message, retained=False)
    assert await active(cloud) == set()


async def test_boards_and_the_clock(cloud: Cloud, shop: Shop, wire: ManualClock):
    first, second, third = (board.id for board in shop.boards)
    boards = [
        {"id": first, "state": "offline", "detail": "no answer", "why": "silent"},
        {"id": second, "state": "online", "detail": ""},
        {"id": third, "state": "refused", "detail": ""},
    ]
    await report(cloud, shop, wire, boards=boards, clock="untrusted")
    assert await active(cloud) == {
        ("device.offline", f"board:{first}"),
        ("device.offline", f"board:{third}"),
        ("clock.untrusted", f"store:{shop.store.id}"),
    }
    # People read words in their own language; what the program said itself is kept for engineers.
    async with cloud.db.read() as session:
        for subject, zh, en in (
            (f"board:{first}", "没有回应，看供电、接线和站号", "No answer"),
            (f"board:{third}", "", ""),
        ):
            query = select(AlarmSignal).where(col(AlarmSignal.subject) == subject)
            data = (await session.exec(query)).one().data
            facts = Facts("alarm.raised", data, None, "", "")
            assert facts.values("zh_Hans")["detail"] == zh
            assert facts.values("en")["detail"].startswith(en)
    boards[0]["state"] = "online"
    await report(cloud, shop, wire, boards=boards[:2])  # the third was taken out of the store
    assert await active(cloud) == set()


async def test_smoke_overload_and_an_open_door_end_only_by_a_fresh_value(
    cloud: Cloud, shop: Shop, wire: ManualClock
):
    smoke = await bind(cloud, shop, "hazard", "other")
    meter = await bind(cloud, shop, "power.w", "meter")
    contact = await bind(cloud, shop, "door.contact", "door_contact")
    async with cloud.db.write() as session:
        door = await session.merge(shop.door)
        door.contact_binding_id = contact.id
    now = cloud.clocks.real
    bad = value(smoke, now, True) | value(meter, now, 3600.0) | value(contact, now, True)
    await report(cloud, shop, wire, values=bad)
    raised = {
        ("hazard.input", f"binding:{smoke.id}"),
        ("power.overload", f"binding:{meter.id}"),
        ("door.open_too_long", f"door:{shop.door.id}"),
    }
    assert await active(cloud) == raised
    stale = value(smoke, now, False, "stale") | value(meter, now, 3300.0)  # not yet below 90 %
    await report(cloud, shop, wire, values=stale)
    assert await active(cloud) == raised
    good = value(smoke, now, False) | value(meter, now, 3100.0) | value(contact, now, False)
    await report(cloud, shop, wire, values=good)
    assert await active(cloud) == set()


async def test_a_door_that_opens_with_nobody_let_in_was_forced(
    cloud: Cloud, shop: Shop, wire: ManualClock
):
    contact = await bind(cloud, shop, "door.contact", "door_contact")
    async with cloud.db.write() as session:
        door = await session.merge(shop.door)
        door.contact_binding_id = contact.id
        guest = await make_customer(session, cloud.clocks.now)
        order = await make_order(
            session, shop, guest, cloud.clocks.now - timedelta(hours=1), now=cloud.clocks.now
        )
    now = cloud.clocks.real
    key = ("door.forced", f"door:{shop.door.id}")

    async def opens() -> bool:
        await report(cloud, shop, wire, values=value(contact, now, False))
        await report(cloud, shop, wire, values=value(contact, now, True))
        return key in await active(cloud)

    assert not await opens()  # somebody has the room
    business = cloud.clocks.business
    assert isinstance(business, ManualClock)
    business.pass_time(3 * 3600 + (order.ends_at - cloud.clocks.now).total_seconds())
    assert await opens()


async def test_a_lock_that_does_not_open_and_then_does(cloud: Cloud, shop: Shop, wire: ManualClock):
    now = cloud.clocks.real
    for state, reason, wrong in (
        ("refused", "too_early", False),
        ("failed", "device_offline", True),
        ("unknown", None, True),
        ("done", None, False),
    ):
        async with cloud.db.write() as session:
            await outcomes.door_answered(
                session, shop.merchant.id, shop.store.id, shop.door.id, state, reason, now
            )
        key = ("door.unlock_failed", f"door:{shop.door.id}")
        assert (key in await active(cloud)) is wrong


async def test_a_table_that_nobody_uses_and_that_has_power_is_told(
    cloud: Cloud, shop: Shop, wire: ManualClock
):
    """A relay stuck: switched off after grace, it said on, and went on saying so. The store tried on and on, and
    told of an overrun once it was off; the owner heard of nothing while the table ran for days.
    """
    table = shop.bindings["竹间.table"]
    stuck = {("power.stuck", f"binding:{table.id}")}
    on = value(table, cloud.clocks.real, True)
    stay = {"id": "a", "room": shop.room.id, "state": "in_use"}
    hand = {"binding": table.id, "on": True, "until": 4_000_000_000_000, "command": "c"}
    cleaned = {"room": shop.room.id, "mode": "cleaning", "until": None}
    other = {"id": "b", "room": shop.rooms[1].id, "state": "in_use"}
    coming = {"id": "c", "room": shop.room.id, "state": "scheduled"}
    for more in ({"stays": [stay]}, {"overrides": [hand]}, {"modes": [cleaned]}):
        await report(cloud, shop, wire, values=on, **more)
        assert await active(cloud) == set(), more  # the controls: somebody wants it on
    await report(cloud, shop, wire, values=on, stays=[other, coming])
    assert await active(cloud) == stuck
    old = value(table, cloud.clocks.real, True, "stale")
    await report(cloud, shop, wire, values=old)
    assert await active(cloud) == stuck  # a value that is not fresh ends nothing
    async with cloud.db.write() as session:
        session.add(
            Schedule(
                merchant_id=shop.merchant.id, store_id=shop.store.id, name="白天", days=["mon"],
                bindings=[table.id], begins="09:00", ends="18:00", created_at=cloud.clocks.real,
            )
        )  # fmt: skip
    await report(cloud, shop, wire, values=on)
    assert await active(cloud) == set()
    await report(cloud, shop, wire, values=value(table, cloud.clocks.real, False))
    assert await active(cloud) == set()
