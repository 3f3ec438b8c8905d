"""The desired document: what stands in it, when its number rises, when it is sent again."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from cloud_api.access.models import Grant
from cloud_api.claims.models import RoomClaim
from cloud_api.kit import outbox
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.orders.models import Order
from cloud_api.store_channel import desired
from cloud_api.store_channel.models import DesiredDoc
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.publisher import DesiredPublisher
from cloud_api.store_channel.worker import Channel
from store_link.clock import ManualClock, ms
from store_link.codec import decode
from store_link.link import LinkError, NotConnected
from store_link.messages import Desired
from store_link.passes import pin_matches
from store_link.signing import PublicKeyRing, Purpose, open_signed
from tests.cloud_api.factories import Shop, make_customer, make_order
from tests.cloud_api.store_channel.broker import StoreBroker
from tests.cloud_api.store_channel.store_side import DEADLINE_S, StoreSide, until

HOUR = timedelta(hours=1)


class Wire:
    """Keeps what is published, or refuses."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.down = False

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        timeout_s: float = 5,
    ) -> None:
        if self.down:
            raise NotConnected("no broker")
        assert retain
        assert topic.endswith("/down/desired")
        self.sent.append(payload)


async def built(cloud: Cloud, store: StoreSide, **options: Any) -> Desired:
    async with cloud.db.write() as session:
        made = await desired.build(
            session,
            store_id=store.store,
            clocks=cloud.clocks,
            keys=office_of(cloud).keys,
            **options,
        )
    assert made is not None
    ring = PublicKeyRing(office_of(cloud).keys.public())
    found = decode(open_signed(made.payload, Purpose.DESIRED, store.store, ring), Desired)
    assert (found.epoch, found.rev) == (made.epoch, made.rev)
    return found


async def order_at(cloud: Cloud, shop: Shop, starts_in: timedelta, **options: Any) -> Order:
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        account = await make_customer(session, now)
        return await make_order(session, shop, account, now + starts_in, now=now, **options)


async def test_rooms_doors_boards_and_scenes(cloud: Cloud, shop: Shop, store: StoreSide) -> None:
    document = await built(cloud, store)
    assert {room.id for room in document.rooms} == {room.id for room in shop.rooms}
    assert {room.index for room in document.rooms} == {0, 1, 2}
    entrance = next(door for door in document.doors if len(door.rooms) == 3)
    assert shop.entrance is not None
    assert entrance.id == shop.entrance.id
    assert {binding.role for binding in document.bindings} == {"lock", "table", "light", "ac"}
    assert {one.board for one in document.bindings} == {board.id for board in document.boards}
    assert document.boards[0].params == {"unit_id": 1}
    assert [step.role for step in document.scenes.grace if step.on] == [
        "table",
        "light",
        "ac",
        "fan",
    ]
    assert {key.purpose for key in document.keys} == {"desired", "command", "pass"}


async def test_a_stay_with_its_grant_and_pin_and_nothing_personal(
    cloud: Cloud, shop: Shop, store: StoreSide
) -> None:
    order = await order_at(cloud, shop, 3 * HOUR)
    document = await built(cloud, store)
    [stay] = document.stays
    assert stay.id == order.claim_id
    assert (stay.starts, stay.ends) == (ms(order.starts_at), ms(order.ends_at))
    assert stay.opens == ms(order.starts_at) - shop.store.lead_s * 1000
    assert stay.grace_s == shop.store.grace_s
    async with cloud.db.read() as session:
        grant = await session.get(Grant, stay.grant)
    assert grant is not None
    [verifier] = document.pins
    assert pin_matches(store.enrolled.mac.secret, grant.id, grant.pin, verifier.hmac)
    text = document.model_dump_json()
    assert grant.pin not in text.replace(verifier.hmac, "")
    assert order.account_id not in text


async def test_a_door_does_not_open_into_anothers_time(
    cloud: Cloud, shop: Shop, store: StoreSide
) -> None:
    first = await order_at(cloud, shop, HOUR, minutes=60)
    second = await order_at(cloud, shop, 2 * HOUR + timedelta(minutes=20), minutes=60)
    stays = {stay.id: stay for stay in (await built(cloud, store)).stays}
    # the first one's room is being cleaned until 15 minutes after its end: 5 are left
    assert stays[second.claim_id].opens == ms(first.ends_at) + shop.store.cleaning_s * 1000
    other_room = await order_at(cloud, shop, HOUR, minutes=60, room=shop.rooms[1])
    stays = {stay.id: stay for stay in (await built(cloud, store)).stays}
    assert stays[other_room.claim_id].opens == ms(other_room.starts_at) - 900_000


async def test_which_stays_stand_in_it(cloud: Cloud, shop: Shop, store: StoreSide) -> None:
    rooms = shop.rooms
    running = await order_at(cloud, shop, -HOUR, status="in_use")
    await order_at(cloud, shop, 4 * HOUR, status="pending_payment")
    await order_at(cloud, shop, 8 * HOUR, status="cancelled")
    await order_at(cloud, shop, 49 * HOUR, room=rooms[1])
    soon = await order_at(cloud, shop, 45 * HOUR, room=rooms[1])
    over = await order_at(cloud, shop, -20 * HOUR, room=rooms[2])  # nobody reported its end yet
    await order_at(cloud, shop, -90 * HOUR, room=rooms[2])  # forgotten
    await order_at(cloud, shop, 20 * HOUR, room=rooms[2], grant=False)  # nobody could enter
    stays = {stay.id for stay in (await built(cloud, store)).stays}
    assert stays == {running.claim_id, soon.claim_id, over.claim_id}


async def test_a_revoked_grant_is_named_until_it_would_have_expired(
    cloud: Cloud, shop: Shop, store: StoreSide
) -> None:
    order = await order_at(cloud, shop, HOUR)
    async with cloud.db.write() as session:
        await session.execute(update(Grant).values(revoked_at=cloud.clocks.now))
        await session.execute(update(RoomClaim).values(state="released"))
    document = await built(cloud, store)
    assert (document.stays, document.pins) == ((), ())
    assert len(document.revoked) == 1
    business = cloud.clocks.business
    assert isinstance(business, ManualClock)
    business.pass_time((order.ends_at - cloud.clocks.now).total_seconds() + 1)
    assert (await built(cloud, store)).revoked == ()


async def test_a_finished_stay_says_so(cloud: Cloud, shop: Shop, store: StoreSide) -> None:
    await order_at(cloud, shop, -HOUR, status="in_use")
    async with cloud.db.write() as session:
        await session.execute(update(Order).values(finished_early=True))
    [stay] = (await built(cloud, store)).stays
    assert stay.finished


async def test_the_number_rises_only_when_something_changed(
    cloud: Cloud, shop: Shop, store: StoreSide
) -> None:
    first = await built(cloud, store)
    business = cloud.clocks.business
    assert isinstance(business, ManualClock)
    business.pass_time(60)
    assert await built(cloud, store) == first
    await order_at(cloud, shop, HOUR)
    assert (await built(cloud, store)).rev == first.rev + 1


async def test_a_stay_comes_into_the_window_with_time(
    cloud: Cloud, shop: Shop, store: StoreSide
) -> None:
    await order_at(cloud, shop, 50 * HOUR)
    assert (await built(cloud, store)).stays == ()
    business = cloud.clocks.business
    assert isinstance(business, ManualClock)
    business.pass_time(2.1 * 3600)
    assert len((await built(cloud, store)).stays) == 1


async def test_without_a_controller_there_is_no_document(cloud: Cloud, shop: Shop) -> None:
    async with cloud.db.write() as session:
        assert (
            await desired.build(
                session, store_id=shop.store.id, clocks=cloud.clocks, keys=office_of(cloud).keys
            )
            is None
        )


# -------------------------------------------------------------------------------- sending it again


@pytest.fixture
def stepped(cloud: Cloud) -> tuple[Cloud, ManualClock]:
    wire = ManualClock(cloud.clocks.real)
    cloud.clocks = Clocks(cloud.clocks.business, wire)
    return cloud, wire


async def test_a_store_that_cannot_apply_it_causes_no_loop(
    stepped: tuple[Cloud, ManualClock], shop: Shop, store: StoreSide
) -> None:
    cloud, clock = stepped
    wire = Wire()
    publisher = DesiredPublisher(cloud, office_of(cloud).keys, wire)
    await publisher.refresh(store.store)
    assert len(wire.sent) == 1
    for _ in range(240):  # an hour of a report every 15 seconds
        await publisher.compare(store.store, 1, 0)
        clock.pass_time(15)
    assert 8 <= len(wire.sent) - 1 <= 20
    assert set(wire.sent) == {wire.sent[0]}


async def test_an_empty_store_gets_it_at_once(
    stepped: tuple[Cloud, ManualClock], shop: Shop, store: StoreSide
) -> None:
    cloud, _clock = stepped
    wire = Wire()
    publisher = DesiredPublisher(cloud, office_of(cloud).keys, wire)
    await publisher.refresh(store.store)
    await publisher.compare(store.store, 0, 0)
    assert len(wire.sent) == 2
    await publisher.compare(store.store, 1, 1)
    assert len(wire.sent) == 2


async def test_what_could_not_be_published_is_published_later(
    cloud: Cloud, shop: Shop, store: StoreSide
) -> None:
    wire = Wire()
    publisher = DesiredPublisher(cloud, office_of(cloud).keys, wire)
    wire.down = True
    with pytest.raises(NotConnected):
        await publisher.refresh(store.store)
    wire.down = False
    await publisher.refresh(store.store)  # nothing changed, but nothing was published either
    await publisher.refresh(store.store)
    assert len(wire.sent) == 1


async def test_a_store_that_saw_a_lost_future_gets_a_later_epoch(
    cloud: Cloud, shop: Shop, store: StoreSide
) -> None:
    """A cloud put back from a backup counted on from an old number; stores ignored its documents."""
    wire = Wire()
    publisher = DesiredPublisher(cloud, office_of(cloud).keys, wire)
    await publisher.refresh(store.store)
    await publisher.compare(store.store, 1, 40)
    async with cloud.db.read() as session:
        doc = await session.get(DesiredDoc, store.store)
    assert doc is not None
    assert (doc.epoch, doc.rev) > (1, 40)
    assert len(wire.sent) == 2


# ------------------------------------------------------------------------------------- on the wire


async def test_a_change_reaches_the_store_and_a_broker_that_forgot_is_told_again(
    cloud: Cloud,
    shop: Shop,
    channel: Channel,
    store: StoreSide,
    broker: StoreBroker,
    run_channel: Callable[..., Awaitable[Channel]],
) -> None:
    await store.connect()
    await until(lambda: store.applied == (1, 1))
    order = await order_at(cloud, shop, HOUR)
    async with cloud.db.write() as session:
        await outbox.desired_changed(
            session,
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            now=cloud.clocks.real,
        )
    await until(lambda: store.applied == (1, 2))
    assert store.documents[-1].stays[0].id == order.claim_id
    broker.stop()
    shutil.rmtree(broker.directory / "jetstream")  # its disk is gone
    store.documents.clear()
    store.applied = (0, 0)  # and the store's as well
    broker.start()
    async with asyncio.timeout(DEADLINE_S):
        while store.applied != (1, 2):
            # A controller says every half minute how it is: the first word may find no cloud there, and a
            # broker without its disk keeps none.
            with contextlib.suppress(LinkError):
                await store.report()
            await asyncio.sleep(0.5)
