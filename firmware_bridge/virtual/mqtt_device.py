"""Virtual devices on a real MQTT broker: they take commands, answer, report, and die with a will."""

from __future__ import annotations

import json
import secrets
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from device_profiles.message_schema import Availability, MqttLocal
from device_profiles.spoken import filled_text
from firmware_bridge.virtual.messages import Said, VirtualMessages


class MqttDevice:
    """One device with a connection of its own. A context manager.

    ``path`` is the broker's address, for ``ports.yaml``. ``retained`` orders that came are counted: a
    real device would act on them at every start.
    """

    def __init__(self, device: VirtualMessages, broker: str) -> None:
        assert isinstance(device.messages.transport, MqttLocal)
        self.device = device
        self.path = broker
        self.retained = 0
        self._transport: MqttLocal = device.messages.transport
        self._lock = threading.RLock()
        self._client: mqtt.Client | None = None
        self._up = threading.Event()
        self._timer: threading.Timer | None = None

    @property
    def _available(self) -> tuple[str, str, str] | None:
        spec: Availability | None = self._transport.availability
        if spec is None:
            return None
        topic = filled_text(spec.topic, self.device.params)
        return topic, _word(spec, spec.up), _word(spec, spec.down)

    def open(self, within_s: float = 10.0) -> MqttDevice:
        """Connect, subscribe, say that it is there and how it stands. Raises TimeoutError."""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"device-{self.device.id}-{secrets.token_hex(4)}",
            protocol=mqtt.MQTTv311,
        )
        parts = urlsplit(self.path)
        if parts.username:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        available = self._available
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
            raise TimeoutError(f"the broker at {self.path} does not take {self.device.id}")
        self._greet()
        return self

    def close(self, *, suddenly: bool = False) -> None:
        """Leave in order, or ``suddenly`` as by a power cut: then its will speaks for it."""
        client, self._client = self._client, None
        if self._timer is not None:
            self._timer.cancel()
        if client is None:
            return
        available = self._available
        if suddenly:
            client.reconnect_delay_set(3600, 3600)
            with suppress(OSError, AttributeError):
                client.socket().shutdown(2)  # type: ignore[union-attr]
            client.loop_stop()
            return
        if available is not None:
            client.publish(available[0], available[2], 1, retain=True).wait_for_publish(3)
        client.disconnect()
        client.loop_stop()

    def __enter__(self) -> MqttDevice:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, report: str, payload: Any = None, *, retain: bool = False) -> None:
        """Publish a report now, as things are or with a payload of your own."""
        with self._lock:
            said = self.device.report(report) if payload is None else payload
        self._publish(self._report_topic(report), said, retain=retain)

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        topics = {
            filled_text(command.publish.topic, self.device.params)
            for command in self.device.messages.commands.values()
            if command.publish is not None
        }
        client.subscribe([(topic, 1) for topic in topics] or [("kaimen/none", 0)])

    def _greet(self) -> None:
        available = self._available
        if available is not None:
            self._publish(available[0], available[1], retain=True)
        for name in self.device.messages.simulator.reports:
            self.say(name)

    def _message(self, _client: object, _user: object, message: mqtt.MQTTMessage) -> None:
        if message.retain:
            self.retained += 1
        with self._lock:
            if self.device.dead:
                return
            try:
                document = json.loads(message.payload)
            except ValueError:
                document = None
            known = self.device.published(message.topic, bytes(message.payload), document)
            if known is None:
                return
            said = self.device.obey(*known)
        if self.device.slow_ms:
            threading.Timer(self.device.slow_ms / 1000, self._speak, (said,)).start()
        else:
            self._speak(said)
        self._wind()

    def _speak(self, said: Said) -> None:
        answer = self.device.messages.commands[said.command].answer
        if said.answers and answer is not None and answer.topic is not None:
            names = {**self.device.params, **said.names}
            self._publish(filled_text(answer.topic, names), said.answer)
        for name, payload in said.reports.items():
            self._publish(self._report_topic(name), payload)

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
            says = self.device.tick()
        for name, payload in says.items():
            self._publish(self._report_topic(name), payload)
        self._wind()

    def _report_topic(self, name: str) -> str:
        return filled_text(self.device.messages.reports[name].topic, self.device.params)

    def _publish(self, topic: str, payload: Any, *, retain: bool = False) -> None:
        client = self._client
        if client is not None and not self.device.dead:
            text = payload if isinstance(payload, str) else json.dumps(payload)
            client.publish(topic, text, 1, retain=retain)


def _word(spec: Availability, word: str) -> str:
    if spec.json_ is None:
        return word
    return json.dumps({spec.json_.lstrip("/"): word})
