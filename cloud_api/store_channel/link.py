"""This process's connection to the broker: who it is there, what it hears, where messages go.

Messages of one store are handled one after the other, those of different stores side by side;
acknowledgements wait for nobody, so that a door does not stand behind a journal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

import structlog

from cloud_api.kit.cloud import Cloud
from cloud_api.store_channel.office import Office
from store_link import topics
from store_link.link import Backoff, Endpoint, LinkError, LinkState, MqttLink, Tls
from store_link.topics import SHARDS, ParsedTopic, Plane, TopicError

log = structlog.get_logger(__name__)

LANES = 8
TOGETHER = 256  # batches of events that are handled in one go, at most
TOGETHER_BYTES = 512 * 1024  # and no more once they are as long as this
AT_ONCE = 2  # such goes: one is read while another is written; what waits meanwhile goes together
WAITING_MAX = 5_000  # messages per lane; beyond that new ones are dropped: stores send again

Handler = Callable[[ParsedTopic, bytes, bool], Awaitable[None]]
# Gives the places of those batches that are left for the other handler.
EventsHandler = Callable[[list[tuple[ParsedTopic, bytes]]], Awaitable[list[int]]]


class _Lane:
    """Messages handled in the order of their arrival; batches of events that follow each other, together.

    ``turn`` is shared by the lanes: while others write, more gathers, and commits grow with the load.
    """

    def __init__(
        self, handler: Handler, events: EventsHandler | None, turn: asyncio.Semaphore
    ) -> None:
        self._handler = handler
        self._events = events
        self._turn = turn
        self._waiting: deque[tuple[ParsedTopic, bytes, bool]] = deque()
        self._some = asyncio.Event()
        self.dropped = 0

    def put(self, topic: ParsedTopic, payload: bytes, retained: bool) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            if self.dropped % 1000 == 1:
                log.error("ingest_lane_full", dropped=self.dropped)
            return
        self._waiting.append((topic, payload, retained))
        self._some.set()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                if self._events is None or self._waiting[0][0].plane is not Plane.EVENT:
                    await self._handle(*self._waiting.popleft())
                    continue
                for topic, payload in await self._together(self._events):
                    await self._handle(topic, payload, False)

    async def _handle(self, topic: ParsedTopic, payload: bytes, retained: bool) -> None:
        try:
            await self._handler(topic, payload, retained)
        except Exception:  # one store's trouble; the others are still to be heard
            log.exception("message_failed", store=topic.store, plane=topic.plane.value)

    async def _together(self, handler: EventsHandler) -> list[tuple[ParsedTopic, bytes]]:
        """Let the batches that wait be taken; those that are left."""
        async with self._turn:
            messages = list(self._next_events())
            try:
                return [messages[place] for place in await handler(messages)]
            except Exception:
                log.exception("messages_failed", batches=len(messages))
                return []

    def _next_events(self) -> Iterator[tuple[ParsedTopic, bytes]]:
        length = 0
        for _ in range(TOGETHER):
            if not self._waiting or self._waiting[0][0].plane is not Plane.EVENT:
                return
            topic, payload, _retained = self._waiting.popleft()
            yield topic, payload
            length += len(payload)
            if length >= TOGETHER_BYTES:
                return


class CloudLink:
    """The link with its subscriptions. ``on_message`` is awaited for what stores say.

    ``on_ack`` is called with acknowledgements as they arrive. ``on_events``: for batches of events instead,
    several at a time where several wait.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        instance: str,
        on_message: Handler,
        *,
        on_ack: Callable[[ParsedTopic, bytes], None],
        on_events: EventsHandler | None = None,
        on_up: Callable[[], None] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._instance = instance
        self._on_up = on_up
        self._shards: frozenset[int] = frozenset()
        self._subscribed: set[str] = set()
        self._changing = asyncio.Lock()
        self._on_ack = on_ack
        turn = asyncio.Semaphore(AT_ONCE)
        self._lanes = [_Lane(on_message, on_events, turn) for _ in range(LANES)]
        self._tasks: list[asyncio.Task[None]] = []
        self._link = MqttLink(
            endpoint,
            on_message=self._sort,
            on_connected=self._connected,
            on_state=self._changed,
            backoff=backoff or Backoff(base_s=0.2, cap_s=5.0),
        )

    @property
    def up(self) -> bool:
        """Connected and subscribed."""
        return self._link.state is LinkState.UP

    @property
    def reached(self) -> bool:
        """Whether there was an answer at the last try that has ended, whatever it was."""
        return self._link.reached

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        self._tasks = [asyncio.create_task(lane.run()) for lane in self._lanes]
        await self._link.start()

    async def stop(self) -> None:
        """Say goodbye; what waits unhandled, stores will send again."""
        await self._link.stop()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def wait_up(self, timeout_s: float | None = None) -> None:
        """Return once the link is up. Raises TimeoutError."""
        await self._link.wait_up(timeout_s)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        timeout_s: float = 5.0,
    ) -> None:
        """See MqttLink.publish: raises NotConnected or NotConfirmed, queues nothing."""
        await self._link.publish(topic, payload, qos=qos, retain=retain, timeout_s=timeout_s)

    def hand_over(self, topic: str, payload: bytes) -> None:
        """See MqttLink.hand_over: raises NotConnected, queues nothing."""
        self._link.hand_over(topic, payload)

    def drop(self) -> None:
        """Cut the present connection; the link then connects anew."""
        self._link.drop()

    async def listen_to(self, shards: frozenset[int]) -> None:
        """Hear the stores of these shards, and no others, from now on and after reconnections."""
        if shards == self._shards and (self._subscribed or not self.up):
            return
        self._shards = shards
        if self.up:
            try:
                await self._subscribe()
            except LinkError as error:
                log.warning("subscription_failed", why=str(error))
                self._link.drop()  # the next connection begins with all of them

    async def _connected(self, _nonce: str) -> None:
        self._subscribed = set()
        await self._link.subscribe([topics.ack_filter(self._instance)])
        await self._subscribe()

    async def _subscribe(self) -> None:
        async with self._changing:
            wanted = self._filters()
            new, old = wanted - self._subscribed, self._subscribed - wanted
            for group in _groups(sorted(new)):
                await self._link.subscribe(group)
            self._subscribed |= new
            for group in _groups(sorted(old)):
                await self._link.unsubscribe(group)
            self._subscribed -= old

    def _filters(self) -> set[str]:
        if len(self._shards) == SHARDS:
            return {topics.ingest_filter()}
        return {topics.ingest_filter(shard) for shard in self._shards}

    def _changed(self, state: LinkState) -> None:
        if state is LinkState.UP and self._on_up is not None:
            self._on_up()

    async def _sort(self, text: str, payload: bytes, retained: bool) -> None:
        try:
            topic = topics.parse(text)
        except TopicError:
            log.warning("message_on_unknown_topic")
            return
        if topic.plane is Plane.ACK:
            self._on_ack(topic, payload)
        else:
            self._lanes[topic.shard % LANES].put(topic, payload, retained)


def endpoint_of(cloud: Cloud, office: Office) -> Endpoint:
    """Where the broker is; over TLS with the cloud's own client certificate."""
    settings = cloud.settings
    tls = None
    if settings.mqtt_tls:
        files = office.authority.cloud_client(cloud.clocks.real)
        tls = Tls(ca=files.ca, cert=files.cert, key=files.key)
    return Endpoint(settings.mqtt_host, settings.mqtt_port, tls=tls)


def _groups(filters: list[str]) -> list[list[str]]:
    """Few per packet: a broker may refuse long ones."""
    return [filters[start : start + 32] for start in range(0, len(filters), 32)]
