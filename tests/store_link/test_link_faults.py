"""The link against a broker that fails at the worst byte. Nothing may be sent late or twice."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from store_link.link import (
    Backoff,
    LinkState,
    MqttLink,
    NotConfirmed,
    NotConnected,
    SubscriptionRefused,
    Will,
    random_client_id,
)
from tests.store_link.conftest import Recorder, until
from tests.store_link.fake_broker import packet


def link_threads() -> int:
    return sum("mqtt" in thread.name for thread in threading.enumerate())


async def test_a_publish_cut_before_its_ack_is_not_sent_again(fake, make_link):
    """The unlock that a broker took without confirming must not be repeated on reconnection."""
    fake.on_publish = lambda published: "drop"
    link = make_link(fake)
    await link.start()
    await link.wait_up(20)
    nonce = link.nonce
    with pytest.raises(NotConfirmed):
        await link.publish("t", b"unlock")
    fake.on_publish = lambda published: "ack"
    await until(lambda: link.state is LinkState.UP and link.nonce != nonce)
    await link.publish("t", b"after")
    assert [one.payload for one in fake.published] == [b"unlock", b"after"]
    assert not any(one.dup for one in fake.published)


async def test_negative_control_a_client_that_reconnects_by_itself_sends_it_again(fake):
    """What the link avoids, shown with paho as it comes: the same fake sees the message twice."""
    fake.on_publish = lambda published: "drop" if len(fake.published) == 1 else "ack"
    client = mqtt.Client(CallbackAPIVersion.VERSION2, clean_session=True)
    client.reconnect_delay_set(1, 1)
    await asyncio.to_thread(client.connect, "127.0.0.1", fake.port)
    client.loop_start()
    try:
        await until(client.is_connected)
        client.publish("t", b"unlock", qos=1)
        await until(lambda: len(fake.published) == 2, "paho sends again")
        assert [one.payload for one in fake.published] == [b"unlock", b"unlock"]
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)


async def test_many_in_flight_are_all_given_up_when_the_connection_drops(fake, make_link):
    """More than paho's usual 20 in flight: none may wait inside the client."""
    fake.on_publish = lambda published: "silent"
    link = make_link(fake)
    await link.start()
    await link.wait_up(20)
    sending = [asyncio.create_task(link.publish("t", b"%d" % number)) for number in range(100)]
    await until(lambda: len(fake.published) == 100, "all were written at once")
    fake.cut()
    results = await asyncio.gather(*sending, return_exceptions=True)
    assert all(isinstance(result, NotConfirmed) for result in results)
    fake.on_publish = lambda published: "ack"
    await until(lambda: len(fake.lives) > 1 and link.state is LinkState.UP)
    await link.publish("t", b"after")
    assert [one.payload for one in fake.lives[-1].published] == [b"after"]


async def test_a_publish_while_disconnected_raises_at_once_and_never_arrives(fake, make_link):
    fake.welcome = None  # the port answers, the broker does not
    link = make_link(fake)
    with pytest.raises(NotConnected):
        await link.publish("t", b"before start")
    await link.start()
    await until(lambda: fake.lives, "dialled")
    for qos in (0, 1):
        with pytest.raises(NotConnected):
            await link.publish("t", b"while dialling", qos=qos)
    with pytest.raises(NotConnected):
        await link.subscribe(["t"])
    fake.welcome = 0
    fake.cut()
    await link.wait_up(20)
    await link.publish("t", b"now")
    assert [one.payload for one in fake.published] == [b"now"]
    await link.stop()
    with pytest.raises(NotConnected):
        await link.publish("t", b"after stop")


async def test_a_broker_that_does_not_confirm_in_time(fake, make_link):
    fake.on_publish = lambda published: "silent"
    link = make_link(fake)
    await link.start()
    await link.wait_up(20)
    with pytest.raises(NotConfirmed):
        await link.publish("t", b"x", timeout_s=0.05)
    assert link.state is LinkState.UP
    assert len(fake.published) == 1


async def test_what_is_said_on_connecting(fake, make_link):
    link = make_link(
        fake,
        endpoint={"username": "u", "password": "p"},
        will=lambda nonce: Will("w", nonce.encode(), retain=True),
    )
    await link.start()
    await link.wait_up(20)
    first = fake.lives[0]
    assert first.clean
    assert first.keepalive_s == 15
    assert first.username == "u"
    assert first.will_topic == "w"
    assert first.will_payload == (link.nonce or "").encode()
    assert len(first.client_id) == 23
    assert first.client_id.isalnum()
    fake.cut()
    await until(lambda: len(fake.lives) == 2 and link.state is LinkState.UP)
    assert fake.lives[1].client_id == first.client_id  # so that a half-dead connection is replaced
    assert fake.lives[1].will_payload != first.will_payload
    assert len({random_client_id() for _ in range(100)}) == 100


async def test_nagle_is_off(fake, make_link):
    link = make_link(fake)
    await link.start()
    await link.wait_up(20)
    sock = link._connection._client.socket()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    "raw",
    [
        packet(0x30, b""),  # PUBLISH without a topic's length
        packet(0x30, struct.pack(">H", 500) + b"t"),  # a topic longer than the packet
        packet(0x30, b"\x00\x02\xff\xfe" + b"payload"),  # a topic that is no UTF-8
        packet(0x40, b"\x00"),  # half a PUBACK
        packet(0x90, b""),  # an empty SUBACK
        b"\xf0\xff\xff\xff\xff\xff",  # a length that never ends
        bytes(range(256)),
    ],
    ids=["empty", "overlong", "no-utf8", "half-puback", "empty-suback", "endless", "noise"],
)
async def test_garbage_from_the_broker_never_ends_the_link(fake, make_link, raw):
    """paho's thread dies of some of these; the link must come back or not have noticed."""
    inbox = Recorder()
    link = make_link(fake, on_message=inbox)
    await link.start()
    await link.wait_up(20)
    fake.say(raw)
    fake.tell("t", b"swallowed or not")
    with contextlib.suppress(NotConnected, NotConfirmed):
        await link.publish("t", b"probe", timeout_s=0.3)
    if link.state is LinkState.UP:
        link.drop()  # an unfinished packet may have swallowed what followed
    await until(lambda: len(fake.lives) > 1 and link.state is LinkState.UP, "is back")
    fake.tell("t", b"fine")
    await until(lambda: b"fine" in inbox.payloads, "still hears")
    await link.publish("t", b"speaks")
    assert fake.published[-1].payload == b"speaks"


async def test_a_handler_that_raises_is_logged_and_the_next_message_comes(fake, make_link):
    seen: list[bytes] = []

    async def handler(topic: str, payload: bytes, retained: bool) -> None:
        seen.append(payload)
        if payload == b"cancel":
            raise asyncio.CancelledError
        if payload != b"fine":
            raise ValueError(payload)

    link = make_link(fake, on_message=handler)
    await link.start()
    await link.wait_up(20)
    sent = [b"bad", b"cancel", b"bad again", b"fine"]
    for payload in sent:
        fake.tell("t", payload)
    await until(lambda: seen == sent)
    assert len(fake.lives) == 1


async def test_messages_are_handled_one_by_one_in_order(fake, make_link):
    seen: list[bytes] = []
    busy = 0

    async def handler(topic: str, payload: bytes, retained: bool) -> None:
        nonlocal busy
        busy += 1
        assert busy == 1
        await asyncio.sleep(0)
        seen.append(payload)
        busy -= 1

    link = make_link(fake, on_message=handler)
    await link.start()
    await link.wait_up(20)
    sent = [b"%d" % number for number in range(500)]
    for payload in sent:
        fake.tell("t", payload)
    await until(lambda: len(seen) == 500)
    assert seen == sent


async def test_a_flood_is_dropped_and_counted_not_stored_without_end(fake, make_link):
    gate, seen = asyncio.Event(), Recorder()

    async def handler(topic: str, payload: bytes, retained: bool) -> None:
        await gate.wait()
        await seen(topic, payload, retained)

    link = make_link(fake, on_message=handler, max_waiting=10)
    await link.start()
    await link.wait_up(20)
    fake.tell("t", b"first")
    for number in range(50):
        fake.tell("t", b"%d" % number)
    await until(lambda: link.dropped >= 39)
    gate.set()
    await until(lambda: len(seen.messages) + link.dropped == 51)
    fake.tell("t", b"later")
    await until(lambda: seen.payloads[-1] == b"later")


async def test_a_refused_subscription_is_told(fake, make_link):
    fake.suback = 0x80
    link = make_link(fake)
    await link.start()
    await link.wait_up(20)
    with pytest.raises(SubscriptionRefused):
        await link.subscribe(["foreign/#"])


async def test_a_refused_connection_is_tried_again(fake, make_link):
    fake.welcome = 5
    link = make_link(fake)
    await link.start()
    await until(lambda: len(fake.lives) >= 3)
    assert link.nonce is None
    fake.welcome = 0
    await link.wait_up(20)


async def test_a_hook_that_fails_or_hangs_gives_the_connection_up(fake, make_link):
    behaviour = ["raise", "cancel", "hang", "work"]
    nonces: list[str] = []

    async def hook(nonce: str) -> None:
        nonces.append(nonce)
        match behaviour.pop(0):
            case "raise":
                raise RuntimeError("no")
            case "cancel":
                raise asyncio.CancelledError
            case "hang":
                await asyncio.Event().wait()

    link = make_link(fake, on_connected=hook, setup_timeout_s=0.1)
    await link.start()
    await link.wait_up(30)
    assert not behaviour
    assert len(set(nonces)) == 4
    assert link.nonce == nonces[-1]


async def test_a_hook_does_not_outlive_its_connection(fake, make_link):
    """A slow hook of the first connection must not announce itself on the second."""
    gate = asyncio.Event()
    done: list[str] = []

    async def hook(nonce: str) -> None:
        if len(fake.lives) == 1:
            await gate.wait()
        done.append(nonce)

    link = make_link(fake, on_connected=hook)
    await link.start()
    await until(lambda: link.nonce)
    first = link.nonce
    fake.cut()
    await link.wait_up(20)
    gate.set()
    await asyncio.sleep(0)
    assert done == [link.nonce]
    assert first not in done


async def test_a_will_that_cannot_be_made_does_not_end_the_link(fake, make_link):
    tries = iter([True, True, False])

    def will(nonce: str) -> Will:
        if next(tries):
            raise RuntimeError("no key yet")
        return Will("w", b"")

    link = make_link(fake, will=will)
    await link.start()
    await link.wait_up(20)


async def test_states_are_told_and_a_bad_listener_does_no_harm(fake, make_link):
    states: list[LinkState] = []

    def listen(state: LinkState) -> None:
        states.append(state)
        raise RuntimeError("listener")

    link = make_link(fake, on_state=listen)
    await link.start()
    await link.wait_up(20)
    fake.cut()
    await until(lambda: states.count(LinkState.UP) == 2)
    await link.stop()
    once = [LinkState.CONNECTING, LinkState.UP, LinkState.DOWN]
    assert states == once * 2


async def test_stop_says_goodbye_and_leaves_no_thread(fake, make_link):
    before = link_threads()
    link = make_link(fake)
    await link.start()
    await link.wait_up(20)
    assert link_threads() > before
    await link.stop()
    await link.stop()
    await until(lambda: link_threads() == before)  # paho's thread has a last turn of its loop
    await until(lambda: fake.lives[0].closed)
    assert fake.lives[0].goodbye
    with pytest.raises(RuntimeError):
        await link.start()


async def test_stop_while_dialling_ends_soon_and_hangs_up(fake, make_link):
    fake.welcome = None
    before = link_threads()
    link = make_link(fake)
    await link.start()
    await until(lambda: fake.lives)
    await link.stop()
    await until(lambda: all(life.closed for life in fake.lives))
    await until(lambda: link_threads() == before)


async def test_a_broker_that_never_welcomes_is_left(fake, make_link):
    fake.welcome = None
    link = make_link(fake, endpoint={"connect_timeout_s": 0.05})
    await link.start()
    await until(lambda: len(fake.lives) >= 3)
    fake.welcome = 0
    await link.wait_up(20)
    await until(lambda: all(life.closed for life in fake.lives[:-1]))


async def test_a_broker_that_swallows_a_first_try_is_asked_again_soon(fake, make_link):
    """One that starts takes a connection and never answers on it; the next is answered."""
    fake.welcome = None
    link = make_link(fake, backoff=Backoff(base_s=0.01, patience_s=0.2))
    await link.start()
    await until(lambda: len(fake.lives) >= 1)
    fake.welcome = 0
    await link.wait_up(8)  # the longest it would wait for one answer is 10 s


async def test_patience_grows_until_a_slow_broker_has_answered(fake, make_link):
    fake.welcome = None
    link = make_link(fake, backoff=Backoff(base_s=0.001, patience_s=0.02))
    await link.start()
    await until(lambda: len(fake.lives) >= 4)
    assert link._backoff.patience(link._failed) >= 0.16
    fake.welcome = 0
    await link.wait_up(20)
    assert link._failed == 0


async def test_delays_grow_with_full_jitter_and_start_again_after_a_stable_time():
    asked: list[tuple[float, float]] = []

    def top(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    backoff = Backoff(base_s=1, cap_s=30, uniform=top)
    assert [backoff.delay(number) for number in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert backoff.delay(10_000) == 30
    assert {low for low, _ in asked} == {0.0}
    assert all(0 <= Backoff().delay(number) <= 30 for number in range(50))


@pytest.mark.parametrize(("stable_s", "expected"), [(0.0, {0.02}), (3600.0, {0.02, 0.04, 0.08})])
async def test_only_a_connection_that_stood_resets_the_delays(fake, make_link, stable_s, expected):
    asked: list[float] = []

    def note(low: float, high: float) -> float:
        asked.append(high)
        return 0.0

    link: MqttLink = make_link(
        fake, backoff=Backoff(base_s=0.02, cap_s=0.08, stable_s=stable_s, uniform=note)
    )
    await link.start()
    for number in range(1, 5):
        await until(lambda: len(fake.lives) == number and link.state is LinkState.UP)  # noqa: B023
        fake.cut()
    await until(lambda: len(asked) >= 4)
    assert set(asked) == expected
