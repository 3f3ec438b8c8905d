"""A signed command down and its answer up over each broker, as a ratio to bare paho on the same one.

    python -m benchmarks brokers [--count 1000]

Both sides of a ratio use the same broker process, TLS with client certificates, QoS 1 and
TCP_NODELAY; their round trips alternate, so that a noisy neighbour hits both. The floor is two paho
clients, one of which echoes; the subject adds what makes a command safe: signature and MAC, JSON
checked by models, expiry, nonce, journal of seen ids, asyncio on both ends.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.results import Measured
from store_link import topics
from store_link.link import Endpoint, random_client_id
from tests.brokers.parties import COMMAND_KEY, Cloud, Controller, sealed_command, until
from tests.brokers.sites import SITES, Site

ANSWER_S = 20


class BarePair:
    """The floor: what the broker itself and two plain clients take."""

    def __init__(self, near: Endpoint, far: Endpoint, store: str) -> None:
        self._down, self._up = topics.command(store), topics.ack(store, "bare")
        self._answers: queue.SimpleQueue[bytes | bytearray] = queue.SimpleQueue()
        self._near = self._client(near, self._up)
        self._far = self._client(far, self._down)
        self._near.on_message = lambda client, data, message: self._answers.put(message.payload)
        self._far.on_message = self._echo

    def round_trip_s(self, payload: bytes) -> float:
        began = time.perf_counter()
        self._near.publish(self._down, payload, qos=1)
        self._answers.get(timeout=ANSWER_S)
        return time.perf_counter() - began

    def close(self) -> None:
        for client in (self._near, self._far):
            client.disconnect()
            client.loop_stop()

    def _echo(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        client.publish(self._up, message.payload, qos=1)

    @staticmethod
    def _client(endpoint: Endpoint, wanted: str) -> mqtt.Client:
        assert endpoint.tls is not None
        assert endpoint.tls.cert is not None
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=random_client_id())
        context = ssl.create_default_context(cafile=str(endpoint.tls.ca))
        context.load_cert_chain(endpoint.tls.cert, endpoint.tls.key)
        client.tls_set_context(context)
        ready: queue.SimpleQueue[int] = queue.SimpleQueue()

        def no_delay(c: mqtt.Client, data: Any, sock: Any) -> None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        client.on_socket_open = no_delay
        client.on_connect = lambda c, u, f, reason, p: c.subscribe(wanted, 1)
        client.on_subscribe = lambda c, u, mid, reasons, p: ready.put(mid)
        host, port = endpoint.addresses()[0]
        client.connect(host, port)
        client.loop_start()
        ready.get(timeout=ANSWER_S)
        return client


async def measure(site: Site, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each round trip: (floor, ours)."""
    store = Controller(site, await site.enrol())
    cloud = Cloud(site)
    await store.up()
    await cloud.up()
    await until(lambda: cloud.presence.online(store.store), "presence")
    plain = await site.enrol()
    near, far = site.cloud_endpoint(), site.store_endpoint(plain)
    bare = await asyncio.to_thread(BarePair, near, far, plain.store)
    size = len(sealed_command(cloud.command(store.store, store.side.nonce or "")))
    floor: list[float] = []
    ours: list[float] = []
    for at in range(count + 50):
        floor.append(1e3 * await asyncio.to_thread(bare.round_trip_s, b"x" * size))
        command = cloud.command(store.store, store.side.nonce or "")
        answered = asyncio.get_running_loop().create_future()
        cloud.expect(command.id, answered)
        began = time.perf_counter()
        await cloud.side.send_command(command, COMMAND_KEY, timeout_s=ANSWER_S)
        await asyncio.wait_for(answered, ANSWER_S)
        ours.append((time.perf_counter() - began) * 1e3)
        if at == 49:  # warm now
            floor.clear()
            ours.clear()
    await asyncio.to_thread(bare.close)
    await store.down()
    await cloud.side.stop()
    return floor, ours


def measured(count: int | None) -> Iterator[Measured]:
    """Over each broker."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    for kind, make in SITES.items():
        with tempfile.TemporaryDirectory() as folder:
            site = make(Path(folder) / kind)
            site.start()
            try:
                floor, ours = asyncio.run(measure(site, count or 1000))
            finally:
                site.stop()
        yield Measured.of(
            f"signed command and answer, {kind}",
            "ms",
            ours,
            floor,
            against="bare paho pair over the same TLS broker",
        )
