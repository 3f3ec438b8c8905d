"""The store's own MQTT broker, as the devices on it are spoken to.

One connection for all devices of a broker. A paho client keeps what was not acknowledged and sends it
again when it reconnects, so a client serves for one connection and is thrown away with all it holds.
Nothing is published while there is no connection. Sessions are clean: nothing waits in the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from device_profiles.profile import ProfileError
from firmware_bridge.port import PortGone

Hear = Callable[[str, bytes, bool], None]
Stand = Callable[[bool, str], None]

_KEEPALIVE_S = 10
_CONNECT_S = 3.0
_AGAIN_FIRST_S, _AGAIN_MAX_S = 0.5, 5.0
_LONGEST = 64 * 1024


class LocalBroker:
    """``where`` is ``mqtt://[user:password@]host[:port]``. Use on one event loop."""

    def __init__(self, where: str) -> None:
        """Raises ProfileError for an address that is none."""
        parts = urlsplit(where)
        try:
            host, port = parts.hostname, parts.port or 1883
        except ValueError:
            host, port = None, 0
        if not host:
            raise ProfileError(
                f"{where.partition('@')[2] or where} is no broker; write mqtt://HOST:PORT"
            )
        self._host, self._port = host, port
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self.name = f"kaimen/{secrets.token_hex(6)}"  # under which devices may answer
        self._hears: dict[str, list[Hear]] = {}
        self._stands: list[Stand] = []
        self._client: mqtt.Client | None = None
        self._up = False
        self._why = "the broker was not asked yet"
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def is_up(self) -> bool:
        """Whether what is published goes out now."""
        return self._up

    def start(self) -> None:
        """Connect, and again whenever the connection is lost."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"broker {self._host}")

    async def stop(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def listen(self, topics: dict[str, Hear], stand: Stand) -> Callable[[], None]:
        """Hear what comes on ``topics`` and whether there is a connection; returns how to end it."""
        for topic, hear in topics.items():
            self._hears.setdefault(topic, []).append(hear)
            if self._up and self._client is not None:
                self._client.subscribe(topic, 1)
        self._stands.append(stand)
        stand(self._up, self._why)

        def end() -> None:
            self._stands.remove(stand)
            for topic, hear in topics.items():
                self._hears[topic].remove(hear)
                if not self._hears[topic]:
                    del self._hears[topic]

        return end

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Hand a message to the broker, never retained. Raises PortGone where it cannot go out now."""
        if not self._up or self._client is None:
            raise PortGone(self._why)
        told = self._client.publish(topic, payload, qos, retain=False)
        if told.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise PortGone(f"the broker at {self._host} was lost")

    # -- the connection ---------------------------------------------------------------------------

    async def _run(self) -> None:
        wait_s = _AGAIN_FIRST_S
        while True:
            if await self._connected():
                wait_s = _AGAIN_FIRST_S
            await asyncio.sleep(wait_s)
            wait_s = min(_AGAIN_MAX_S, wait_s * 2)

    async def _connected(self) -> bool:
        """One connection from dial to end; whether it came about."""
        self._lost = asyncio.Event()
        came = asyncio.Event()
        client = self._new_client(self._lost, came)
        dial = asyncio.to_thread(client.connect, self._host, self._port, _KEEPALIVE_S)
        try:
            async with asyncio.timeout(_CONNECT_S):
                await dial
            client.loop_start()
            async with asyncio.timeout(_CONNECT_S):
                await came.wait()
            self._client, self._up, self._why = client, True, ""
            for topic in self._hears:
                client.subscribe(topic, 1)
            self._stand()
            await self._lost.wait()
            return True
        except (OSError, TimeoutError, ValueError) as error:
            self._why = f"the broker at {self._host}:{self._port} does not answer: {str(error) or 'no answer'}"
            return False
        finally:
            was_up, self._up, self._client = self._up, False, None
            if was_up:
                self._why = f"the connection to the broker at {self._host}:{self._port} was lost"
            self._stand()
            client.on_message = None
            with contextlib.suppress(OSError, ValueError):
                client.disconnect()
            client.loop_stop()

    def _new_client(self, lost: asyncio.Event, came: asyncio.Event) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"kaimen-bridge-{secrets.token_hex(6)}",
            clean_session=True,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_S
        client.suppress_exceptions = True
        if self._user is not None:
            client.username_pw_set(self._user, self._password)

        def connected(_c: mqtt.Client, _u: object, _f: object, reason: Any, _p: object) -> None:
            self._from_thread((lost if reason.is_failure else came).set)

        def gone(*_: object) -> None:
            self._from_thread(lost.set)

        def opened(_c: mqtt.Client, _u: object, sock: Any) -> None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def heard(_c: mqtt.Client, _u: object, message: mqtt.MQTTMessage) -> None:
            if len(message.payload) <= _LONGEST:
                self._from_thread(self._hear, message.topic, message.payload, message.retain)

        client.on_connect, client.on_disconnect = connected, gone
        client.on_connect_fail = gone
        client.on_socket_open, client.on_message = opened, heard
        return client

    def _from_thread(self, act: Callable[..., None], *values: object) -> None:
        if not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(act, *values)

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:
        for hear in list(self._hears.get(topic, ())):
            hear(topic, payload, retained)

    def _stand(self) -> None:
        for stand in list(self._stands):
            stand(self._up, self._why)
