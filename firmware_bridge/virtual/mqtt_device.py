"""Virtual devices on a real MQTT broker: they take commands, answer, report, and die with a will."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from device_profiles.message_schema import MqttLocal
from device_profiles.profile import Profile
from device_profiles.spoken import Scalar, filled_text
from firmware_bridge.virtual.message import Said, VirtualMessageDevice


class MqttDevice:
    """One device with a connection of its own. A context manager.

    ``path`` is the broker's address, for ``ports.yaml``. ``retained`` orders that came are counted: a
    real device would act on them at every start. ``slow_ms``: how late it speaks.
    """

    def __init__(self, id_: str, profile: Profile, params: dict[str, Scalar], broker: str) -> None:
        assert profile.messages is not None
        assert isinstance(profile.messages.transport, MqttLocal)
        self.id = id_
        self.device = VirtualMessageDevice(profile, params)
        self.path = broker
        self.retained = 0
        self.slow_ms = 0
        self._messages = profile.messages
        self._transport: MqttLocal = profile.messages.transport
        self._lock = threading.RLock()
        self._client: mqtt.Client | None = None
        self._up = threading.Event()
        self._timer: threading.Timer | None = None

    def count(self, command: str) -> int:
        """How often a command came."""
        with self._lock:
            return self.device.heard.count(command)

    @property
    def dead(self) -> bool:
        """Whether it is on the broker and says nothing."""
        return self.device.dead

    @dead.setter
    def dead(self, value: bool) -> None:
        self.device.dead = value

    def open(self, within_s: float = 10.0) -> MqttDevice:
        """Connect, subscribe, say that it is there and how it stands. Raises TimeoutError, OSError."""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"device{secrets.token_hex(8)}",
            protocol=mqtt.MQTTv311,
        )
        parts = urlsplit(self.path)
        if parts.username:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        available = self._available()
        if available is not None:
            client.will_set(available[0], available[2], 1, retain=True)
        client.on_connect = self._connected
        client.on_message = self._message
        client.on_subscribe = lambda *_: self._up.set()
        self._client = client
        self._up.clear()
        client.connect(parts.hostname or "127.0.0.1", parts.port or 1883, 10)
        client.loop_start()
        if not self._up.wait(within_s):
            self.close()
            raise TimeoutError(f"the broker at {parts.hostname} does not take {self.id}")
        if available is not None:
            self._publish(available[0], available[1], retain=True)
        self.set()
        return self

    def close(self, *, suddenly: bool = False) -> None:
        """Leave in order, or ``suddenly`` as by a power cut: then its will speaks for it."""
        client, self._client = self._client, None
        if self._timer is not None:
            self._timer.cancel()
        if client is None:
            return
        if suddenly:
            client.reconnect_delay_set(3600, 3600)
            with suppress(OSError, AttributeError):
                client.socket().shutdown(2)  # type: ignore[union-attr]
            client.loop_stop()
            return
        available = self._available()
        if available is not None:
            with suppress(RuntimeError, ValueError):  # the broker is gone already
                client.publish(available[0], available[2], 1, retain=True).wait_for_publish(3)
        client.disconnect()
        client.loop_stop()

    def __enter__(self) -> MqttDevice:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def set(self, **changes: Any) -> None:
        """Change its state from outside; it reports how it stands, with or without changes."""
        with self._lock:
            said = self.device.set(**changes)
        self._speak(said)

    def _available(self) -> tuple[str, str, str] | None:
        spec = self._transport.availability
        if spec is None:
            return None
        up, down = spec.up, spec.down
        if spec.json_ is not None:
            key = spec.json_.lstrip("/")
            up, down = json.dumps({key: spec.up}), json.dumps({key: spec.down})
        return filled_text(spec.topic, self.device.installed), up, down

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        topics = self.device.topics()
        client.subscribe([(topic, 1) for topic in topics] or [("kaimen/none", 0)])

    def _message(self, _client: object, _user: object, message: mqtt.MQTTMessage) -> None:
        if message.retain:
            self.retained += 1
        with self._lock:
            said = self.device.hear(message.topic, bytes(message.payload))
        if self.slow_ms:
            threading.Timer(self.slow_ms / 1000, self._speak, (said,)).start()
        else:
            self._speak(said)
        self._wind()

    def _wind(self) -> None:
        due = self.device.next_timer()
        if due is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(max(0.0, due - self.device.monotonic()), self._ring)
        self._timer.daemon = True
        self._timer.start()

    def _ring(self) -> None:
        with self._lock:
            said = self.device.tick()
        self._speak(said)
        self._wind()

    def _speak(self, said: Iterable[Said]) -> None:
        for each in said:
            self._publish(each.topic, each.payload)

    def _publish(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        client = self._client
        if client is not None and not self.device.dead:
            client.publish(topic, payload, 1, retain=retain)
