"""A QoS 1 round trip through the embedded broker, with Nagle's algorithm on and off at the client.

The 44 ms of the first line are why every connection of ours sets TCP_NODELAY.
"""

from __future__ import annotations

import queue
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.results import Measured
from benchmarks.timing import measure
from tests.support.nats import NatsBroker

_ANSWER_S = 10


def _client(broker: NatsBroker, topic: str, *, nodelay: bool) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    subscribed = threading.Event()

    def on_open(_client: mqtt.Client, _userdata: Any, sock: Any) -> None:
        if nodelay:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    client.on_socket_open = on_open

    def on_connect(*_: Any) -> None:
        client.subscribe(topic, 1)

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect(broker.host, broker.mqtt_port)
    client.loop_start()
    if not subscribed.wait(_ANSWER_S):
        raise TimeoutError("the broker did not confirm the subscription")
    return client


def _round_trips(broker: NatsBroker, times: int, *, nodelay: bool) -> list[float]:
    answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    store = _client(broker, "bench/down", nodelay=nodelay)

    def answer(client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        client.publish("bench/up", message.payload, 1)

    store.on_message = answer
    cloud = _client(broker, "bench/up", nodelay=nodelay)
    cloud.on_message = lambda _c, _u, message: answers.put(bytes(message.payload))

    def ask() -> None:
        cloud.publish("bench/down", b"x" * 200, 1)
        answers.get(timeout=_ANSWER_S)

    try:
        return measure(ask, times, warm_up=5)
    finally:
        for client in (store, cloud):
            client.disconnect()
            client.loop_stop()


def measured(count: int | None) -> Iterator[Measured]:
    """With Nagle's algorithm and without."""
    with tempfile.TemporaryDirectory() as folder, NatsBroker(Path(folder)) as broker:
        for name, times, nodelay in (
            ("command and answer, sockets as they come", 50, False),
            ("command and answer, TCP_NODELAY", count or 500, True),
        ):
            yield Measured.of(name, "ms", _round_trips(broker, times, nodelay=nodelay))
