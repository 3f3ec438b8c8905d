"""A real NATS server, configured as an installation's is: TLS, client certificates, a user per store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cloud_api.store_channel.authority import load_authority
from cloud_api.store_channel.broker_admin import NatsBrokerAdmin, nats_config
from tests.support.nats import NatsBroker


class StoreBroker(NatsBroker):
    """``admin`` writes its users; the authority is that of ``data_dir``."""

    def __init__(self, directory: Path, data_dir: Path) -> None:
        super().__init__(directory)
        self.users_file = directory / "users.conf"
        self.pid_file = directory / "nats.pid"
        self.admin = NatsBrokerAdmin(self.users_file, self.pid_file)
        self._data_dir = data_dir

    def write_config(self) -> None:
        now = datetime.now(UTC)
        authority = load_authority(self._data_dir, now)
        files = authority.issue_broker(self.directory, ["kaimen-broker", self.host], now)
        if not self.users_file.exists():
            self.admin._change()
        self.config_file.write_text(
            nats_config(
                self.directory,
                files=files,
                mqtt_port=self.mqtt_port or -1,
                client_port=self.client_port or -1,
            )
        )
