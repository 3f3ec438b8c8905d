"""One connection to a broker, from dial to end: paho's thread on one side, asyncio on the other.

A paho client keeps what was not acknowledged and sends it again when it reconnects; an unlock must
never travel that way. So a client serves for one connection, is never told to reconnect, and is
thrown away with everything that it still holds. Its network thread may die of a malformed packet or
of an exception in a callback; whatever ends it, ``closed`` is resolved.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

log = structlog.get_logger(__name__)

LOOKUP_TIMES = (
    4  # connect_timeout_s: a lookup that finds dead name servers first, and dead addresses
)
Deliver = Callable[[str, bytes, bool], None]  # called on the network thread


class LinkError(Exception):
    """Base of what a link raises."""


class NotConnected(LinkError):
    """There is no connection; nothing was handed over, nothing will be sent later."""


class NotConfirmed(LinkError):
    """It was sent, or may have been, and the broker did not confirm it. It is not sent again."""


class SubscriptionRefused(LinkError):
    """The broker does not allow a subscription."""


class DialFailed(LinkError):
    """No connection came about; the text says why, for a log."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates as PEM files, read again for each connection, so that renewed ones are used."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the broker is and how to prove who we are. Times in seconds.

    ``host`` may name the nodes of a cluster, separated by commas, each with a port of its own where
    it differs (``a,b,c`` or ``a:8883,b:8884``). They are tried in turn, beginning anywhere, so that
    a thousand stores spread by themselves.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    keepalive_s: int = 15
    connect_timeout_s: float = 5.0

    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each node, in the order in which ``host`` names them."""
        return [(host, port or self.port) for host, port in _nodes(self.host)]


def hosts_in(text: str) -> list[str]:
    """The hosts that a list of nodes names, without their ports."""
    return [host for host, _ in _nodes(text)]


def _nodes(text: str) -> list[tuple[str, int | None]]:
    found: list[tuple[str, int | None]] = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        host, colon, port = one.rpartition(":")
        if colon and ":" not in host and port.isdigit():  # an IPv6 address has more colons
            found.append((host, int(port)))
        else:
            found.append((one, None))
    return found


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when the connection ends without a goodbye (QoS 1)."""

    topic: str
    payload: bytes
    retain: bool = False


class _Client(mqtt.Client):
    """paho's client, whose network thread reports its end whatever ended it."""

    on_thread_end: Callable[[], None] | None = None

    def loop_forever(
        self, timeout: float = 1.0, retry_first_connection: bool = False
    ) -> MQTTErrorCode:
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception:
            log.exception("mqtt_thread_failed")
            return MQTTErrorCode.MQTT_ERR_UNKNOWN
        finally:
            if self.on_thread_end is not None:
                self.on_thread_end()


class Connection:
    """One life of a connection. Use from the event loop it was made on; never twice."""

    def __init__(
        self, endpoint: Endpoint, client_id: str, will: Will | None, deliver: Deliver
    ) -> None:
        self._endpoint = endpoint
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._dialled: asyncio.Future[None] = self._loop.create_future()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[str] = self._loop.create_future()  # why it ended
        self._waiting: dict[int, asyncio.Future[bool]] = {}  # by packet id: was it accepted
        self._answers: deque[tuple[int, bool]] = deque()  # that came, for the event loop
        self._called = False  # the event loop, to look at them
        self._guard = threading.Lock()
        self._abandoned = False  # under the guard
        self._running = False  # under the guard: paho's thread was started
        self._why = "connection lost"
        self.reached = False  # whether somebody answered at the other end, whatever came of it
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=True,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client.suppress_exceptions = True
        client.max_inflight_messages_set(0)  # no limit: the client must not hold anything back
        client.connect_timeout = endpoint.connect_timeout_s
        if endpoint.username is not None:
            client.username_pw_set(endpoint.username, endpoint.password)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        client.on_socket_open = _no_delay
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_thread_end = self._on_thread_end
        self._client = client

    # ------------------------------------------------------------------------------ event loop side

    async def open(self, patience_s: float) -> None:
        """Dial, then wait for the broker's welcome, each ``patience_s`` at most. Raises DialFailed.

        A name server that is down is asked in vain for seconds before the next one is, and an address that
        is dead is tried before one that lives: neither is the broker's fault, and dialling may take longer
        than its welcome. It happens on a thread, and no socket's time-out bounds the lookup of a name.
        """
        threading.Thread(target=self._dial, name="mqtt-dial", daemon=True).start()
        timeout_s, nodes = self._endpoint.connect_timeout_s, len(self._endpoint.addresses())
        try:
            async with asyncio.timeout(min(LOOKUP_TIMES * (1 + nodes) * timeout_s, patience_s)):
                await asyncio.shield(self._dialled)
            async with asyncio.timeout(min((1 + nodes) * timeout_s, patience_s)):
                await asyncio.shield(self._opened)
        except TimeoutError:
            raise DialFailed("no answer in time") from None

    async def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, timeout_s: float
    ) -> None:
        """Raises NotConnected or NotConfirmed; QoS 0 is not confirmed and returns at once."""
        self._must_be_open()
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise NotConnected("the connection was just lost")
        if qos:
            await self._confirmed(info.mid, timeout_s)

    def hand_over(self, topic: str, payload: bytes) -> None:
        """Send with QoS 1, and wait for nothing. Raises NotConnected."""
        self._must_be_open()
        info = self._client.publish(topic, payload, qos=1)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise NotConnected("the connection was just lost")

    async def subscribe(self, filters: Iterable[str], qos: int, timeout_s: float) -> None:
        """Raises NotConnected, NotConfirmed or SubscriptionRefused."""
        self._must_be_open()
        rc, mid = self._client.subscribe([(one, qos) for one in filters])
        if rc != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise NotConnected("the connection was just lost")
        if not await self._confirmed(mid, timeout_s):
            raise SubscriptionRefused("the broker does not allow this subscription")

    async def unsubscribe(self, filters: Iterable[str], timeout_s: float) -> None:
        """Raises NotConnected or NotConfirmed."""
        self._must_be_open()
        rc, mid = self._client.unsubscribe(list(filters))
        if rc != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise NotConnected("the connection was just lost")
        await self._confirmed(mid, timeout_s)

    def drop(self) -> None:
        """End it without a goodbye: the broker will publish the will."""
        sock: Any = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    async def close(self, timeout_s: float = 2.0) -> None:
        """End it with a goodbye where it still stands; returns when the thread has ended."""
        with self._guard:
            self._abandoned = True
            if not self._running:
                return  # a thread that still dials sees that nobody waits, and hangs up by itself
        for goodbye in (self._client.disconnect, self.drop):
            if self.closed.done():
                return
            goodbye()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await asyncio.shield(self.closed)

    def _must_be_open(self) -> None:
        if self.closed.done() or not self._opened.done():
            raise NotConnected("there is no connection")

    async def _confirmed(self, mid: int, timeout_s: float) -> bool:
        """Wait for the broker's answer to packet ``mid``.

        No await lies between handing the packet over and this registration, and answers come by
        ``call_soon_threadsafe``: none can be missed.
        """
        future: asyncio.Future[bool] = self._loop.create_future()
        self._waiting[mid] = future
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise NotConfirmed("the broker did not confirm in time") from None
        finally:
            self._waiting.pop(mid, None)

    def _answer(self) -> None:
        self._called = False
        while self._answers:
            mid, accepted = self._answers.popleft()
            future = self._waiting.get(mid)
            if future is not None and not future.done():
                future.set_result(accepted)

    def _opened_ok(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _reached(self) -> None:
        if not self._dialled.done():
            self._dialled.set_result(None)

    def _ended(self, why: str) -> None:
        for awaited in (self._dialled, self._opened):
            if not awaited.done():
                awaited.set_exception(DialFailed(why))
                awaited.exception()  # looked at: nobody may be waiting any more
        if not self.closed.done():
            self.closed.set_result(why)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NotConfirmed("the connection was lost before confirmation"))

    # --------------------------------------------------------------------------- other threads' side

    def _post(self, function: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody cares
            self._loop.call_soon_threadsafe(function, *args)

    def _answered(self, mid: int, accepted: bool) -> None:
        """One call wakes the event loop for all answers that come until it looks."""
        self._answers.append((mid, accepted))
        if not self._called:
            self._called = True
            self._post(self._answer)

    def _dial(self) -> None:
        client, endpoint = self._client, self._endpoint
        try:
            if endpoint.tls is not None:
                client.tls_set_context(_context(endpoint.tls))
            self._connect_to_any(endpoint)
            self.reached = True
            self._post(self._reached)
        except (OSError, ValueError) as error:
            self._post(self._ended, f"{type(error).__name__}: {error}")
            return
        except Exception:
            log.exception("mqtt_dial_failed")
            self._post(self._ended, "unexpected error")
            return
        with self._guard:
            if not self._abandoned:
                self._running = True
                client.loop_start()
                return
        client.disconnect()
        self._post(self._ended, "no longer wanted")

    def _connect_to_any(self, endpoint: Endpoint) -> None:
        """The first node that answers. Raises the last one's error if none does."""
        nodes = endpoint.addresses()
        if not nodes:
            raise ValueError("the broker's host is empty")
        first = random.randrange(len(nodes))
        for left, (host, port) in enumerate(nodes[first:] + nodes[:first], start=1 - len(nodes)):
            try:
                self._client.connect(host, port, endpoint.keepalive_s)
            except OSError:
                if left == 0 or self._abandoned:
                    raise
            else:
                return

    def _on_thread_end(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()
        self._post(self._ended, self._why)

    def _on_connect(
        self, client: mqtt.Client, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            self._why = f"refused by the broker: {reason}"
        else:
            self._post(self._opened_ok)

    def _on_disconnect(
        self, client: mqtt.Client, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if self._why == "connection lost":
            self._why = str(reason)

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        try:
            self._deliver(message.topic, bytes(message.payload), message.retain)
        except Exception:  # a topic that is no UTF-8 raises here
            log.exception("mqtt_message_dropped")

    def _on_publish(
        self, client: mqtt.Client, userdata: Any, mid: int, reason: Any, properties: Any
    ) -> None:
        self._answered(mid, True)

    def _on_subscribe(
        self, client: mqtt.Client, userdata: Any, mid: int, reasons: Any, properties: Any
    ) -> None:
        self._answered(mid, not any(reason.is_failure for reason in reasons))

    def _on_unsubscribe(
        self, client: mqtt.Client, userdata: Any, mid: int, reasons: Any, properties: Any
    ) -> None:
        self._answered(mid, True)


def _no_delay(client: mqtt.Client, userdata: Any, sock: Any) -> None:
    """Without it Nagle's algorithm and delayed ACKs stall every round trip for 44 ms."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(tls.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context
