"""What a store says of itself: the last word counts, late wills do not, silence means offline."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest
from sqlmodel import select

from cloud_api.devices.models import StoreStatus
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import FeedEntry
from cloud_api.store_channel import status
from cloud_api.store_channel.worker import Channel
from store_link.clock import ManualClock, ms
from store_link.reports import Presence, Reported
from tests.cloud_api.factories import Shop, make_store, reported
from tests.cloud_api.store_channel.store_side import StoreSide, until
from tests.cloud_api.store_channel.test_end_to_end import online


@pytest.fixture
def wire(cloud: Cloud) -> ManualClock:
    clock = ManualClock(cloud.clocks.real)
    cloud.clocks = Clocks(cloud.clocks.business, clock)
    return clock


async def row(cloud: Cloud, shop: Shop) -> StoreStatus:
    async with cloud.db.read() as session:
        found = await session.get(StoreStatus, shop.store.id)
    assert found is not None
    return found


async def lines(cloud: Cloud) -> list[dict[str, Any]]:
    async with cloud.db.read() as session:
        return [line.body for line in await session.exec(select(FeedEntry))]


async def says(
    cloud: Cloud,
    shop: Shop,
    state: Literal["online", "lost"],
    nonce: str,
    *,
    ago_s: float = 0,
    retained: bool = False,
) -> None:
    message = Presence(
        store=shop.store.id,
        state=state,
        boot="b1",
        nonce=nonce,
        sent_at=ms(cloud.clocks.real - timedelta(seconds=ago_s)),
    )
    await status.take_presence(cloud, shop.merchant.id, message, retained=retained)


async def reports(cloud: Cloud, shop: Shop, *, retained: bool = False, **changes: Any) -> None:
    body = reported(shop, cloud.clocks.real, **changes)
    message = Reported.model_validate(body)
    await status.take_reported(cloud, shop.merchant.id, message, retained=retained)


async def test_a_late_will_is_ignored(cloud: Cloud, shop: Shop, wire: ManualClock) -> None:
    await says(cloud, shop, "online", "n2")
    await says(cloud, shop, "lost", "n1")  # the broker noticed the old connection's end only now
    assert (await row(cloud, shop)).online
    await says(cloud, shop, "lost", "n2")
    assert not (await row(cloud, shop)).online


async def test_silence_of_ninety_seconds_is_offline_and_a_report_brings_it_back(
    cloud: Cloud, shop: Shop, wire: ManualClock
) -> None:
    await says(cloud, shop, "online", "n2")
    wire.pass_time(60)
    await reports(cloud, shop, nonce="n2")
    wire.pass_time(89)
    assert await status.sweep_silent(cloud) == 0
    wire.pass_time(2)
    assert await status.sweep_silent(cloud) == 1
    assert not (await row(cloud, shop)).online
    await reports(cloud, shop, nonce="n2")
    found = await row(cloud, shop)
    assert (found.online, found.nonce) == (True, "n2")


async def test_what_a_broker_kept_is_as_old_as_it_says(cloud: Cloud, wire: ManualClock) -> None:
    """Store and broker lost power together: no will. The cloud, coming back, heard "online"."""
    async with cloud.db.write() as session:
        shop = await make_store(session, cloud.clocks.now, online=False)
    await says(cloud, shop, "online", "n7", ago_s=600, retained=True)
    await reports(cloud, shop, nonce="n7", sent_at=ms(wire.now()) - 570_000, retained=True)
    assert not (await row(cloud, shop)).online
    await says(cloud, shop, "online", "n8", ago_s=20, retained=True)
    assert (await row(cloud, shop)).online


async def test_a_fresh_report_that_the_broker_kept_counts(
    cloud: Cloud, shop: Shop, wire: ManualClock
) -> None:
    """The cloud was away while the store reconnected; it need not wait for the next report."""
    await says(cloud, shop, "online", "n9", ago_s=3600, retained=True)
    assert not (await row(cloud, shop)).online
    await reports(cloud, shop, nonce="n9", sent_at=ms(wire.now()) - 20_000, retained=True)
    assert (await row(cloud, shop)).online


async def test_a_report_kept_of_a_connection_that_was_lost_does_not_count(
    cloud: Cloud, shop: Shop, wire: ManualClock
) -> None:
    await says(cloud, shop, "online", "n9")
    await says(cloud, shop, "lost", "n9", retained=True)
    await reports(cloud, shop, nonce="n9", sent_at=ms(wire.now()) - 5_000, retained=True)
    assert not (await row(cloud, shop)).online


async def test_only_changes_are_told(cloud: Cloud, shop: Shop, wire: ManualClock) -> None:
    for _ in range(3):
        wire.pass_time(10)
        await reports(cloud, shop)
    assert await lines(cloud) == []
    await reports(cloud, shop, clock="holdover")
    [line] = await lines(cloud)
    assert line["clock"] == "holdover"
    await says(cloud, shop, "lost", "n1")
    await says(cloud, shop, "lost", "n1")
    assert [line for line in await lines(cloud) if line["event"] == "presence"] == [
        {"event": "presence", "online": False}
    ]


async def test_a_report_of_the_connection_before_does_not_take_over(
    cloud: Cloud, shop: Shop, wire: ManualClock
) -> None:
    await says(cloud, shop, "online", "n2")
    await reports(cloud, shop, nonce="n2", rev=5)
    await reports(cloud, shop, nonce="n1", rev=4, sent_at=ms(wire.now()) - 500)
    found = await row(cloud, shop)
    assert (found.nonce, found.rev) == ("n2", 5)


async def test_coming_and_going_on_the_wire(
    cloud: Cloud, shop: Shop, channel: Channel, store: StoreSide
) -> None:
    await store.connect()
    await online(cloud, store)
    first = store.link.nonce
    store.link.drop()
    await until(lambda: store.link.nonce not in {None, first})
    await online(cloud, store)
    await until(lambda: store.applied != (0, 0))
    found = await row(cloud, shop)
    assert found.nonce == store.link.nonce


async def test_a_store_whose_clock_was_years_ahead_is_known_by_its_next_connection(
    cloud: Cloud, shop: Shop, wire: ManualClock
) -> None:
    """Bug: the clock was set right while the broker was away, which lost the greeting. Reports of the new
    connection counted as overtaken by the old one's, and unlocks named a connection that was gone.
    """
    ahead = ms(wire.now()) + 315_360_000_000
    await reports(cloud, shop, nonce="n1", sent_at=ahead)
    await reports(cloud, shop, nonce="n2", sent_at=ms(wire.now()))
    assert (await row(cloud, shop)).nonce == "n2"
    # One that is really overtaken is still left: by seconds, or kept by the broker.
    await reports(cloud, shop, nonce="n1", sent_at=ms(wire.now()) - 2_000)
    await reports(cloud, shop, nonce="n1", sent_at=ms(wire.now()) - 600_000, retained=True)
    assert (await row(cloud, shop)).nonce == "n2"
