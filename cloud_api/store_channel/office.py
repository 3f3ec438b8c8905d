"""What the channel keeps per process: keys, authority, the broker's administration."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.keys import CloudKeys, keys_of
from cloud_api.settings import Settings
from cloud_api.store_channel.authority import Authority, BrokerFiles, load_authority
from cloud_api.store_channel.broker_admin import BrokerAdmin, NatsBrokerAdmin, NoBrokerAdmin

_PART = "store_channel.office"


@dataclass(frozen=True, slots=True)
class Office:
    """Read once per process."""

    keys: CloudKeys
    authority: Authority
    admin: BrokerAdmin


def office_of(cloud: Cloud) -> Office:
    """This process's office. Raises ValueError for settings or files that do not fit."""
    office = cloud.parts.get(_PART)
    if isinstance(office, Office):
        return office
    folder = cloud.settings.data_dir
    office = Office(
        keys_of(folder),
        load_authority(folder, cloud.clocks.real),
        broker_admin(cloud.settings),
    )
    cloud.parts[_PART] = office
    return office


def broker_admin(settings: Settings) -> BrokerAdmin:
    """The adapter that ``broker_admin`` names."""
    if settings.broker_admin == "none":
        return NoBrokerAdmin()
    if settings.broker_admin != "nats":
        raise ValueError("KAIMEN_BROKER_ADMIN is none or nats")
    if settings.nats_users_file is None:
        raise ValueError("KAIMEN_BROKER_ADMIN=nats needs KAIMEN_NATS_USERS_FILE")
    return NatsBrokerAdmin(settings.nats_users_file, settings.nats_pid_file)


def issue_broker_certificate(
    settings: Settings, folder: Path, names: list[str] | None = None
) -> BrokerFiles:
    """The broker's certificate, key and the root, as files in ``folder`` (made or renewed).

    It is valid for ``mqtt_server_name``, localhost, 127.0.0.1, this machine's own addresses, the
    hosts that settings name, and ``names``. Run it on the machine that holds ``data_dir``.
    """
    wanted = [
        settings.mqtt_server_name,
        "localhost",
        "127.0.0.1",
        settings.mqtt_host,
        settings.store_mqtt_host or "",
        *local_addresses(),
        *(names or []),
    ]
    authority = load_authority(settings.data_dir, datetime.now(UTC))
    unique = [name for name in dict.fromkeys(wanted) if name]
    return authority.issue_broker(folder, unique, datetime.now(UTC))


def local_addresses() -> list[str]:
    """IPv4 addresses of this machine by which others on its network may reach it."""
    found: set[str] = set()
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: asks which address would be used
        found.add(str(probe.getsockname()[0]))
    with contextlib.suppress(OSError):
        found.update(socket.gethostbyname_ex(socket.gethostname())[2])
    return sorted(found - {"127.0.0.1", "0.0.0.0"})  # noqa: S104  left out, not bound
