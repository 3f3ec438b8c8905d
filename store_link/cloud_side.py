"""The cloud's end of the wire: hears stores, seals what goes down to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import structlog

from store_link import topics
from store_link.codec import encode
from store_link.link import Backoff, Endpoint, LinkState, MqttLink, random_nonce
from store_link.messages import Command, Desired, EventAck
from store_link.signing import Purpose, SigningKey, seal
from store_link.topics import ParsedTopic, Plane

log = structlog.get_logger(__name__)

UpHandler = Callable[[ParsedTopic, bytes, bool], Awaitable[None]]


class CloudSide:
    """One cloud process's link. ``on_up(topic, envelope, retained)`` gets what stores sent, unopened.

    Envelopes are opened by the receiver with the MAC keys of ``topic.store``
    (``signing.open_mac``). ``shards``: which to ingest (presence, reported, events, telemetry);
    None = all of them, empty = none. Outcomes of commands with ``reply_to=instance`` come in any
    case. ``instance`` names this process; it is no secret, the client id is another.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        on_up: UpHandler,
        instance: str | None = None,
        shards: Collection[int] | None = None,
        on_state: Callable[[LinkState], None] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.instance = instance or random_nonce()
        self._ack_filter = topics.ack_filter(self.instance)
        self._ingest = _filters(shards)
        self._on_up = on_up
        self.link = MqttLink(
            endpoint,
            on_message=self._on_message,
            on_connected=self._on_connected,
            on_state=on_state,
            backoff=backoff,
        )

    @property
    def up(self) -> bool:
        """Whether this process is connected and subscribed."""
        return self.link.state is LinkState.UP

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        await self.link.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self.link.stop()

    async def wait_up(self, timeout_s: float | None = None) -> None:
        """Return once connected and subscribed. Raises TimeoutError."""
        await self.link.wait_up(timeout_s)

    async def set_shards(self, shards: Collection[int] | None) -> None:
        """Ingest other shards from now on, on this connection and the next ones.

        Raises what ``MqttLink.subscribe`` raises; what is wanted is then done on reconnection.
        """
        before, after = set(self._ingest), _filters(shards)
        self._ingest = after
        if not self.up:
            return
        fresh = [one for one in after if one not in before]
        gone = sorted(before - set(after))
        if gone:
            await self.link.unsubscribe(gone)
        if fresh:
            await self.link.subscribe(fresh)

    async def send_desired(self, desired: Desired, key: SigningKey, timeout_s: float = 5.0) -> None:
        """Retained. Raises NotConnected, NotConfirmed, CodecError, EnvelopeTooLong (over 1 MiB)."""
        payload = seal(encode(desired), Purpose.DESIRED, desired.store, key)
        await self._publish(Plane.DESIRED, desired.store, payload, timeout_s)

    async def forget_desired(self, store: str, timeout_s: float = 5.0) -> None:
        """Take the retained document of a closed store out of the broker."""
        await self._publish(Plane.DESIRED, store, b"", timeout_s)

    async def send_command(self, command: Command, key: SigningKey, timeout_s: float = 5.0) -> None:
        """Never retained, never sent twice.

        Raises NotConnected where it certainly was not sent; NotConfirmed where that is not known:
        wait for an ack until ``command.exp``, do not send again. CodecError, EnvelopeTooLong.
        """
        payload = seal(encode(command), Purpose.COMMAND, command.store, key)
        await self._publish(Plane.COMMAND, command.store, payload, timeout_s)

    async def send_event_ack(self, ack: EventAck, key: SigningKey, timeout_s: float = 5.0) -> None:
        """After the commit. May be sent any number of times. Raises NotConnected, NotConfirmed."""
        payload = seal(encode(ack), Purpose.EVENT_ACK, ack.store, key)
        await self._publish(Plane.EVENT_ACK, ack.store, payload, timeout_s)

    async def _publish(self, plane: Plane, store: str, payload: bytes, timeout_s: float) -> None:
        await self.link.publish(
            topics.topic(plane, store),
            payload,
            qos=plane.qos,
            retain=plane.retain,
            timeout_s=timeout_s,
        )

    async def _on_connected(self, nonce: str) -> None:
        await self.link.subscribe([self._ack_filter, *self._ingest])

    async def _on_message(self, topic: str, payload: bytes, retained: bool) -> None:
        try:
            parsed = topics.parse(topic)
        except topics.TopicError:
            log.warning("unknown_topic", length=len(topic))
            return
        if parsed.plane.down:
            return
        await self._on_up(parsed, payload, retained)


def _filters(shards: Collection[int] | None) -> tuple[str, ...]:
    if shards is None:
        return (topics.ingest_filter(),)
    return tuple(topics.ingest_filter(shard) for shard in sorted(set(shards)))
