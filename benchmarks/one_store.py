"""A store to measure: virtual boards, a broker and the real controller, each a process of its own.

What measures is a bare MQTT client in this process. It speaks the wire by hand, so that every party is
asked in the same way and what the asking costs is the same for all of them.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
import yaml
from paho.mqtt.enums import CallbackAPIVersion
from ulid import ULID

from controller.identity import Broker, Identity, write_private
from store_link import topics
from store_link.codec import encode
from store_link.messages import Command, Desired, EventAck, EventBatch
from store_link.signing import MacKey, Purpose, SigningKey, seal
from tests.support.guard import GuardedProcess
from tests.support.nats import NatsBroker

ROOT = Path(__file__).resolve().parents[1]
RELAY = "waveshare.modbus-rtu-relay-8ch"
CHANNELS = 8
PULSE_MS = 500
ANSWER_S = 30.0


class Asker:
    """A bare client: publishes, and hands over what comes back."""

    def __init__(self, port: int, filters: list[tuple[str, int]]) -> None:
        self.heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        subscribed = threading.Event()
        self._client.on_socket_open = _no_delay

        def on_connect(client: mqtt.Client, *_: Any) -> None:
            client.subscribe(filters)

        self._client.on_connect = on_connect
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda _c, _u, message: self.heard.put(
            (message.topic, bytes(message.payload))
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if not subscribed.wait(ANSWER_S):
            raise TimeoutError("the broker did not confirm a subscription")

    def say(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        """Publish; returns at once."""
        self._client.publish(topic, payload, qos, retain=retain)

    def hear(self) -> tuple[str, bytes]:
        """The next message. Raises queue.Empty after 30 s."""
        return self.heard.get(timeout=ANSWER_S)

    def close(self) -> None:
        """Goodbye."""
        self._client.disconnect()
        self._client.loop_stop()


class OneStore:
    """The broker, ``lines`` of one relay board each, and the controller on the first ``ours`` of them.

    The lines beyond are free for whoever else takes part. A context manager.
    """

    def __init__(self, folder: Path, *, ours: int, others: int = 0) -> None:
        self.folder = folder
        self.store = str(ULID())
        self.state_dir = folder / "state"
        self.names = [f"rs485-{number}" for number in range(1, ours + others + 1)]
        self.ours = self.names[:ours]
        self.broker = NatsBroker(folder / "broker")
        self.mac = MacKey.generate("m1")
        self.desired_key = SigningKey.generate("d1", "desired")
        self.command_key = SigningKey.generate("c1", "command")
        self.controller: GuardedProcess | None = None
        self.nonce = ""
        self._boards: GuardedProcess | None = None
        self._cloud: Asker | None = None

    # -- life

    def __enter__(self) -> OneStore:
        self.broker.start()
        links = self.folder / "dev"
        config = self.folder / "boards.yaml"
        boards = {
            name: {"boards": [{"id": name, "profile": RELAY, "unit_id": 1}]} for name in self.names
        }
        config.write_text(yaml.safe_dump({"lines": boards}))
        self._boards = _spawn(
            [
                "firmware_bridge.cli",
                "virtual",
                "--config",
                config,
                "--links",
                links,
                "--http",
                "127.0.0.1:0",
            ],
            self.folder / "boards.log",
        )
        _until(lambda: all((links / name).exists() for name in self.names), "the boards")
        self._enrol()
        # Where the cloud would be: what the store says of itself, and its events, are heard here.
        filters = [(topics.store_filter(self.store).replace("/down/", "/up/"), 1)]
        self._cloud = Asker(self.broker.mqtt_port, filters)
        self._publish_desired()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._cloud is not None:
            self._cloud.close()
        for process in (self.controller, self._boards):
            if process is not None:
                process.stop()
        self.broker.stop()

    def device(self, line: str) -> Path:
        """The serial device of a line."""
        return self.folder / "dev" / line

    def start(self) -> float:
        """Start the controller; seconds until it reports that all boards answer."""
        began = time.perf_counter()
        self.controller = _spawn(
            ["controller.cli", "run", "--state", self.state_dir], self.folder / "edge.log"
        )
        assert self._cloud is not None
        while True:
            topic, raw = self._cloud.hear()
            took = time.perf_counter() - began
            payload = json.loads(raw.partition(b"\n")[2])
            if topic.endswith("/presence") and payload["state"] == "online":
                self.nonce = payload["nonce"]
            elif topic.endswith("/reported") and payload["nonce"] == self.nonce:
                states = [board["state"] for board in payload["boards"]]
                if payload["rev"] and states and set(states) == {"online"}:
                    return took
            self._take(topic, payload)

    def stop(self) -> None:
        """End the controller in good order."""
        assert self.controller is not None
        self.controller.stop()
        self.controller = None

    # -- asking

    def command(self, line: str, channel: int) -> tuple[str, bytes]:
        """Topic and sealed bytes of an unlock by staff, for now."""
        now = round(time.time() * 1000)
        command = Command.model_validate(
            {
                "id": str(ULID()),
                "store": self.store,
                "target": f"{line}-{channel}",
                "action": "unlock",
                "iat": now,
                "exp": now + 10_000,
                "nonce": self.nonce,
                "by": "staff:1",
                "why": "measured",
                "reply_to": "bench",
            }
        )
        sealed = seal(encode(command), Purpose.COMMAND, self.store, self.command_key)
        return topics.command(self.store), sealed

    def unlock(self, topic: str, sealed: bytes) -> None:
        """Send a command and wait until the store says that the door was opened."""
        assert self._cloud is not None
        self._cloud.say(topic, sealed)
        while True:
            topic, raw = self._cloud.hear()
            if "/up/ack/" in topic and b'"accepted"' not in raw:
                if b'"done"' not in raw:
                    raise AssertionError(raw.partition(b"\n")[2].decode())
                return
            if topic.endswith("/event"):
                self._take(topic, json.loads(raw.partition(b"\n")[2]))

    def settle(self, seconds: float) -> None:
        """Be the cloud for a while: take what comes, acknowledge events."""
        assert self._cloud is not None
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                topic, raw = self._cloud.heard.get(timeout=left)
            except queue.Empty:
                return
            self._take(topic, json.loads(raw.partition(b"\n")[2]))

    def _take(self, topic: str, payload: dict[str, Any]) -> None:
        if not topic.endswith("/event"):
            return
        batch = EventBatch.model_validate(payload)
        ack = EventAck(store=self.store, journal=batch.journal, upto=batch.events[-1].seq)
        sealed = seal(encode(ack), Purpose.EVENT_ACK, self.store, self.command_key)
        assert self._cloud is not None
        self._cloud.say(topics.event_ack(self.store), sealed)

    # -- making it

    def _enrol(self) -> None:
        self.state_dir.mkdir(mode=0o700)
        identity = Identity(
            store=self.store,
            cloud="",
            mac_kid=self.mac.kid,
            mac_key=self.mac.secret.hex(),
            keys=(self.desired_key.public(), self.command_key.public()),
            mqtt=Broker(host="127.0.0.1", port=self.broker.mqtt_port, tls=False),
        )
        write_private(self.state_dir / "identity.json", identity.model_dump_json().encode())
        ports = [f"{name}: {self.device(name)}\n" for name in self.ours]
        (self.state_dir / "ports.yaml").write_text("".join(ports))

    def _publish_desired(self) -> None:
        doors = [(line, channel) for line in self.ours for channel in range(1, CHANNELS + 1)]
        desired = Desired.model_validate(
            {
                "store": self.store,
                "epoch": 1,
                "rev": 1,
                "sent_at": round(time.time() * 1000),
                "tz": "Asia/Shanghai",
                "boards": [
                    {"id": line, "profile": RELAY, "port": line, "params": {"unit_id": 1}}
                    for line in self.ours
                ],
                "doors": [
                    {
                        "id": f"{line}-{channel}",
                        "lock": f"lock-{line}-{channel}",
                        "rooms": [],
                        "pulse_ms": PULSE_MS,
                    }
                    for line, channel in doors
                ],
                "bindings": [
                    {
                        "id": f"lock-{line}-{channel}",
                        "board": line,
                        "capability": "lock.pulse",
                        "channel": channel,
                        "role": "lock",
                        "rooms": [],
                    }
                    for line, channel in doors
                ],
            }
        )
        sealed = seal(encode(desired), Purpose.DESIRED, self.store, self.desired_key)
        assert self._cloud is not None
        self._cloud.say(topics.desired(self.store), sealed, retain=True)


def _spawn(command: list[str | Path], log: Path) -> GuardedProcess:
    os.environ["PYTHONUNBUFFERED"] = "1"
    return GuardedProcess([sys.executable, "-m", *command], log=log, cwd=ROOT)


def _until(true: Any, what: str) -> None:
    deadline = time.monotonic() + ANSWER_S
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come up in {ANSWER_S:.0f} s")
        time.sleep(0.01)


def _no_delay(_client: mqtt.Client, _userdata: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
