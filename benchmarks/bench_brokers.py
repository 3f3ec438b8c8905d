"""A signed command down and its answer up over each broker, as a ratio to bare paho on the same one.

    python -m benchmarks.bench_brokers [--count 1000] [--brokers nats,mosquitto,cluster]

Both sides of a ratio use the same broker process, TLS with client certificates, QoS 1 and
TCP_NODELAY; their round trips alternate, so that a noisy neighbour hits both. The floor is two paho
clients, one of which echoes; the subject adds what makes a command safe: signature and MAC, JSON
checked by models, expiry, nonce, journal of seen ids, asyncio on both ends.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import queue
import socket
import ssl
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion

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
    """Seconds of each round trip: (floor, ours)."""
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
        floor.append(await asyncio.to_thread(bare.round_trip_s, b"x" * size))
        command = cloud.command(store.store, store.side.nonce or "")
        answered = asyncio.get_running_loop().create_future()
        cloud.expect(command.id, answered)
        began = time.perf_counter()
        await cloud.side.send_command(command, COMMAND_KEY, timeout_s=ANSWER_S)
        await asyncio.wait_for(answered, ANSWER_S)
        ours.append(time.perf_counter() - began)
        if at == 49:  # warm now
            floor.clear()
            ours.clear()
    await asyncio.to_thread(bare.close)
    await store.down()
    await cloud.side.stop()
    return floor, ours


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--brokers", default=",".join(SITES))
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"command → ack, QoS 1, TLS, n = {given.count} each, alternating; ms")
    print(f"{'broker':<12}{'floor p50':>10}{'p99':>8}{'ours p50':>10}{'p99':>8}{'ratio p50':>11}")
    for kind in given.brokers.split(","):
        with tempfile.TemporaryDirectory() as folder:
            site = SITES[kind](Path(folder) / kind)
            site.start()
            try:
                floor, ours = asyncio.run(measure(site, given.count))
            finally:
                site.stop()
        low, high = ([cuts[49] * 1e3, cuts[98] * 1e3] for cuts in _cuts(floor, ours))
        print(
            f"{kind:<12}{low[0]:>10.2f}{low[1]:>8.2f}{high[0]:>10.2f}{high[1]:>8.2f}"
            f"{high[0] / low[0]:>11.2f}",
            flush=True,
        )


def _cuts(*samples: list[float]) -> list[list[float]]:
    return [statistics.quantiles(one, n=100) for one in samples]


if __name__ == "__main__":
    main()
