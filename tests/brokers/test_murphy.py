"""What a broken, hostile or very slow client costs the others on the same broker: nothing.

And a cluster of three that loses two: nothing opens twice, and all of it goes on when they are back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from store_link import topics
from tests.brokers.parties import MAC, Cloud, Controller, until
from tests.brokers.sites import ClusterSite, Credential, Site
from tests.brokers.test_rights import Thief

Enter = Callable[..., Awaitable[Controller]]

ROOT = Path(__file__).resolve().parents[2]
NAGLE_S = 0.040  # what each round trip takes where Nagle's algorithm meets a delayed ACK, at least
ROUNDS = 30
CONNECTIONS = 50
pytestmark = pytest.mark.timeout(300)


async def opens(cloud: Cloud, store: Controller, times: int = 3) -> None:
    """The door of a store that minds its own business opens, on the connection that it had."""
    nonce = store.side.nonce
    for _ in range(times):
        assert (await cloud.unlock(store.store, patience_s=20))[1] == "done"
    assert store.side.nonce == nonce


async def test_no_round_trip_waits_for_a_delayed_acknowledgement(
    store: Controller, cloud: Cloud
) -> None:
    """TCP_NODELAY at both ends, on each broker: without it the fastest of them all takes 40 ms."""
    await until(lambda: cloud.presence.online(store.store), "presence")
    took = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        assert (await cloud.unlock(store.store, patience_s=20))[1] == "done"
        took.append(time.monotonic() - began)
    assert min(took) < NAGLE_S, sorted(took)


def let_in(site: Site, who: Credential) -> Thief:
    """A broker that was told of a store a moment ago may not have read its file yet."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return Thief(site, who)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


async def test_ten_megabytes_cost_their_sender_alone(
    site: Site, store: Controller, cloud: Cloud
) -> None:
    """A message far beyond what any plane has: the broker hangs up on whoever sends it."""
    await until(lambda: cloud.presence.online(store.store), "presence")
    bad = await site.enrol()
    before = len(cloud.unsealed)

    def shout() -> bool:
        thief = let_in(site, bad)
        thief.publish(f"{topics.root(bad.store)}/up/event", b"x" * (10 << 20))
        deadline = time.monotonic() + 20
        while thief.client.is_connected() and time.monotonic() < deadline:
            time.sleep(0.01)
        gone = not thief.client.is_connected()
        thief.close()
        return gone

    assert await asyncio.to_thread(shout)
    await opens(cloud, store)
    assert cloud.side.up
    assert len(cloud.unsealed) == before, "it came through"


async def test_fifty_connections_in_a_moment_disturb_nobody(
    site: Site, store: Controller, cloud: Cloud
) -> None:
    """A store whose line flaps, each time with a will of its own, while another opens its door."""
    await until(lambda: cloud.presence.online(store.store), "presence")
    flapping = await site.enrol()
    will = f"{topics.root(flapping.store)}/up/presence"

    def flap() -> int:
        came = 0
        for _ in range(CONNECTIONS):
            with contextlib.suppress(AssertionError, OSError):
                thief = Thief(site, flapping, will=will)
                came += 1
                thief.drop()
                thief.client.loop_stop()
        return came

    flaps = asyncio.create_task(asyncio.to_thread(flap))
    done = 0
    while not flaps.done() or done < 3:
        await opens(cloud, store, 1)
        done += 1
    assert await flaps > CONNECTIONS // 2
    assert max(store.pulses.values()) == 1


@contextlib.contextmanager
def standing_still(site: Site, who: Credential) -> Iterator[None]:
    """A controller in a process of its own that is stopped as it is, and holds its connection."""
    host, port = site.address(cloud=False)
    tls = [str(path) for path in (who.tls.ca, who.tls.cert, who.tls.key)]
    given = {"store": who.store, "host": host, "port": port, "tls": tls, "mac": MAC.secret.hex()}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.brokers.mortal", json.dumps(given)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            process.stdout.readline()
            os.kill(process.pid, signal.SIGSTOP)
            yield
        finally:
            process.kill()


async def test_a_store_that_reads_nothing_holds_nobody_up(
    site: Site, store: Controller, cloud: Cloud
) -> None:
    """Its process stands still with the connection open; megabytes for it wait, or are let go."""
    await until(lambda: cloud.presence.online(store.store), "presence")
    slow = await site.enrol()
    loop = asyncio.get_running_loop()
    context = standing_still(site, slow)
    await loop.run_in_executor(None, context.__enter__)
    try:
        for _ in range(40):
            await cloud.side.link.publish(
                topics.event_ack(slow.store), b"x" * (1 << 18), timeout_s=20
            )
        await opens(cloud, store)
    finally:
        await loop.run_in_executor(None, context.__exit__, None, None, None)


@pytest.mark.soak  # a minute and more: leaders are elected again and again
@pytest.mark.parametrize(
    "site",
    [pytest.param("cluster", marks=pytest.mark.xdist_group("broker-cluster"))],
    indirect=True,
)
async def test_a_cluster_that_lost_two_of_three_goes_on_when_they_are_back(
    site: Site, store: Controller, cloud: Cloud
) -> None:
    """One node alone takes nothing on: whoever taps hears that it failed or that nobody knows."""
    assert isinstance(site, ClusterSite)
    await until(lambda: cloud.presence.online(store.store), "presence")
    await opens(cloud, store)
    outcomes: dict[str, str] = {}
    gone = site.nodes[1:]
    for node in gone:
        await asyncio.to_thread(node.kill)
    alone = time.monotonic()
    while time.monotonic() - alone < 12:
        command, outcome = await cloud.unlock(store.store)
        outcomes[command] = outcome
        await asyncio.sleep(0.2)
    assert "done" not in list(outcomes.values())[-3:], "a majority is missing"
    sending = asyncio.create_task(store.send_journal(300))
    await asyncio.gather(*(asyncio.to_thread(node.start) for node in gone))
    began = time.monotonic()
    while (last := await cloud.unlock(store.store))[1] != "done":
        outcomes[last[0]] = last[1]
        assert time.monotonic() < began + 240
        await asyncio.sleep(0.2)
    print(f"{time.monotonic() - began:.1f} s from two nodes' return to the next open door")
    await asyncio.wait_for(sending, 120)
    assert cloud.committed[store.journal] == list(range(1, 301))
    assert max(store.pulses.values()) == 1
    for command, outcome in outcomes.items():
        if outcome in {"not_sent", "refused", "expired"}:
            assert store.pulses[command] == 0, outcome
