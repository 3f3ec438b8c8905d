"""All that a broker needs on disk, in one step: certificate, configuration, rules, an empty list.

For ``kaimen-cloud broker-files``; safe to run again, at an upgrade or when a name changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cloud_api.kit.files import locked, write_whole
from cloud_api.kit.ids import new_token
from cloud_api.settings import Settings
from cloud_api.store_channel.authority import load_authority
from cloud_api.store_channel.broker_admin import NatsCluster, nats_config, no_users_yet
from cloud_api.store_channel.mosquitto import mosquitto_config, write_mosquitto
from cloud_api.store_channel.office import issue_broker_certificate

Kind = Literal["mosquitto", "nats"]
EVERYWHERE = "0.0.0.0"  # noqa: S104  in a container of its own; what is published is said there
ROUTE_PORT = 6222
_LIST_DAYS = 3650


def write_broker_files(
    settings: Settings,
    kind: Kind,
    folder: Path,
    names: Sequence[str],
    nodes: Sequence[str] = (),
    in_memory: Path | None = None,
) -> list[Path]:
    """Write ``folder`` (with ``nodes``: a folder below it for each); the files to start with.

    ``names`` are further hosts that the broker is reached by. Ports are those of the settings:
    ``mqtt_port``, and ``store_mqtt_port`` for the stores' listener of Mosquitto. Raises ValueError
    for settings that do not fit. ``in_memory``: see ``nats_config``.
    """
    if kind == "mosquitto":
        return [_mosquitto(settings, folder, names)]
    return [_nats(settings, folder / node, node, names, nodes, in_memory) for node in nodes] or [
        _nats(settings, folder, "kaimen-broker", names, (), in_memory)
    ]


def _mosquitto(settings: Settings, folder: Path, names: Sequence[str]) -> Path:
    if settings.store_mqtt_port in {None, settings.mqtt_port}:
        raise ValueError(
            "Mosquitto has a listener for stores and one for the cloud: set KAIMEN_STORE_MQTT_PORT"
            " to another port than KAIMEN_MQTT_PORT"
        )
    files = issue_broker_certificate(settings, folder, list(names))
    crl = folder / "crl.pem"
    if not crl.exists():
        now = datetime.now(UTC)
        text = load_authority(settings.data_dir, now).revocation_list([], now, days=_LIST_DAYS)
        write_whole(crl, text.encode(), 0o644)
    text = mosquitto_config(
        folder,
        files=files,
        store_port=settings.store_mqtt_port or settings.mqtt_port,
        cloud_port=settings.mqtt_port,
        store_host=EVERYWHERE,
        cloud_host=EVERYWHERE,
    )
    return write_mosquitto(folder, text)


def _secret(folder: Path) -> str:
    """What the nodes of a cluster show each other; made once, for all of them."""
    path = folder / "cluster.secret"
    with locked(folder):
        if not path.exists():
            write_whole(path, new_token().encode())
        return path.read_text()


def _nats(
    settings: Settings,
    folder: Path,
    node: str,
    names: Sequence[str],
    nodes: Sequence[str],
    in_memory: Path | None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    files = issue_broker_certificate(settings, folder, [*names, *nodes], cluster=bool(nodes))
    if not (folder / "users.conf").exists():
        no_users_yet(folder / "users.conf")
    cluster = None
    if nodes:
        routes = [f"{one}:{ROUTE_PORT}" for one in nodes]
        cluster = NatsCluster(routes, ROUTE_PORT, _secret(folder.parent), host=EVERYWHERE)
    text = nats_config(
        folder,
        files=files,
        mqtt_port=settings.mqtt_port,
        mqtt_host=EVERYWHERE,
        server_name=node,
        cluster=cluster,
        in_memory=in_memory,
    )
    (folder / "nats.conf").write_text(text)
    return folder / "nats.conf"
