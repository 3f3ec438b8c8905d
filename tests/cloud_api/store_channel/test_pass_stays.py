"""What a store does by pass alone reaches the order: readers in the document, stays by grant."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlmodel import col, select

from cloud_api.access.models import Grant
from cloud_api.devices.models import Binding
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.ids import new_id
from cloud_api.orders.models import Order
from cloud_api.store_channel import ingest
from store_link.clock import ms
from store_link.messages import ClockQuality, Event, EventBatch, EventKind
from tests.cloud_api.factories import Shop, make_customer, make_order
from tests.cloud_api.store_channel.store_side import StoreSide
from tests.cloud_api.store_channel.test_desired import built


async def test_a_doors_reader_stands_in_the_document(
    cloud: Cloud, shop: Shop, store: StoreSide
) -> None:
    async with cloud.db.write() as session:
        reader = Binding(
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            board_id=shop.boards[0].id,
            name="扫码器",
            capability="input.code",
            channel=None,
            role="reader",
            rooms=[shop.room.id],
            created_at=cloud.clocks.now,
        )
        session.add(reader)
        await session.flush()
        door = await session.merge(shop.door)
        door.reader_binding_id = reader.id
        session.add(door)
        reader_id = reader.id
    document = await built(cloud, store)
    readers = {door.id: door.reader for door in document.doors}
    assert readers[shop.door.id] == reader_id
    assert [value for value in readers.values() if value] == [reader_id]
    assert next(b for b in document.bindings if b.id == reader_id).role == "reader"


async def test_a_stay_begun_by_pass_is_the_orders(cloud: Cloud, shop: Shop) -> None:
    """A store that had not heard of the claim reports under the grant's id; so does nobody else."""
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        account = await make_customer(session, now)
        order = await make_order(session, shop, account, now - timedelta(minutes=5), now=now)
        order_id = order.id
    async with cloud.db.read() as session:
        grant = (await session.exec(select(Grant).where(col(Grant.order_id) == order_id))).one().id
    stay = {"stay": grant, "room": shop.room.id, "why": "unlock", "was": "open", "now": "in_use"}
    usage = {
        "stay": grant,
        "room": shop.room.id,
        "entered_at": ms(now),
        "ended_at": ms(now),
        "used_s": 60,
        "power_on_s": 60,
        "overtime_s": 0,
        "grace_used_s": 0,
        "evidence": {},
    }
    bodies: list[tuple[EventKind, dict[str, Any]]] = [
        (EventKind.STAY, {**stay, "stay": new_id()}),
        (EventKind.STAY, stay),
        (EventKind.USAGE, usage),
    ]
    for number, (kind, body) in enumerate(bodies, 1):
        event = Event(
            seq=number, id=new_id(), at=ms(now), clock=ClockQuality.SYNCED, kind=kind, body=body
        )
        taken = await ingest.take(
            cloud, shop.store.id, EventBatch(store=shop.store.id, journal="j1", events=(event,))
        )
        assert taken.upto == number
        async with cloud.db.read() as session:
            found = await session.get_one(Order, order_id)
            assert found.status == ("ready", "in_use", "completed")[number - 1]
    async with cloud.db.read() as session:
        assert (await session.get_one(Order, order_id)).used_s == 60
