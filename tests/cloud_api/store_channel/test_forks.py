"""Two computers with one store's files: each writes the same journal on, and only one can be believed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlmodel import select

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import AlarmSignal, FeedEntry
from cloud_api.store_channel import ingest, together
from cloud_api.store_channel.worker import Channel
from store_link import topics
from store_link.messages import Event, EventKind
from store_link.topics import Plane
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.store_side import StoreSide, until
from tests.cloud_api.store_channel.test_ingest import batch, count, journal_of, stored, upto


async def alarms(cloud: Cloud) -> list[tuple[str, bool, str, int]]:
    async with cloud.db.read() as session:
        rows = (await session.exec(select(AlarmSignal))).all()
    return [
        (row.subject, row.active, row.data["why"], row.version)
        for row in rows
        if row.kind == "event.poison"
    ]


def copied(events: list[Event], upto: int, length: int) -> list[Event]:
    """The journal of a copy: the same events up to ``upto``, then ones of its own."""
    return events[:upto] + journal_of(length)[upto:]


async def test_a_copy_that_goes_on_by_itself_is_refused_whole(cloud: Cloud, shop: Shop) -> None:
    """Bug: a copied card's batch that began under taken numbers and went on beyond them was taken from
    the next number on. Its first events were acknowledged, dropped and never told to anybody, and what
    the right computer recorded next was lost in the same way.
    """
    right = journal_of(7)
    copy = copied(right, 3, 6)
    await ingest.take(cloud, shop.store.id, batch(shop, right[:5]))
    for told in (copy[3:], copy, copy[3:5]):
        claimed = together.Claimed(shop.merchant.id, batch(shop, told))
        assert await together.take(cloud, [claimed]) == [None]
        with pytest.raises(ingest.ForkedJournal):
            await ingest.take(cloud, shop.store.id, claimed.batch)
    assert (await stored(cloud), await upto(cloud)) == ([1, 2, 3, 4, 5], 5)
    assert await alarms(cloud) == [("journal:j1", True, ingest.FORK, 1)]  # told once
    # The right one goes on, also with a batch that overlaps what was taken.
    taken = await ingest.take(cloud, shop.store.id, batch(shop, right[2:]))
    assert (taken.upto, taken.fresh) == (7, 2)
    assert await count(cloud, FeedEntry) == 7


async def test_two_copies_in_one_round_are_told_apart(cloud: Cloud, shop: Shop) -> None:
    """Both are heard at once: what the first brings is not yet in the database."""
    right = journal_of(5)
    claims = [
        together.Claimed(shop.merchant.id, batch(shop, told))
        for told in (right[:4], copied(right, 2, 6)[2:], right[3:])
    ]
    taken = await together.take(cloud, claims)
    assert [what and what.upto for what in taken] == [4, None, None]
    with pytest.raises(ingest.ForkedJournal):
        await ingest.take(cloud, shop.store.id, claims[1].batch)
    assert (await ingest.take(cloud, shop.store.id, claims[2].batch)).upto == 5
    assert await stored(cloud) == [1, 2, 3, 4, 5]


async def test_on_the_wire_a_copy_gets_no_acknowledgement(
    cloud: Cloud, shop: Shop, channel: Channel, store: StoreSide
) -> None:
    """Both have the store's certificate and keys: what they send is well sealed, and still one is refused."""
    topic = topics.ParsedTopic(store.store, Plane.EVENT)
    await store.connect()
    await until(lambda: store.acks, "the cloud greets")
    for _ in range(4):
        store.write(EventKind.BOOT)
    copy = replace(store, events=store.events[:2])
    for _ in range(3):
        copy.write(EventKind.BOOT)
    for raw in (store.batch(1, 4), copy.batch(3, 3), copy.batch(3, 5)):
        await channel.take(topic, raw, False)
    store.write(EventKind.BOOT)
    await channel.take(topic, store.batch(4, 5), False)
    await until(lambda: store.acked == 5)
    assert [said for said in store.acks if said] == [4, 5]
    await store.report(nonce="another")  # a new connection is greeted with how far it was taken
    await channel.take(topic, store.batch(1, 3), False)
    await until(lambda: store.acks[-3:] == [5] * 3, "greeted, and told of what came twice")
    meant = [None, store.events[3].id, *[store.events[4].id] * 3]  # the copy sees whose they are
    assert store.lasts == meant
    assert (await stored(cloud), await upto(cloud, store.journal)) == ([1, 2, 3, 4, 5], 5)
    told = [(f"journal:{store.journal}", True, ingest.FORK, 1)]
    assert await alarms(cloud) == told
