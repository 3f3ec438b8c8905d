"""The store's end of the wire: announces itself, hears what comes down, seals what goes up."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import structlog
from pydantic import BaseModel

from store_link import topics
from store_link.clock import Clock, ms
from store_link.codec import encode
from store_link.link import (
    Backoff,
    Endpoint,
    LinkError,
    LinkState,
    MqttLink,
    Will,
    random_client_id,
    random_nonce,
)
from store_link.messages import CommandAck, EventBatch
from store_link.reports import Presence, Reported, Telemetry
from store_link.signing import MacKey, Purpose, seal
from store_link.topics import Plane

log = structlog.get_logger(__name__)

DownHandler = Callable[[Plane, bytes, bool], Awaitable[None]]


class StoreSide:
    """A store's link. ``on_down(plane, envelope, retained)`` gets what the cloud sent, unopened.

    Envelopes are opened by the receiver, who holds the keys in force (``signing.open_signed``). For
    a command it compares ``Command.nonce`` with ``nonce`` here, and refuses one that was retained.
    ``clock`` is the wire clock; ``boot`` names this run of the program.
    """

    def __init__(
        self,
        *,
        store: str,
        mac_key: MacKey,
        endpoint: Endpoint,
        clock: Clock,
        on_down: DownHandler,
        on_state: Callable[[LinkState], None] | None = None,
        backoff: Backoff | None = None,
        boot: str | None = None,
        client_id: str | None = None,
    ) -> None:
        self.store = store
        self.boot = boot or random_nonce()
        self._mac_key = mac_key
        self._clock = clock
        self._on_down = on_down
        self.link = MqttLink(
            endpoint,
            on_message=self._on_message,
            on_connected=self._on_connected,
            will=self._will,
            on_state=on_state,
            backoff=backoff,
            client_id=client_id or random_client_id(),
        )

    @property
    def nonce(self) -> str | None:
        """The present connection's nonce; None while there is none, so no command fits."""
        return self.link.nonce

    @property
    def up(self) -> bool:
        """Whether the cloud can reach this store now, as far as the store can know."""
        return self.link.state is LinkState.UP

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        await self.link.start()

    async def stop(self) -> None:
        """Tell the cloud, then disconnect."""
        nonce = self.link.nonce
        if nonce is not None:
            with contextlib.suppress(LinkError):
                await self._announce("lost", nonce, timeout_s=2.0)
        await self.link.stop()

    async def wait_up(self, timeout_s: float | None = None) -> None:
        """Return once connected, subscribed and announced. Raises TimeoutError."""
        await self.link.wait_up(timeout_s)

    async def publish_events(self, batch: EventBatch, timeout_s: float = 10.0) -> None:
        """Events of the journal, to be sent again until an EventAck covers them.

        Raises NotConnected, NotConfirmed, CodecError, and EnvelopeTooLong where the batch is more
        than 64 KiB: send fewer events.
        """
        await self._publish(Plane.EVENT, Purpose.EVENT, batch, timeout_s)

    async def publish_ack(self, instance: str, ack: CommandAck, timeout_s: float = 5.0) -> None:
        """A command's state, to the cloud process in ``Command.reply_to``.

        Raises NotConnected, NotConfirmed, CodecError, and TopicError for an odd ``instance``.
        """
        await self._publish(Plane.ACK, Purpose.ACK, ack, timeout_s, instance)

    async def publish_reported(self, reported: Reported, timeout_s: float = 5.0) -> None:
        """What is true now; retained. Raises NotConnected, NotConfirmed, CodecError."""
        await self._publish(Plane.REPORTED, Purpose.REPORTED, reported, timeout_s)

    async def publish_telemetry(self, telemetry: Telemetry) -> None:
        """Lossy samples. Raises NotConnected, CodecError."""
        await self._publish(Plane.TELEMETRY, Purpose.TELEMETRY, telemetry, 5.0)

    async def _publish(
        self,
        plane: Plane,
        purpose: Purpose,
        message: BaseModel,
        timeout_s: float,
        instance: str | None = None,
    ) -> None:
        await self.link.publish(
            topics.topic(plane, self.store, instance),
            seal(encode(message), purpose, self.store, self._mac_key),
            qos=plane.qos,
            retain=plane.retain,
            timeout_s=timeout_s,
        )

    async def _on_connected(self, nonce: str) -> None:
        await self.link.subscribe([topics.store_filter(self.store)])
        await self._announce("online", nonce)

    async def _announce(self, state: str, nonce: str, timeout_s: float = 5.0) -> None:
        await self.link.publish(
            topics.presence(self.store),
            self._presence(state, nonce),
            qos=1,
            retain=True,
            timeout_s=timeout_s,
        )

    def _will(self, nonce: str) -> Will:
        """Sealed now, so its ``sent_at`` is the start of the connection that it will outlive."""
        return Will(topics.presence(self.store), self._presence("lost", nonce), retain=True)

    def _presence(self, state: str, nonce: str) -> bytes:
        message = Presence.model_validate(
            {
                "store": self.store,
                "state": state,
                "boot": self.boot,
                "nonce": nonce,
                "sent_at": ms(self._clock.now()),
            }
        )
        return seal(encode(message), Purpose.PRESENCE, self.store, self._mac_key)

    async def _on_message(self, topic: str, payload: bytes, retained: bool) -> None:
        try:
            parsed = topics.parse(topic)
        except topics.TopicError:
            log.warning("unknown_topic", length=len(topic))
            return
        if parsed.store != self.store or not parsed.plane.down:
            log.warning("foreign_topic", plane=parsed.plane.value)
            return
        await self._on_down(parsed.plane, payload, retained)
