"""Many stores' batches in one commit: the same outcome as one by one, and nobody's trouble is another's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select
from sqlmodel import col

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import FeedEntry
from cloud_api.store_channel import ingest, together
from cloud_api.store_channel.models import EventCursor, EventFailure, StoreEvent
from store_link.messages import Event, EventBatch, EventKind
from tests.cloud_api.factories import Shop, make_store
from tests.cloud_api.store_channel.test_ingest import count, journal_of

Take = Callable[[Cloud, list[together.Claimed]], Awaitable[None]]


@pytest.fixture
async def shops(cloud: Cloud, shop: Shop) -> list[Shop]:
    async with cloud.db.write() as session:
        more = [
            await make_store(session, cloud.clocks.now, merchant=shop.merchant, name=f"店 {n}")
            for n in range(3)
        ]
    return [shop, *more]


def claimed(shop: Shop, events: list[Event]) -> together.Claimed:
    journal = f"j-{shop.store.id}"
    batch = EventBatch(store=shop.store.id, journal=journal, events=tuple(events))
    return together.Claimed(shop.merchant.id, batch)


async def as_a_worker(cloud: Cloud, claims: list[together.Claimed]) -> None:
    """Together, then one by one whatever was left out."""
    taken = await together.take(cloud, claims)
    for one, what in zip(claims, taken, strict=True):
        if what is None:
            await ingest.take(cloud, one.batch.store, one.batch)


async def kept(cloud: Cloud, shop: Shop) -> list[str]:
    async with cloud.db.read() as session:
        query = select(col(StoreEvent.id)).where(col(StoreEvent.store_id) == shop.store.id)
        return list((await session.execute(query.order_by(col(StoreEvent.seq)))).scalars())


async def begun(cloud: Cloud, shops: list[Shop], journals: list[list[Event]]) -> None:
    """The first event of each journal, so that the cloud has heard of it."""
    for shop, events in zip(shops, journals, strict=True):
        await ingest.take(cloud, shop.store.id, claimed(shop, events[:1]).batch)


async def test_one_commit_keeps_and_shows_what_many_stores_sent(
    cloud: Cloud, shops: list[Shop]
) -> None:
    journals = [journal_of(9) for _ in shops]
    await begun(cloud, shops, journals)
    claims = [claimed(s, j[1:5]) for s, j in zip(shops, journals, strict=True)]
    claims += [
        claimed(s, j[3:]) for s, j in zip(shops, journals, strict=True)
    ]  # overlaps the first
    taken = await together.take(cloud, claims)
    assert [(what.upto, what.fresh) for what in taken if what] == [(5, 4)] * 4 + [(9, 4)] * 4
    for shop, events in zip(shops, journals, strict=True):
        assert await kept(cloud, shop) == [event.id for event in events]
    async with cloud.db.read() as session:
        lines = (await session.scalars(select(FeedEntry).order_by(col(FeedEntry.id)))).all()
    assert len(lines) == 4 * 9
    one_by_one, at_once = lines[0], lines[-1]
    assert (at_once.topic, at_once.merchant_id) == (one_by_one.topic, one_by_one.merchant_id)
    assert at_once.body == one_by_one.body
    assert at_once.at.tzinfo is not None


async def test_what_is_special_goes_alone_and_its_store_keeps_its_order(
    cloud: Cloud, shops: list[Shop]
) -> None:
    plain, gap, heavy, late = shops
    journals = [journal_of(4) for _ in shops]
    journals[2][1] = journals[2][1].model_copy(update={"kind": EventKind.COMMAND})
    await begun(cloud, shops[:3], journals[:3])
    claims = [
        claimed(gap, journals[1][2:3]),
        claimed(heavy, journals[2][1:2]),
        claimed(late, journals[3][1:]),
        claimed(plain, journals[0][1:3]),
        claimed(gap, journals[1][1:2]),  # would fit, but came after what did not
        claimed(heavy, journals[2][2:]),
        claimed(plain, journals[0][:3]),  # a duplicate: whether it is the same is looked at alone
    ]
    taken = await together.take(cloud, claims)
    assert [what and what.upto for what in taken] == [None, None, None, 3, None, None, None]


async def test_journals_never_heard_of_begin_together(cloud: Cloud, shops: list[Shop]) -> None:
    journals = [journal_of(3) for _ in shops]
    claims = [claimed(s, j) for s, j in zip(shops, journals, strict=True)]
    assert [what and what.upto for what in await together.take(cloud, claims)] == [3] * 4
    gone = EventBatch(store="nobody", journal="j-nobody", events=tuple(journal_of(1)))
    claims = [together.Claimed(shops[0].merchant.id, gone)]  # the store was deleted meanwhile
    assert await together.take(cloud, claims) == [None]


async def test_a_body_that_is_not_of_its_kind_holds_nobody_else_up(
    cloud: Cloud, shops: list[Shop]
) -> None:
    journals = [journal_of(3) for _ in shops]
    journals[0][1] = journals[0][1].model_copy(update={"body": {"nonsense": 1}})
    await begun(cloud, shops, journals)
    await as_a_worker(cloud, [claimed(s, j[1:]) for s, j in zip(shops, journals, strict=True)])
    assert [len(await kept(cloud, shop)) for shop in shops] == [1, 3, 3, 3]
    assert await count(cloud, EventFailure) == 1


async def test_an_id_taken_before_breaks_no_other_store(cloud: Cloud, shops: list[Shop]) -> None:
    """The common transaction is refused by the database; each batch then goes its own way."""
    journals = [journal_of(3) for _ in shops]
    await begun(cloud, shops, journals)
    journals[1][2] = journals[1][2].model_copy(update={"id": journals[0][0].id})
    claims = [claimed(s, j[1:]) for s, j in zip(shops, journals, strict=True)]
    assert await together.take(cloud, claims) == [None] * 4
    assert await count(cloud, StoreEvent) == 4  # nothing of it stayed
    await as_a_worker(cloud, claims)
    assert [len(await kept(cloud, shop)) for shop in shops] == [3, 2, 3, 3]


async def test_a_store_under_anothers_name_moves_nothing(cloud: Cloud, shops: list[Shop]) -> None:
    events = journal_of(3)
    await begun(cloud, shops[:1], [events])
    journal = f"j-{shops[0].store.id}"
    forged = EventBatch(store=shops[1].store.id, journal=journal, events=tuple(events[1:]))
    assert await together.take(cloud, [together.Claimed(shops[1].merchant.id, forged)]) == [None]
    assert len(await kept(cloud, shops[0])) == 1


async def test_a_standing_failure_keeps_a_store_apart(cloud: Cloud, shops: list[Shop]) -> None:
    events = journal_of(3)
    events[1] = events[1].model_copy(update={"body": {"nonsense": 1}})
    await begun(cloud, shops[:1], [events])
    await ingest.take(cloud, shops[0].store.id, claimed(shops[0], events[1:]).batch)
    good = events[1].model_copy(update={"body": {"board": "b1", "state": "offline"}})
    assert await together.take(cloud, [claimed(shops[0], [good])]) == [None]


async def _alone(cloud: Cloud, claims: list[together.Claimed]) -> None:
    for one in claims:
        await ingest.take(cloud, one.batch.store, one.batch)


@pytest.mark.parametrize("take", [as_a_worker, _alone])
async def test_any_order_from_two_workers_ends_in_each_event_once(
    cloud: Cloud, shops: list[Shop], make_cloud: Callable[[], Awaitable[Cloud]], take: Take
) -> None:
    """Together or alone: the same events, once, in order, whoever races whom."""
    rng = random.Random(13)
    journals = {shop.store.id: journal_of(20) for shop in shops}
    workers = [cloud, await make_cloud()]

    async def work(worker: Cloud) -> None:
        for _ in range(60):
            claims = []
            for shop in rng.sample(shops, 3):
                first = rng.randrange(20)
                events = journals[shop.store.id][first : first + rng.randint(1, 12)]
                claims.append(claimed(shop, events))
            await take(worker, claims)

    await asyncio.gather(*map(work, workers))
    await take(cloud, [claimed(shop, journals[shop.store.id]) for shop in shops])
    for shop in shops:
        assert await kept(cloud, shop) == [event.id for event in journals[shop.store.id]]
        async with cloud.db.read() as session:
            cursor = await session.get(EventCursor, f"j-{shop.store.id}")
        assert cursor is not None
        assert cursor.upto == 20
    assert await count(cloud, FeedEntry) == 80
