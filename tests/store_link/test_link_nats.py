"""The link on a real broker (NATS): wills, restarts, retained messages."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from store_link.link import Backoff, LinkState, NotConnected, Tls, Will, random_nonce
from tests.store_link.authority import Authority
from tests.store_link.conftest import Recorder, until
from tests.support.nats import NatsBroker


async def test_a_message_goes_through(broker, make_link):
    inbox, topic = Recorder(), f"t/{random_nonce()}"
    link = make_link(broker, on_message=inbox)
    await link.start()
    await link.wait_up(20)
    await link.subscribe([topic])
    await link.publish(topic, b"\x00\xff any bytes \n")
    await until(lambda: inbox.messages)
    assert inbox.messages == [(topic, b"\x00\xff any bytes \n", False)]
    await link.unsubscribe([topic])
    await link.publish(topic, b"unheard")
    await link.subscribe([topic + "/x"])
    await link.publish(topic + "/x", b"heard")
    await until(lambda: len(inbox.messages) == 2)
    assert inbox.payloads[-1] == b"heard"


async def test_the_retained_flag_is_seen(broker, make_link):
    """Retained for who comes later, not for who listens already: a command may rely on it."""
    early, late, topic = Recorder(), Recorder(), f"t/{random_nonce()}"
    first = make_link(broker, on_message=early)
    second = make_link(broker, on_message=late)
    for link in (first, second):
        await link.start()
        await link.wait_up(20)
    await first.subscribe([topic])
    await first.publish(topic, b"state", retain=True)
    await until(lambda: early.messages)
    await second.subscribe([topic])
    await until(lambda: late.messages)
    assert early.messages == [(topic, b"state", False)]
    assert late.messages == [(topic, b"state", True)]


async def test_the_will_comes_when_the_socket_dies_and_not_after_a_goodbye(broker, make_link):
    inbox, topic = Recorder(), f"t/{random_nonce()}"
    watcher = make_link(broker, on_message=inbox)
    await watcher.start()
    await watcher.wait_up(20)
    await watcher.subscribe([topic])
    mortal = make_link(broker, will=lambda nonce: Will(topic, nonce.encode()))
    await mortal.start()
    await mortal.wait_up(20)
    first = mortal.nonce
    mortal.drop()
    await until(lambda: inbox.messages)
    assert inbox.payloads == [first.encode()]
    # The broker may have told the will before this side noticed that its socket is gone.
    await until(lambda: mortal.nonce not in (None, first) and mortal.state is LinkState.UP)
    await mortal.stop()
    await watcher.publish(topic, b"last")  # comes after a will that the goodbye did not prevent
    await until(lambda: b"last" in inbox.payloads)
    assert inbox.payloads == [first.encode(), b"last"]


@pytest.mark.parametrize("kill", [False, True])
async def test_a_restart_of_the_broker_gives_a_new_nonce_and_delivers_nothing_late(
    own_broker, make_link, kill
):
    inbox, topic = Recorder(), f"t/{random_nonce()}"
    nonces: list[str] = []

    async def hook(nonce: str) -> None:
        await watcher.subscribe([topic])
        nonces.append(nonce)

    watcher = make_link(own_broker, on_message=inbox, on_connected=hook)
    sender = make_link(own_broker)
    for link in (watcher, sender):
        await link.start()
        await link.wait_up(20)
    await sender.publish(topic, b"before")
    await until(lambda: inbox.payloads == [b"before"])
    old = sender.nonce
    await asyncio.to_thread(own_broker.kill if kill else own_broker.stop)
    await until(lambda: sender.nonce is None and watcher.nonce is None)
    for number in range(20):
        began = time.monotonic()
        with pytest.raises(NotConnected):
            await sender.publish(topic, b"late %d" % number)
        assert time.monotonic() - began < 5.0  # the broker stays away for longer
    await asyncio.to_thread(own_broker.start)
    await until(lambda: sender.state is LinkState.UP and watcher.state is LinkState.UP)
    assert sender.nonce not in (None, old)
    assert len(set(nonces)) == len(nonces) >= 2
    await sender.publish(topic, b"after")
    await until(lambda: b"after" in inbox.payloads)
    assert inbox.payloads == [b"before", b"after"]


async def test_nothing_waits_in_the_broker_for_an_absent_subscriber(broker, make_link):
    """Clean sessions: an unlock published while the store is away is gone when it comes back."""
    inbox, topic = Recorder(), f"t/{random_nonce()}"

    async def hook(nonce: str) -> None:
        await store.subscribe([topic])

    slow = Backoff(uniform=lambda low, high: 0.3)  # seconds that it stays away
    store = make_link(broker, on_message=inbox, on_connected=hook, backoff=slow)
    cloud = make_link(broker)
    for link in (store, cloud):
        await link.start()
        await link.wait_up(20)
    store.drop()
    await until(lambda: store.nonce is None)
    await cloud.publish(topic, b"unlock")
    await until(lambda: store.state is LinkState.UP)
    await cloud.publish(topic, b"after")
    await until(lambda: b"after" in inbox.payloads)
    assert inbox.payloads == [b"after"]


async def test_900_kilobytes_pass_in_one_message(broker, make_link):
    """A whole desired document of a large store."""
    inbox, topic = Recorder(), f"t/{random_nonce()}"
    link = make_link(broker, on_message=inbox)
    await link.start()
    await link.wait_up(20)
    await link.subscribe([topic])
    await link.publish(topic, b"x" * 900_000)
    await until(lambda: inbox.messages)
    assert len(inbox.payloads[0]) == 900_000


async def test_a_wrong_password_is_tried_again_without_harm(tmp_path, make_link):
    users = 'authorization { users = [{user: "s", password: "right"}] }'
    with NatsBroker(tmp_path / "auth", extra_config=users) as guarded:
        wrong = make_link(guarded, endpoint={"username": "s", "password": "wrong"})
        right = make_link(guarded, endpoint={"username": "s", "password": "right"})
        await wrong.start()
        await right.start()
        await right.wait_up(20)
        await asyncio.sleep(0.2)
        assert wrong.state is not LinkState.UP
        with pytest.raises(NotConnected):
            await wrong.publish("t", b"x")


# paho leaves the socket of a failed handshake to the garbage collector, which closes it at once.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_tls_with_a_client_certificate(tmp_path, make_link):
    """Only the authority's broker is spoken to, and only with a certificate it gave."""
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    cert, key = ours.issue("127.0.0.1")
    tls = f'tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{ours.ca}", verify: true }}'
    client = ours.issue("store")
    with NatsBroker(tmp_path / "nats", mqtt_config=tls) as guarded:
        good = make_link(guarded, endpoint={"tls": Tls(ours.ca, *client)})
        wrong = [
            make_link(guarded, endpoint={"tls": Tls(theirs.ca, *client)}),
            make_link(guarded, endpoint={"tls": Tls(ours.ca, *theirs.issue("store"))}),
            make_link(guarded, endpoint={"tls": Tls(ours.ca)}),
            make_link(guarded, endpoint={"tls": Tls(tmp_path / "missing.pem")}),
            make_link(guarded),
        ]
        ups: list[LinkState] = []
        for link in wrong:
            link._on_state = lambda state: ups.append(state) if state is LinkState.UP else None
            await link.start()
        await good.start()
        await good.wait_up(20)
        await good.publish("t", b"x" * 100_000)
        first = good.nonce
        good.drop()
        await until(lambda: good.nonce not in (None, first))
        await until(lambda: good.state is LinkState.UP)
        await asyncio.sleep(0.3)
        assert not ups
        sock: Any = good._connection
        assert sock._client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
