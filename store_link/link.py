"""A link to a broker that comes back by itself and never sends anything late.

Each connection has a fresh nonce and a fresh paho client (see connection.py). While there is no
connection, ``publish`` raises at once: nothing is queued, here or in the library. Sessions are
clean: nothing waits in the broker either.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import string
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from store_link.connection import (
    Connection,
    DialFailed,
    Endpoint,
    LinkError,
    NotConfirmed,
    NotConnected,
    SubscriptionRefused,
    Tls,
    Will,
)

__all__ = [
    "Backoff",
    "DialFailed",
    "Endpoint",
    "LinkError",
    "LinkState",
    "MqttLink",
    "NotConfirmed",
    "NotConnected",
    "SubscriptionRefused",
    "Tls",
    "Will",
    "random_client_id",
    "random_nonce",
]

log = structlog.get_logger(__name__)

MessageHandler = Callable[[str, bytes, bool], Awaitable[None]]
MAX_WAITING = 10_000
REFUSALS = 3  # of a subscription while the link comes up, until it is believed
REFUSED_REST_S = 0.2


class LinkState(StrEnum):
    """How a link stands. UP means connected and set up by ``on_connected``."""

    DOWN = "down"
    CONNECTING = "connecting"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays with full jitter, so that a thousand stores do not come back together.

    ``delay(n)`` is anything from 0 to ``min(cap_s, base_s * 2**n)`` seconds. A connection that
    stood for ``stable_s`` seconds starts the row again.

    ``patience(n)`` is how long a broker may take to answer while the link comes up: little at first,
    since one that was asked while it started itself may never answer, and twice as much after each
    time it was not enough, since a cluster that has just lost a node needs seconds for each filter.
    """

    base_s: float = 1.0
    cap_s: float = 30.0
    stable_s: float = 30.0
    patience_s: float = 4.0
    uniform: Callable[[float, float], float] = random.uniform

    def delay(self, attempt: int) -> float:
        """Seconds to wait before the next attempt, after ``attempt`` failed ones (from 0)."""
        return self.uniform(0.0, min(self.cap_s, self.base_s * 2.0 ** min(attempt, 30)))

    def patience(self, failed: int) -> float:
        """Seconds for one answer, after ``failed`` connections in a row that did not come up."""
        return self.patience_s * 2.0 ** min(failed, 30)


def random_client_id() -> str:
    """23 letters and digits (the form that every broker must accept), 130 bits of randomness.

    A client id is a secret: who knows it can throw its owner off the broker.
    """
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(23))


def random_nonce() -> str:
    """The name of one connection: 128 bits of randomness."""
    return secrets.token_urlsafe(16)


class MqttLink:
    """A self-healing link. Use on one event loop: ``start``, then ``publish``, at last ``stop``.

    - ``on_message(topic, payload, retained)`` is awaited for one message after the other, in the
      order of arrival; what it raises is logged. Over ``max_waiting`` unhandled messages, new ones
      are dropped and counted in ``dropped``: every plane of the wire survives that.
    - ``on_connected(nonce)`` is awaited on each new connection: subscribe, then publish presence.
      If it raises or takes longer than ``setup_timeout_s`` the connection is given up.
    - ``will(nonce)`` is called for each attempt to connect.
    - ``on_state`` hears of each change of ``state``.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        on_message: MessageHandler,
        on_connected: Callable[[str], Awaitable[None]] | None = None,
        will: Callable[[str], Will] | None = None,
        on_state: Callable[[LinkState], None] | None = None,
        backoff: Backoff | None = None,
        client_id: str | None = None,
        setup_timeout_s: float = 30.0,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._endpoint = endpoint
        self._on_message = on_message
        self._on_connected = on_connected
        self._will = will
        self._on_state = on_state
        self._backoff = backoff or Backoff()
        self._client_id = client_id or random_client_id()
        self._setup_timeout_s = setup_timeout_s
        self._max_waiting = max_waiting
        self._connection: Connection | None = None
        self._nonce: str | None = None
        self._state = LinkState.DOWN
        self._up = asyncio.Event()
        self._inbox: deque[tuple[str, bytes, bool]] = deque()
        self._arrived = asyncio.Event()
        self._called = False  # the event loop, to look at what arrived: once until it does
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failed = 0  # connections in a row that did not come up
        self.dropped = 0
        self.reached = False  # at the last try somebody answered, whether or not a link came of it

    @property
    def state(self) -> LinkState:
        """How the link stands now."""
        return self._state

    @property
    def nonce(self) -> str | None:
        """The present connection's nonce; None while there is no connection."""
        return self._nonce

    async def start(self) -> None:
        """Begin to connect; returns at once. Raises RuntimeError when started before."""
        if self._tasks:
            raise RuntimeError("this link was started before: make a new one")
        self._loop = asyncio.get_running_loop()
        self._tasks = [
            asyncio.create_task(self._run(), name="mqtt-link"),
            asyncio.create_task(self._hand_on(), name="mqtt-inbox"),
        ]

    async def stop(self) -> None:
        """Say goodbye (so no will is published) and end. May be called twice."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._set_state(LinkState.DOWN)

    async def wait_up(self, timeout_s: float | None = None) -> None:
        """Return once the link is up. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            await self._up.wait()

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        timeout_s: float = 5.0,
    ) -> None:
        """Send one message; with QoS 1, return once the broker has confirmed it.

        Raises NotConnected at once, with nothing handed over, while there is no connection; and
        NotConfirmed where it may or may not have arrived. It is never sent a second time.
        """
        await self._present().publish(topic, payload, qos, retain, timeout_s)

    def hand_over(self, topic: str, payload: bytes) -> None:
        """Send one message with QoS 1 without waiting until the broker has it: for what is said again
        anyway where it was not heard.

        Raises NotConnected, with nothing handed over. It is never sent a second time.
        """
        self._present().hand_over(topic, payload)

    async def subscribe(
        self, filters: Iterable[str], *, qos: int = 1, timeout_s: float = 20.0
    ) -> None:
        """Subscribe on this connection; do it again from ``on_connected`` on the next.

        While the link comes up the answer is waited for twice as long as ``Backoff.patience`` says, and
        at most ``timeout_s``, and a refusal is asked about again: a cluster that has just lost a node
        refuses what it finds no leader for in time, and a new connection would begin at the beginning.

        Raises NotConnected, NotConfirmed or SubscriptionRefused (some brokers accept what they
        then filter: silence is not permission).
        """
        if self._state is not LinkState.CONNECTING:
            await self._present().subscribe(filters, qos, timeout_s)
            return
        timeout_s = min(timeout_s, 2 * self._backoff.patience(self._failed))
        wanted = list(filters)
        for left in reversed(range(REFUSALS)):
            try:
                await self._present().subscribe(wanted, qos, timeout_s)
                return
            except SubscriptionRefused:
                if not left:
                    raise
                await asyncio.sleep(REFUSED_REST_S)

    async def unsubscribe(self, filters: Iterable[str], *, timeout_s: float = 5.0) -> None:
        """Raises NotConnected or NotConfirmed."""
        await self._present().unsubscribe(filters, timeout_s)

    def drop(self) -> None:
        """Cut the present connection without a goodbye; the link then connects anew."""
        if self._connection is not None:
            self._connection.drop()

    # ------------------------------------------------------------------------------------- inside

    def _present(self) -> Connection:
        if self._connection is None:
            raise NotConnected("there is no connection")
        return self._connection

    async def _run(self) -> None:
        attempt = 0
        assert self._loop is not None
        while True:
            began = self._loop.time()
            try:
                why = await self._live()
            except LinkError as error:
                why = str(error)
            except Exception:
                log.exception("link_setup_failed")
                why = "setup failed"
            if self._loop.time() - began >= self._backoff.stable_s:
                attempt = 0
            delay = self._backoff.delay(attempt)
            attempt += 1
            log.warning("link_down", why=why, retry_in_s=round(delay, 3))
            await asyncio.sleep(delay)

    async def _live(self) -> str:
        """One connection from dial to end; returns why it ended."""
        nonce = random_nonce()
        self._set_state(LinkState.CONNECTING)
        will = self._will(nonce) if self._will is not None else None
        if self._failed:  # a broker may still be busy with the try before under the old name
            self._client_id = random_client_id()
        connection = Connection(self._endpoint, self._client_id, will, self._deliver)
        came_up = False
        try:
            await connection.open(self._backoff.patience(self._failed))
            self._connection, self._nonce = connection, nonce
            if self._on_connected is not None:
                await self._set_up(connection, self._on_connected, nonce)
            if not connection.closed.done():
                came_up = True
                self._failed = 0
                self._set_state(LinkState.UP)
                log.info("link_up")
            return await asyncio.shield(connection.closed)
        finally:
            self._failed += not came_up
            self.reached = connection.reached
            self._connection = self._nonce = None
            self._set_state(LinkState.DOWN)
            await connection.close()

    async def _set_up(
        self, connection: Connection, hook: Callable[[str], Awaitable[None]], nonce: str
    ) -> None:
        """Run the hook, but not beyond the life of its connection."""
        work = asyncio.ensure_future(hook(nonce))
        try:
            await asyncio.wait(
                (work, connection.closed),
                timeout=self._setup_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if work.cancelled():
                raise NotConfirmed("setting up was cancelled")
            if work.done():
                work.result()
            elif not connection.closed.done():
                raise NotConfirmed("setting up took too long")
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait((work,))

    def _deliver(self, topic: str, payload: bytes, retained: bool) -> None:
        """Called on the network thread; a deque's append is atomic."""
        if len(self._inbox) >= self._max_waiting:
            self.dropped += 1
            if self.dropped == 1 or self.dropped % 1000 == 0:
                log.error("link_inbox_full", dropped=self.dropped)
            return
        self._inbox.append((topic, payload, retained))
        if self._loop is not None and not self._called:
            self._called = True
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._arrived.set)

    async def _hand_on(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            self._called = False
            while self._inbox:
                topic, payload, retained = self._inbox.popleft()
                try:
                    await self._on_message(topic, payload, retained)
                except asyncio.CancelledError:
                    task = asyncio.current_task()
                    if task is None or task.cancelling():
                        raise
                    log.exception("link_handler_failed", topic=topic)  # something inside was
                except Exception:
                    log.exception("link_handler_failed", topic=topic)

    def _set_state(self, state: LinkState) -> None:
        if state is self._state:
            return
        self._state = state
        if state is LinkState.UP:
            self._up.set()
        else:
            self._up.clear()
        if self._on_state is not None:
            try:
                self._on_state(state)
            except Exception:
                log.exception("link_listener_failed")
