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
from cloud_api.store_channel.broker_admin import (
    BrokerAdmin,
    NatsBrokerAdmin,
    NoBrokerAdmin,
    hang_up,
)
from cloud_api.store_channel.credentials import revoked_credentials
from cloud_api.store_channel.mosquitto import MosquittoBrokerAdmin, Revoked
from store_link.connection import hosts_in

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
    authority = load_authority(folder, cloud.clocks.real)
    office = Office(
        keys_of(folder),
        authority,
        broker_admin(cloud, authority),
    )
    cloud.parts[_PART] = office
    return office


def broker_admin(cloud: Cloud, authority: Authority) -> BrokerAdmin:
    """The adapter that ``broker_admin`` names. Raises ValueError for what it lacks."""
    settings = cloud.settings
    if settings.broker_admin == "none":
        return NoBrokerAdmin()
    if settings.broker_admin == "nats":
        if not settings.nats_users_file:
            raise ValueError("KAIMEN_BROKER_ADMIN=nats needs KAIMEN_NATS_USERS_FILE")
        return NatsBrokerAdmin(settings.nats_users_file, settings.nats_pid_file)
    if settings.broker_admin != "mosquitto":
        raise ValueError("KAIMEN_BROKER_ADMIN is none, nats or mosquitto")
    if settings.mosquitto_crl_file is None:
        raise ValueError("KAIMEN_BROKER_ADMIN=mosquitto needs KAIMEN_MOSQUITTO_CRL_FILE")
    if settings.store_mqtt_port in {None, settings.mqtt_port}:
        raise ValueError(
            "KAIMEN_BROKER_ADMIN=mosquitto needs KAIMEN_STORE_MQTT_PORT: stores have a listener of "
            "their own, another than KAIMEN_MQTT_PORT, which is the cloud's"
        )

    async def revoked() -> list[Revoked]:
        async with cloud.db.read() as session:
            return await revoked_credentials(session, cloud.clocks.real)

    return MosquittoBrokerAdmin(
        settings.mosquitto_crl_file,
        settings.mosquitto_pid_file,
        authority=authority,
        clock=cloud.clocks.wire,
        revoked=revoked,
        host=settings.mqtt_host,
        store_port=settings.store_mqtt_port or settings.mqtt_port,
    )


def renew_certificates(settings: Settings, authority: Authority, now: datetime) -> list[Path]:
    """Make anew what ends within 60 days: the cloud's own certificate, and the broker's in each folder that
    the settings name. A broker reads its own on SIGHUP, which leaves connections alone; where there is
    no pid file, its side watches the file. Returns the folders of brokers. Blocks for files.
    """
    authority.cloud_client(now)
    places: list[tuple[Path, Path | None]] = []
    if settings.broker_admin == "mosquitto" and settings.mosquitto_crl_file is not None:
        places = [(settings.mosquitto_crl_file.parent, settings.mosquitto_pid_file)]
    elif settings.broker_admin == "nats":
        pids = settings.nats_pid_file or (None,) * len(settings.nats_users_file)
        places = [
            (file.parent, pid) for file, pid in zip(settings.nats_users_file, pids, strict=False)
        ]
    renewed = []
    for folder, pid in places:
        if authority.renew_broker(folder, now):
            hang_up(pid, settings.broker_admin.encode())
            renewed.append(folder)
    return renewed


def issue_broker_certificate(
    settings: Settings, folder: Path, names: list[str] | None = None, *, cluster: bool = False
) -> BrokerFiles:
    """The broker's certificate, key and the root, as files in ``folder`` (made or renewed).

    It is valid for ``mqtt_server_name``, localhost, 127.0.0.1, this machine's own addresses, the
    hosts that settings name, and ``names``. Nodes of a ``cluster`` show it to each other as well.
    Run it on the machine that holds ``data_dir``.
    """
    wanted = [
        settings.mqtt_server_name,
        "localhost",
        "127.0.0.1",
        *hosts_in(settings.mqtt_host),
        *hosts_in(settings.store_mqtt_host or ""),
        *local_addresses(),
        *(names or []),
    ]
    authority = load_authority(settings.data_dir, datetime.now(UTC))
    unique = [name for name in dict.fromkeys(wanted) if name]
    return authority.issue_broker(folder, unique, datetime.now(UTC), cluster=cluster)


def local_addresses() -> list[str]:
    """IPv4 addresses of this machine by which others on its network may reach it."""
    found: set[str] = set()
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: asks which address would be used
        found.add(str(probe.getsockname()[0]))
    with contextlib.suppress(OSError):
        found.update(socket.gethostbyname_ex(socket.gethostname())[2])
    return sorted(found - {"127.0.0.1", "0.0.0.0"})  # noqa: S104  left out, not bound
