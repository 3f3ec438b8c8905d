"""Who may do what: foreign topics, stolen client ids, revoked stores; with controls that leak."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cloud_api.kit.ids import new_id
from store_link import topics
from store_link.link import LinkState, random_client_id
from tests.brokers.parties import Cloud, Controller, until
from tests.brokers.sites import SITES, Credential, Site

Enter = Callable[..., Awaitable[Controller]]
TRIES = 3  # so often a revoked store comes back in vain before we believe it


class Thief:
    """A store's certificate in the hands of a program that keeps to no rule: bare paho."""

    def __init__(
        self,
        site: Site,
        who: Credential,
        *,
        client_id: str | None = None,
        clean: bool = True,
        will: str = "",
        cloud: bool = False,
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._marks: queue.Queue[object] = queue.Queue()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or random_client_id(),
            clean_session=clean,
            reconnect_on_failure=False,
        )
        self.client.on_message = lambda c, u, m: self.heard.append((m.topic, bytes(m.payload)))
        self.client.on_connect = lambda c, u, f, reason, p: self._marks.put(not reason.is_failure)
        self.client.on_disconnect = lambda c, u, flags, reason, p: self._marks.put(None)
        self.client.on_subscribe = lambda c, u, mid, reasons, p: self._marks.put(reasons)
        self.client.on_publish = lambda c, u, mid, reason, p: self._marks.put(mid)
        context = ssl.create_default_context(cafile=str(who.tls.ca))
        assert who.tls.cert is not None
        context.load_cert_chain(who.tls.cert, who.tls.key)
        self.client.tls_set_context(context)
        if will:
            self.client.will_set(will, b"forged", qos=1, retain=True)
        hosts, port = site.address(cloud=cloud)
        host, _, own_port = hosts.split(",")[0].partition(":")
        self.client.connect_timeout = 30.0  # a busy machine shakes hands slowly
        self.client.connect(host, int(own_port or port))
        self.client.loop_start()
        assert self._wait(30), "the thief was not let in: nothing is shown"

    def _wait(self, seconds: float = 3) -> Any:
        """The broker's answer; None where it hangs up instead."""
        with contextlib.suppress(queue.Empty):
            return self._marks.get(timeout=seconds)
        return None

    def subscribe(self, wanted: str) -> None:
        """Try; what matters is what is heard, since some brokers grant what they then filter."""
        if self.client.is_connected():
            self.client.subscribe(wanted, 1)
            self._wait()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        if self.client.is_connected():
            self.client.publish(topic, payload, qos=1, retain=retain)
            self._wait()

    def drop(self) -> None:
        sock: Any = self.client.socket()
        sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.contextmanager
def stealing(site: Site, who: Credential, **options: Any) -> Iterator[Thief]:
    thief = Thief(site, who, **options)
    try:
        yield thief
    finally:
        thief.close()


async def leaks(site: Site, cloud: Cloud, enter: Enter) -> set[str]:
    """All that one store can read or write that is not its own; each named."""
    mine, theirs = await site.enrol(), await site.enrol()
    own, foreign = topics.root(mine.store), topics.root(theirs.store)
    victim = await enter(theirs)
    await until(lambda: cloud.presence.online(theirs.store), "presence")
    await cloud.say(theirs.store, 1)  # something retained to steal
    await until(lambda: victim.documents, "the document")
    wanted = (
        f"{foreign}/down/#",
        f"{foreign}/down/desired",
        f"{foreign}/up/#",
        f"{foreign}/#",
        f"{own}/up/#",
        "#",
        "+/#",
        "km/1/#",
        "km/+/+/+/down/desired",
        f"km/1/+/{theirs.store}/down/#",
        "$MQTT/#",
        "$MQTT/sub/#",
        "$MQTT/msgs/#",
        "$JS/#",
        "$SYS/#",
        "$share/g/km/1/#",
    )
    for one in wanted:  # some brokers hang up on one of them: each has a thief of its own
        thief = await asyncio.to_thread(Thief, site, mine)
        await asyncio.to_thread(thief.subscribe, one)
        # A command to the victim and its answer: by the time it is here, the thief would have it.
        assert (await cloud.unlock(theirs.store))[1] == "done"
        found = {topic for topic, _ in thief.heard if not topic.startswith(f"{own}/down/")}
        await asyncio.to_thread(thief.close)
        if found:
            return {f"read {topic}" for topic in found} | await _wrote(site, cloud, victim, mine)
    return await _wrote(site, cloud, victim, mine)


async def _wrote(site: Site, cloud: Cloud, victim: Controller, mine: Credential) -> set[str]:
    own, foreign = topics.root(mine.store), topics.root(victim.store)
    forged = {
        f"{foreign}/up/event": False,
        f"{foreign}/up/presence": True,
        f"{foreign}/down/command": False,
        f"{foreign}/down/desired": True,
        f"{own}/down/command": False,
    }
    heard_before = len(victim.heard)
    cloud.unsealed.clear()
    with stealing(site, mine) as accomplice:  # hears its own down/
        await asyncio.to_thread(accomplice.subscribe, f"{own}/down/#")
        for topic, retain in forged.items():
            with stealing(site, mine, client_id=random_client_id()) as thief:
                await asyncio.to_thread(thief.publish, topic, b"forged", retain=retain)
        with stealing(site, mine, will=f"{foreign}/down/event-ack") as dying:
            dying.drop()
        assert (await cloud.unlock(victim.store))[1] == "done"  # after all that: it has arrived
        found = {
            f"wrote {plane}" for plane, raw, _ in victim.heard[heard_before:] if raw == b"forged"
        }
        found |= {f"wrote {topic}" for topic in cloud.unsealed if topic.store == victim.store}
        found |= {f"wrote {topic}" for topic, raw in accomplice.heard if raw == b"forged"}
    return found


async def test_a_store_reads_and_writes_nothing_but_its_own(
    site: Site, cloud: Cloud, enter: Enter
) -> None:
    assert await leaks(site, cloud, enter) == set()


@pytest.mark.parametrize("kind", ["nats", "mosquitto"])
async def test_the_probes_find_leaks_where_there_are_no_rules(kind: str, tmp_path: Path) -> None:
    """The negative control."""
    site = SITES[kind](tmp_path / kind)
    if kind == "mosquitto":
        site.open_to_all()
    site.start()
    cloud = Cloud(site)
    made: list[Controller] = []

    async def enter(who: Credential) -> Controller:
        if kind == "nats":
            site.open_to_all()  # the users that are known by now
            site.stop()
            site.start()
        made.append(await Controller(site, who).up())
        return made[-1]

    try:
        await cloud.up()
        found = await leaks(site, cloud, enter)
    finally:
        for controller in made:
            await controller.down()
        await cloud.side.stop()
        site.stop()
    assert any(one.startswith("read ") for one in found), found
    assert {"wrote down/command", "wrote down/desired"} <= found


@pytest.mark.parametrize("clean", [True, False])
async def test_a_stolen_client_id_brings_no_message_and_its_owner_comes_back(
    site: Site, cloud: Cloud, enter: Enter, clean: bool
) -> None:
    stolen = random_client_id()
    victim = await enter(await site.enrol(), client_id=stolen)
    other = await site.enrol()
    await until(lambda: cloud.presence.online(victim.store), "presence")
    before = victim.side.nonce
    await cloud.say(victim.store, 1)

    def steal() -> Thief:
        thief = Thief(site, other, client_id=stolen, clean=clean)
        thief.subscribe(topics.store_filter(victim.store))
        thief.subscribe(topics.store_filter(other.store))
        return thief

    thief = await asyncio.to_thread(steal)
    if site.takes_over:
        await until(lambda: victim.side.nonce not in {None, before}, "its owner is back")
    await until(
        lambda: cloud.presence.nonce(victim.store) == victim.side.nonce is not None, "presence"
    )
    for _ in range(3):
        assert (await cloud.unlock(victim.store))[1] == "done"
    await cloud.say(victim.store, 2)
    await until(lambda: (2, False) in victim.documents, "its document")
    assert thief.heard == []
    if not site.takes_over:
        assert victim.side.nonce == before, "the certificate says the client id: nobody was moved"
    await asyncio.to_thread(thief.close)


async def test_a_session_planted_under_a_stolen_client_id_reaches_nobody(
    site: Site, enter: Enter, cloud: Cloud
) -> None:
    """A session that another left there would bring its subscriptions and messages along."""
    stolen = random_client_id()
    other, mine = await site.enrol(), await site.enrol()

    def plant() -> None:
        with stealing(site, other, client_id=stolen, clean=False) as thief:
            thief.subscribe(topics.store_filter(other.store))

    await asyncio.to_thread(plant)
    await cloud.side.link.publish(topics.command(other.store), b"for another")
    store = await enter(mine, client_id=stolen)
    await until(lambda: cloud.presence.online(mine.store), "presence")
    await cloud.side.link.publish(topics.command(other.store), b"for another")
    assert (await cloud.unlock(mine.store))[1] == "done"
    assert b"for another" not in [raw for _, raw, _ in store.heard]


async def test_a_revoked_store_is_thrown_out_and_kept_out_and_the_others_stay(
    site: Site, enter: Enter, cloud: Cloud
) -> None:
    who = await site.enrol()
    old, other = await enter(who), await enter(await site.enrol())
    nonce = other.side.nonce
    await site.revoke(who)
    await until(lambda: not old.side.up, "thrown out")
    del old.states[:]
    await until(lambda: old.states.count(LinkState.CONNECTING) > TRIES, "it tries again")
    assert LinkState.UP not in old.states
    assert other.side.nonce == nonce
    assert cloud.side.up
    for plane_heard in (old.heard, old.commands):
        assert not plane_heard


async def test_the_replacement_of_a_revoked_controller_is_the_store(
    site: Site, enter: Enter, cloud: Cloud
) -> None:
    first = await site.enrol()
    old = await enter(first)
    second = await site.enrol(first.store)
    await site.revoke(first)
    new = await enter(second)
    await until(lambda: not old.side.up, "thrown out")
    await until(lambda: cloud.presence.nonce(first.store) == new.side.nonce, "presence")
    assert (await cloud.unlock(first.store))[1] == "done"
    assert len(new.pulses) == 1
    assert not old.pulses


async def test_many_revocations_one_after_the_other_all_count(site: Site, enter: Enter) -> None:
    """Lists of the same second: the broker must believe the last of them."""
    gone = [await site.enrol() for _ in range(4)]
    for who in gone:
        await site.revoke(who)
    stays = await enter(await site.enrol())
    for who in gone:
        with pytest.raises((AssertionError, OSError, ssl.SSLError)):
            await asyncio.to_thread(Thief, site, who)
    assert stays.side.up


async def test_without_a_certificate_of_ours_nobody_connects(site: Site, tmp_path: Path) -> None:
    import dataclasses

    from store_link.link import Tls

    who = await site.enrol()
    stranger = type(site)(tmp_path / "stranger").issue(new_id())
    mixed = dataclasses.replace(stranger, tls=Tls(who.tls.ca, stranger.tls.cert, stranger.tls.key))
    with pytest.raises((AssertionError, OSError)):
        await asyncio.to_thread(Thief, site, mixed)
    host, port = site.address(cloud=False)
    host, _, own_port = host.split(",")[0].partition(":")
    context = ssl.create_default_context(cafile=str(who.tls.ca))
    with socket.create_connection((host, int(own_port or port)), timeout=3) as plain:
        answer = b""
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            secure.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0f\x00\x01x")
            answer = secure.recv(4)
    assert answer != b"\x20\x02\x00\x00"
