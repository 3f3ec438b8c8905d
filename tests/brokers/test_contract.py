"""What the wire needs of a broker: retained documents, wills, order, clean connections."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from store_link.link import LinkState
from store_link.messages import AckState, Reason
from store_link.topics import Plane
from tests.brokers.parties import COMMAND_KEY, MAC, Cloud, Controller, until
from tests.brokers.sites import Site

Enter = Callable[..., Awaitable[Controller]]
ROOT = Path(__file__).resolve().parents[2]


async def test_the_document_waits_for_the_store_and_only_the_last_one(
    site: Site, enter: Enter, cloud: Cloud
) -> None:
    who = await site.enrol()
    for rev in (1, 2, 3):
        await cloud.say(who.store, rev)
    store = await enter(who)
    await until(lambda: store.documents, "the retained document")
    await cloud.say(who.store, 4)
    await until(lambda: len(store.documents) == 2, "the live document")
    assert store.documents == [(3, True), (4, False)]


async def test_a_document_that_was_taken_back_is_gone(
    site: Site, enter: Enter, cloud: Cloud
) -> None:
    who = await site.enrol()
    await cloud.say(who.store, 1)
    await cloud.side.forget_desired(who.store)
    store = await enter(who)
    await until(lambda: cloud.presence.online(who.store), "presence")
    assert (await cloud.unlock(who.store))[1] == "done"  # what was retained would have come before
    assert store.documents == []


async def test_a_document_of_a_megabyte_passes(store: Controller, cloud: Cloud) -> None:
    from store_link import topics

    big = b"x" * ((1 << 20) - 64)
    await cloud.side.link.publish(topics.event_ack(store.store), big, timeout_s=20)
    await until(lambda: store.heard or store.states[-1] is LinkState.DOWN, "a megabyte")
    assert store.states[-1] is LinkState.UP


async def test_a_later_cloud_process_hears_who_is_there(
    site: Site, store: Controller, cloud: Cloud
) -> None:
    await until(lambda: cloud.presence.nonce(store.store) == store.side.nonce, "live presence")
    later = Cloud(site)
    await later.up()
    await until(lambda: later.presence.nonce(store.store) == store.side.nonce, "retained presence")
    await later.side.stop()


async def test_messages_keep_their_order_both_ways(store: Controller, cloud: Cloud) -> None:
    count = 200
    await until(lambda: cloud.presence.online(store.store), "presence")
    nonce = store.side.nonce or ""
    commands = [cloud.command(store.store, nonce, valid_s=60) for _ in range(count)]
    await asyncio.gather(
        *(cloud.side.send_command(one, COMMAND_KEY, timeout_s=20) for one in commands)
    )
    await until(lambda: len(store.commands) >= count, "all commands")
    assert [one.id for one in store.commands] == [one.id for one in commands]
    await asyncio.gather(
        *(store.side.publish_events(store.batch(seq, seq), 20) for seq in range(1, count + 1))
    )
    await until(lambda: len(cloud.arrived.get(store.journal, ())) >= count, "all events")
    assert cloud.arrived[store.journal] == list(range(1, count + 1))


async def test_the_will_of_a_killed_process_and_of_a_cut_line(
    site: Site, enter: Enter, cloud: Cloud
) -> None:
    who = await site.enrol()
    host, port = site.address(cloud=False)
    tls = [str(path) for path in (who.tls.ca, who.tls.cert, who.tls.key)]
    given = {"store": who.store, "host": host, "port": port, "tls": tls, "mac": MAC.secret.hex()}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.brokers.mortal", json.dumps(given)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout is not None
            nonce = (await asyncio.to_thread(process.stdout.readline)).strip()
            await until(lambda: cloud.presence.nonce(who.store) == nonce, "presence")
        finally:
            process.kill()
    await until(lambda: not cloud.presence.online(who.store), "the will of a killed process")
    assert (cloud.said[-1].state, cloud.said[-1].nonce) == ("lost", nonce)

    store = await enter(who)
    await until(lambda: cloud.presence.online(who.store), "presence again")
    cut = store.side.nonce
    cloud.said.clear()
    store.side.link.drop()
    await until(
        lambda: any(one.state == "lost" and one.nonce == cut for one in cloud.said),
        "the will of a cut line",
    )


async def test_a_new_connection_has_a_new_nonce_and_nothing_waited_for_it(
    store: Controller, cloud: Cloud
) -> None:
    await until(lambda: cloud.presence.online(store.store), "presence")
    old = store.side.nonce
    assert old is not None
    assert (await cloud.unlock(store.store))[1] == "done"
    before = len(store.commands)
    store.side.link.drop()
    await until(lambda: store.side.nonce is None, "the cut")
    late = cloud.command(store.store, old)
    await cloud.side.send_command(late, COMMAND_KEY)  # nobody is there
    await until(lambda: store.side.up and store.side.nonce != old, "another connection")
    await until(lambda: cloud.presence.nonce(store.store) == store.side.nonce, "its presence")
    replayed = cloud.command(store.store, old)  # to the connection before
    await cloud.side.send_command(replayed, COMMAND_KEY)
    await until(lambda: replayed.id in cloud.acks, "its refusal")
    assert cloud.acks[replayed.id][0].state is AckState.REFUSED
    assert cloud.acks[replayed.id][0].reason is Reason.OTHER_CONNECTION
    assert (await cloud.unlock(store.store))[1] == "done"
    arrived = [one.id for one in store.commands[before:]]
    assert late.id not in arrived or store.pulses[late.id] == 0
    assert len(store.pulses) == 2
    assert not any(retained for plane, _, retained in store.heard if plane is Plane.COMMAND)


async def test_the_last_will_of_a_dead_store_stays_for_later_processes(
    site: Site, store: Controller, cloud: Cloud
) -> None:
    await until(lambda: cloud.presence.online(store.store), "presence")
    nonce = store.side.nonce
    for task in store.side.link._tasks:
        task.cancel()  # it does not come back
    store.side.link.drop()
    await until(lambda: not cloud.presence.online(store.store), "lost")
    later = Cloud(site)
    await later.up()
    await until(lambda: any(one.nonce == nonce for one in later.said), "what was retained")
    assert not later.presence.online(store.store)
    await later.side.stop()
