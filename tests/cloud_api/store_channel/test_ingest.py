"""Journals into the database: what comes twice, crosswise, late or broken."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import FeedEntry
from cloud_api.orders.models import Order
from cloud_api.store_channel import ingest
from cloud_api.store_channel.effects import EFFECTS, Scene
from cloud_api.store_channel.models import EventCursor, EventFailure, StoreEvent
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.worker import Channel
from store_link import topics
from store_link.clock import ManualClock, ms
from store_link.messages import ClockQuality, Event, EventBatch, EventKind
from store_link.topics import Plane
from tests.cloud_api.factories import Shop, make_customer, make_order
from tests.cloud_api.store_channel.store_side import StoreSide, until


def journal_of(count: int, kind: EventKind = EventKind.DEVICE, **body: Any) -> list[Event]:
    told = body or {"board": "b1", "state": "offline"}
    return [
        Event(
            seq=n,
            id=new_id(),
            at=1_790_000_000_000,
            clock=ClockQuality.SYNCED,
            kind=kind,
            body=told,
        )
        for n in range(1, count + 1)
    ]


def batch(shop: Shop, events: list[Event], journal: str = "j1") -> EventBatch:
    return EventBatch(store=shop.store.id, journal=journal, events=tuple(events))


async def stored(cloud: Cloud) -> list[int]:
    async with cloud.db.read() as session:
        query = select(col(StoreEvent.seq)).order_by(col(StoreEvent.seq))
        return list((await session.execute(query)).scalars())


async def count(cloud: Cloud, model: Any) -> int:
    async with cloud.db.read() as session:
        return int((await session.execute(select(func.count()).select_from(model))).scalar_one())


async def upto(cloud: Cloud, journal: str = "j1") -> int:
    async with cloud.db.read() as session:
        cursor = await session.get(EventCursor, journal)
        return 0 if cursor is None else cursor.upto


async def test_a_duplicate_is_acknowledged_and_changes_nothing(cloud: Cloud, shop: Shop) -> None:
    events = journal_of(5)
    for _ in range(3):
        taken = await ingest.take(cloud, shop.store.id, batch(shop, events))
        assert (taken.upto, taken.gap) == (5, False)
    assert await stored(cloud) == [1, 2, 3, 4, 5]
    assert await count(cloud, FeedEntry) == 5  # the effects, once each


async def test_a_batch_that_overlaps_counts_its_new_part(cloud: Cloud, shop: Shop) -> None:
    events = journal_of(6)
    await ingest.take(cloud, shop.store.id, batch(shop, events[:4]))
    taken = await ingest.take(cloud, shop.store.id, batch(shop, events[2:]))
    assert (taken.upto, taken.fresh) == (6, 2)
    assert await count(cloud, FeedEntry) == 6


async def test_a_nul_in_an_event_does_not_stop_the_journal(cloud: Cloud, shop: Shop) -> None:
    """Bug: one event with a NUL in its body held up a store's journal for ever on PostgreSQL.

    JSONB refuses it; after five tries the event was to be kept without its effect, and keeping it
    failed as well, so nothing that the store recorded afterwards ever reached the cloud (I6).
    """
    events = journal_of(2, board="b1", state="offline", detail="a\0b", deep=[{"c\0": "\\u0000"}])
    taken = await ingest.take(cloud, shop.store.id, batch(shop, events))
    assert (taken.upto, taken.retry_at) == (2, None)
    assert await count(cloud, EventFailure) == 0
    async with cloud.db.read() as session:
        kept = (await session.execute(select(col(StoreEvent.body)))).scalars().first()
    assert kept is not None
    assert kept["detail"] == "a\ufffdb"
    assert kept["deep"] == [{"c\ufffd": "\\u0000"}]


async def test_what_comes_after_a_gap_waits(cloud: Cloud, shop: Shop) -> None:
    events = journal_of(6)
    early = await ingest.take(cloud, shop.store.id, batch(shop, events[3:]))
    assert (early.upto, early.fresh, early.gap) == (0, 0, True)
    assert await stored(cloud) == []
    await ingest.take(cloud, shop.store.id, batch(shop, events[:3]))
    taken = await ingest.take(cloud, shop.store.id, batch(shop, events[3:]))
    assert taken.upto == 6


async def test_any_order_of_any_batches_ends_in_each_event_once(cloud: Cloud, shop: Shop) -> None:
    rng = random.Random(6)
    events = journal_of(40)
    for _ in range(400):
        first = rng.randrange(40)
        await ingest.take(
            cloud, shop.store.id, batch(shop, events[first : first + rng.randint(1, 9)])
        )
        if await upto(cloud) == 40:
            break
    assert await stored(cloud) == list(range(1, 41))
    assert await count(cloud, FeedEntry) == 40


async def test_two_workers_on_one_journal_at_once(
    cloud: Cloud, shop: Shop, make_cloud: Callable[[], Awaitable[Cloud]]
) -> None:
    other = await make_cloud()
    rng = random.Random(66)
    events = journal_of(60)

    async def worker(process: Cloud) -> None:
        at = 0
        while at < 60:
            size = rng.randint(1, 12)
            taken = await ingest.take(
                process, shop.store.id, batch(shop, events[at : at + size] or events[-1:])
            )
            at = taken.upto

    await asyncio.gather(worker(cloud), worker(other), worker(cloud), worker(other))
    assert await stored(cloud) == list(range(1, 61))
    assert await count(cloud, FeedEntry) == 60


async def test_a_second_journal_begins_at_one(cloud: Cloud, shop: Shop) -> None:
    await ingest.take(cloud, shop.store.id, batch(shop, journal_of(3)))
    taken = await ingest.take(cloud, shop.store.id, batch(shop, journal_of(2), "j2"))
    assert taken.upto == 2
    assert await count(cloud, StoreEvent) == 5


async def test_a_journal_of_another_store_is_refused(cloud: Cloud, shop: Shop) -> None:
    from tests.cloud_api.factories import make_store

    async with cloud.db.write() as session:
        foreign = await make_store(session, cloud.clocks.now, merchant=shop.merchant, name="二店")
    await ingest.take(cloud, shop.store.id, batch(shop, journal_of(1)))
    with pytest.raises(ValueError, match="another store"):
        await ingest.take(cloud, foreign.store.id, batch(foreign, journal_of(2)))
    assert await stored(cloud) == [1]


async def test_a_journal_put_back_from_a_copy_is_noticed(cloud: Cloud, shop: Shop) -> None:
    """A store's disk was restored: it counted on from an old number, its new events looked like
    duplicates, were acknowledged and lost.
    """
    await ingest.take(cloud, shop.store.id, batch(shop, journal_of(5)))
    with pytest.raises(ingest.ForkedJournal):
        await ingest.take(cloud, shop.store.id, batch(shop, journal_of(3)))


async def test_an_event_id_counts_once_in_whatever_journal(cloud: Cloud, shop: Shop) -> None:
    events = journal_of(2)
    await ingest.take(cloud, shop.store.id, batch(shop, events))
    taken = await ingest.take(cloud, shop.store.id, batch(shop, events, "copy"))
    assert taken.upto == 2  # the journal is not held up
    assert await count(cloud, StoreEvent) == 2
    assert await count(cloud, FeedEntry) == 2


# ------------------------------------------------------------------------------- effects that fail


class Poison:
    """An effect that fails for one seq as often as it is told, and counts the others."""

    def __init__(self, seq: int, times: int) -> None:
        self.seq, self.left = seq, times
        self.done: list[int] = []

    async def __call__(self, scene: Scene, event: Event) -> None:
        await EFFECTS[EventKind.DEVICE](scene, event)
        if event.seq == self.seq and self.left > 0:
            self.left -= 1
            raise RuntimeError("this effect is broken")
        self.done.append(event.seq)


@pytest.fixture
def wire() -> ManualClock:
    from datetime import UTC, datetime

    return ManualClock(datetime.now(UTC))


@pytest.fixture
def stepped(cloud: Cloud, wire: ManualClock) -> Cloud:
    """The cloud with a wire clock that the test moves."""
    cloud.clocks = Clocks(cloud.clocks.business, wire)
    return cloud


async def test_a_failing_effect_is_tried_again_before_anything_after_it(
    stepped: Cloud, wire: ManualClock, shop: Shop
) -> None:
    poison = Poison(3, times=2)
    effects = {EventKind.DEVICE: poison}
    events = journal_of(5)
    first = await ingest.take(stepped, shop.store.id, batch(shop, events), effects)
    assert (first.upto, first.retry_at) == (2, wire.now() + timedelta(seconds=1))
    assert await stored(stepped) == [1, 2]
    too_soon = await ingest.take(stepped, shop.store.id, batch(shop, events), effects)
    assert too_soon.upto == 2
    assert poison.left == 1  # not even tried
    wire.pass_time(1)
    await ingest.take(stepped, shop.store.id, batch(shop, events), effects)
    wire.pass_time(2)
    last = await ingest.take(stepped, shop.store.id, batch(shop, events), effects)
    assert last.upto == 5
    assert poison.done == [1, 2, 3, 4, 5]
    assert await count(stepped, FeedEntry) == 5  # what failed was rolled back whole
    async with stepped.db.read() as session:
        failure = await session.get(EventFailure, events[2].id)
        assert failure is not None
        assert failure.settled_at is not None
        assert failure.dead_at is None


async def test_a_poison_event_is_kept_without_its_effect_and_shown(
    stepped: Cloud, wire: ManualClock, shop: Shop
) -> None:
    poison = Poison(3, times=ingest.MAX_TRIES)
    effects = {EventKind.DEVICE: poison}
    events = journal_of(5)
    for _ in range(ingest.MAX_TRIES):
        await ingest.take(stepped, shop.store.id, batch(shop, events), effects)
        wire.pass_time(60)
    assert await upto(stepped) == 5
    assert await stored(stepped) == [1, 2, 3, 4, 5]  # not lost
    assert poison.done == [1, 2, 4, 5]
    async with stepped.db.read() as session:
        failure = await session.get(EventFailure, events[2].id)
        assert failure is not None
        assert failure.dead_at is not None
        assert failure.last_error == "RuntimeError: this effect is broken"
    assert await ingest.settle_failure(stepped, events[2].id, effects)
    assert poison.done == [1, 2, 4, 5, 3]
    assert not await ingest.settle_failure(stepped, events[2].id, effects)


async def test_a_body_that_is_not_its_kind_does_not_hold_the_journal_up(
    stepped: Cloud, wire: ManualClock, shop: Shop
) -> None:
    events = journal_of(2, EventKind.STAY, nonsense=1)
    for _ in range(2 * ingest.MAX_TRIES):
        await ingest.take(stepped, shop.store.id, batch(shop, events))
        wire.pass_time(60)
    assert await upto(stepped) == 2
    assert await count(stepped, EventFailure) == 2


async def test_a_stay_and_its_usage_reach_the_order(cloud: Cloud, shop: Shop) -> None:
    now = cloud.clocks.now
    async with cloud.db.write() as session:
        account = await make_customer(session, now)
        order = await make_order(session, shop, account, now, now=now)
    stay = {"stay": order.claim_id, "room": shop.room.id, "why": "unlock"}
    usage = {
        "stay": order.claim_id,
        "room": shop.room.id,
        "entered_at": ms(now),
        "ended_at": ms(now) + 7_200_000,
        "used_s": 7200,
        "power_on_s": 7300,
        "overtime_s": 60,
        "grace_used_s": 100,
        "evidence": {},
    }
    bodies = [
        (EventKind.STAY, stay | {"was": "open", "now": "in_use"}),
        (EventKind.STAY, stay | {"was": "grace", "now": "ended", "why": "vacated"}),
        (EventKind.USAGE, usage),
    ]
    events = [
        Event(seq=n, id=new_id(), at=ms(now) + n, clock=ClockQuality.SYNCED, kind=kind, body=body)
        for n, (kind, body) in enumerate(bodies, 1)
    ]
    for _ in range(2):
        await ingest.take(cloud, shop.store.id, batch(shop, events))
    async with cloud.db.read() as session:
        found = await session.get(Order, order.id)
        assert found is not None
        assert (found.status, found.used_s, found.overtime_s) == ("completed", 7200, 60)


# ------------------------------------------------------------------------------------- on the wire


async def test_a_cloud_that_dies_between_commit_and_ack_doubles_nothing(
    cloud: Cloud,
    shop: Shop,
    store: StoreSide,
    make_cloud: Callable[[], Awaitable[Cloud]],
    run_channel: Callable[..., Awaitable[Channel]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = Channel(cloud, office_of(cloud))
    died, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(first.run(stop))
    await first.link.wait_up(30)

    # Nothing is told after the commit any more.
    monkeypatch.setattr(first, "_acknowledge", lambda *_: died.set())
    await store.connect()
    for _ in range(7):
        store.write(EventKind.DEVICE, {"board": "b1", "state": "online"})
    await store.send_events(1, 7)
    await asyncio.wait_for(died.wait(), 10)
    stop.set()
    await task
    assert await stored(cloud) == [1, 2, 3, 4, 5, 6, 7]
    assert store.acked == 0
    second = await make_cloud()
    await run_channel(second)
    async with asyncio.timeout(10):
        while store.acked < 7:
            await store.send_events(1, 7)  # as a store does until it is told
            await asyncio.sleep(0.1)
    assert await count(cloud, StoreEvent) == 7


async def test_events_of_a_stranger_are_neither_taken_nor_acknowledged(
    cloud: Cloud, shop: Shop, channel: Channel, store: StoreSide
) -> None:
    from dataclasses import replace

    from store_link.signing import MacKey

    store.write(EventKind.BOOT)
    forged = replace(store.enrolled, mac=MacKey.generate(store.enrolled.mac.kid))
    true, store.enrolled = store.enrolled, forged
    raw = store.batch(1, 1)
    store.enrolled = true
    topic = topics.ParsedTopic(store.store, Plane.EVENT)
    await channel.take(topic, raw, False)
    assert await stored(cloud) == []
    await channel.take(topic, store.batch(1, 1), False)
    assert await stored(cloud) == [1]


async def test_a_failing_effect_on_the_wire_is_retried_by_the_cloud_itself(
    cloud: Cloud, shop: Shop, store: StoreSide, run_channel: Callable[..., Awaitable[Channel]]
) -> None:
    await run_channel(cloud, effects={EventKind.DEVICE: Poison(2, times=1)})
    await store.connect()
    for _ in range(3):
        store.write(EventKind.DEVICE, {"board": "b1", "state": "online"})
    for _ in range(3):  # however often they come meanwhile, the cloud tries again once
        await store.send_events(1, 3)
    told = lambda: [upto for upto in store.acks if upto]  # noqa: E731
    await until(lambda: len(told()) >= 4)
    await asyncio.sleep(0.3)
    assert (told()[0], told()[-1], len(told())) == (1, 3, 4)
    assert await stored(cloud) == [1, 2, 3]
