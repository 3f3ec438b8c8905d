"""Events that exist nowhere any more: a cloud goes on without them, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlmodel import select
from typer.testing import CliRunner

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import AlarmSignal
from cloud_api.store_channel import ingest
from cloud_api.store_channel.cli import app as events_app
from cloud_api.store_channel.models import EventFailure
from store_link.codec import decode, encode
from store_link.messages import Event, EventBatch, EventKind
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.test_ingest import Poison, batch, journal_of, stored, upto
from tests.cloud_api.store_channel.test_status import reports


def kept_from(shop: Shop, events: list[Event], oldest: int) -> EventBatch:
    """What a store sends that has only ``oldest`` and later ones."""
    return batch(shop, events).model_copy(update={"oldest": oldest})


async def gaps(cloud: Cloud) -> list[EventFailure]:
    async with cloud.db.read() as session:
        return list((await session.exec(select(EventFailure))).all())


async def alarms(cloud: Cloud) -> list[tuple[str, bool]]:
    async with cloud.db.read() as session:
        rows = (await session.exec(select(AlarmSignal))).all()
        return [(row.subject, row.active) for row in rows if row.kind == "event.poison"]


async def command(cloud: Cloud, *words: str) -> tuple[list[str], int]:
    """What ``kaimen-cloud events`` prints on this cloud, and its exit code."""
    loop = asyncio.get_running_loop()

    def here(act: Callable[[Cloud], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            return await act(cloud)

        return asyncio.run_coroutine_threadsafe(whole(), loop).result(30)

    done = await asyncio.to_thread(CliRunner().invoke, events_app, list(words), obj=here)
    return done.output.splitlines(), done.exit_code


async def test_a_new_cloud_begins_where_the_store_can_and_raises_an_alarm(
    cloud: Cloud, shop: Shop
) -> None:
    """Bug: it waited at the gap for ever, and took nothing of that store again."""
    events = journal_of(12)
    taken = await ingest.take(cloud, shop.store.id, kept_from(shop, events[7:], 8))
    assert (taken.upto, taken.fresh, taken.gap) == (12, 5, False)
    assert await stored(cloud) == [8, 9, 10, 11, 12]
    (gap,) = await gaps(cloud)
    assert (gap.kind, gap.seq, gap.journal) == (ingest.GAP, 1, "j1")
    assert "events 1 to 7 " in gap.last_error
    assert gap.dead_at is not None
    assert await alarms(cloud) == [("event:j1.1-7", True)]
    again = await ingest.take(cloud, shop.store.id, kept_from(shop, events[7:], 8))
    assert (again.upto, again.fresh) == (12, 0)
    assert len(await gaps(cloud)) == 1
    said, code = await command(cloud, "failed")
    assert (code, said[-1]) == (0, "1 events")
    assert said[0].startswith(f"j1.1-7  {ingest.GAP}  store {shop.store.id}")
    assert await command(cloud, "retry") == (["j1.1-7  settled"], 0)
    assert await alarms(cloud) == [("event:j1.1-7", False)]
    assert await command(cloud, "retry", "j1.1-7") == (["j1.1-7  no such failed event"], 1)
    assert await command(cloud, "failed") == (["0 events"], 0)


async def test_no_gap_is_taken_that_the_store_could_fill(cloud: Cloud, shop: Shop) -> None:
    """A batch may have overtaken another, and an older store says nothing of its oldest event."""
    events = journal_of(12)
    await ingest.take(cloud, shop.store.id, kept_from(shop, events[:3], 1))
    for late in (
        kept_from(shop, events[8:], 1),  # it has them all
        kept_from(shop, events[8:], 6),  # 4 and 5 are lost, but not 6 to 8: it is asked first
        batch(shop, events[8:]),
    ):
        taken = await ingest.take(cloud, shop.store.id, late)
        assert (taken.upto, taken.fresh, taken.gap) == (3, 0, True)
    assert await gaps(cloud) == []
    taken = await ingest.take(cloud, shop.store.id, kept_from(shop, events[5:], 6))
    assert (taken.upto, taken.fresh) == (12, 7)
    assert [(gap.seq, gap.event_id) for gap in await gaps(cloud)] == [(4, "j1.4-5")]


async def test_an_effect_that_fails_behind_a_gap_holds_up_only_itself(
    cloud: Cloud, shop: Shop
) -> None:
    events = journal_of(9)
    effects = {EventKind.DEVICE: Poison(7, times=9)}
    taken = await ingest.take(cloud, shop.store.id, kept_from(shop, events[4:], 5), effects)
    assert (taken.upto, taken.fresh) == (6, 2)
    assert taken.retry_at is not None
    assert await upto(cloud) == 6
    assert sorted(gap.kind for gap in await gaps(cloud)) == ["device", ingest.GAP]


def test_both_neighbours_of_this_version_understand_each_other(shop: Shop) -> None:
    """What an older store sends has no ``oldest``; an older cloud reads over it."""
    new = kept_from(shop, journal_of(2), 1)
    plain = new.model_dump(mode="json")
    assert plain.pop("oldest") == 1
    old = EventBatch.model_validate(plain)
    assert old.oldest is None
    assert decode(encode(new), EventBatch) == new
    assert EventBatch.model_config["extra"] == "ignore"


async def test_a_store_whose_disk_is_full_raises_an_alarm_until_it_is_not(
    cloud: Cloud, shop: Shop
) -> None:
    for full in (True, True, False):
        outbox = {"depth": 0, "oldest_at": None, "full": full}
        await reports(cloud, shop, outbox=outbox)
        async with cloud.db.read() as session:
            rows = (await session.exec(select(AlarmSignal))).all()
        assert [(row.kind, row.subject, row.active) for row in rows] == [
            ("disk.low", f"store:{shop.store.id}", full)
        ]
