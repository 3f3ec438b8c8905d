"""Telling the broker which stores exist: a port, and its adapter for NATS servers, one or a cluster.

Mosquitto needs nothing told but a revocation list (mosquitto.py); NATS knows each store as a user
of its own, in an include file that it reads again on SIGHUP. A reload leaves
the connections of users that did not change alone and ends those of users that are gone. The
database is the truth: ``sync`` is run at every start of a worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from cloud_api.kit.files import locked, write_whole
from cloud_api.store_channel.authority import CLOUD_USER, BrokerFiles
from store_link import topics

log = structlog.get_logger(__name__)

MAX_PAYLOAD = (1 << 20) + (1 << 16)  # a desired document with its header, and room

IN_MEMORY = "192MB"  # of the 256: its limit comes before the file system's, and passes by itself

_USER = re.compile(r"[a-z0-9.-]{1,200}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{32,128}", re.ASCII)
_LINE = re.compile(r"^ *# store (?P<user>\S+) (?P<store>\S+)$", re.MULTILINE)

Users = Callable[
    [], Awaitable[Iterable[tuple[str, str]]]
]  # (user, store_id), asked of the database
TRIES = 10  # at a list that others change meanwhile; the worker looks again 30 s later


class BrokerAdmin(Protocol):
    """What the cloud asks of a broker's user administration. ``user`` is StoreCredential.mqtt_user."""

    async def ensure_store(self, user: str, store_id: str) -> None:
        """Let ``user`` publish below ``up/`` of its store and hear ``down/`` of it, nothing else."""
        ...

    async def revoke(self, user: str) -> None:
        """Refuse ``user`` from now on and end its connection."""
        ...

    async def sync(self, users: Users) -> None:
        """Make the broker's list exactly what ``users`` finds.

        It is asked again where the list was changed since it was asked: what was let in or thrown
        out meanwhile stays so.
        """
        ...


class NoBrokerAdmin:
    """For brokers that learn of stores by themselves (one pattern ACL, a revocation list)."""

    async def ensure_store(self, user: str, store_id: str) -> None:
        """Nothing to do."""

    async def revoke(self, user: str) -> None:
        """Nothing to do here: publish the revocation list to the broker (docs/broker.md)."""

    async def sync(self, users: Users) -> None:
        """Nothing to do."""


class NatsBrokerAdmin:
    """Writes the users' include file of NATS servers and makes them read it again.

    Each node of a cluster has a file and a pid of its own; give those that this machine can reach.
    The nodes of other machines are written by the workers there.
    """

    def __init__(
        self,
        users_file: Path | Sequence[Path],
        pid_file: Path | Sequence[Path] | None = None,
    ) -> None:
        self._users_files = _paths(users_file)
        self._pid_files = _paths(pid_file)
        if self._pid_files and len(self._pid_files) != len(self._users_files):
            raise ValueError("NATS needs as many pid files as users' files, in the same order")

    async def ensure_store(self, user: str, store_id: str) -> None:
        """See BrokerAdmin."""
        await asyncio.to_thread(self._change, add={user: store_id})

    async def revoke(self, user: str) -> None:
        """See BrokerAdmin."""
        await asyncio.to_thread(self._change, remove=user)

    async def sync(self, users: Users) -> None:
        """See BrokerAdmin."""
        for at, users_file in enumerate(self._users_files):
            for _ in range(TRIES):
                before = await asyncio.to_thread(_text, users_file)
                text = nats_users(await users())
                if await asyncio.to_thread(self._replace, at, before, text):
                    break
            else:
                log.warning("broker_users_keep_changing", file=str(users_file))

    def _replace(self, at: int, before: str, text: str) -> bool:
        """False, and nothing done, where the file is not as it was ``before``."""
        with locked(self._users_files[at].parent):
            if _text(self._users_files[at]) != before:
                return False
            self._write(at, before, text)
        return True

    def _change(self, *, add: dict[str, str] | None = None, remove: str = "") -> None:
        for at, users_file in enumerate(self._users_files):
            with locked(users_file.parent):
                before = _text(users_file)
                known = dict(_LINE.findall(before)) | (add or {})
                known.pop(remove, None)
                self._write(at, before, nats_users(known.items()))

    def _write(self, at: int, before: str, text: str) -> None:
        if text != before:
            write_whole(self._users_files[at], text.encode())
            hang_up(self._pid_files[at] if self._pid_files else None, b"nats")


def no_users_yet(users_file: Path) -> None:
    """What a server includes before there are stores: the cloud's own user alone."""
    write_whole(users_file, nats_users([]).encode())


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def hang_up(pid_file: Path | None, program: bytes) -> None:
    """SIGHUP to a server; one that does not run will read its files when it starts."""
    if pid_file is None:
        return
    try:
        pid = int(pid_file.read_text().strip())
        if not _runs(pid, program):  # a stale file: the number may be anybody's by now
            log.warning("broker_reload_skipped", why="no server runs under the pid of its file")
            return
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError) as error:
        log.warning("broker_reload_skipped", why=f"{type(error).__name__}: {error}")


def nats_users(stores: Iterable[tuple[str, str]]) -> str:
    """The include file: the cloud, and one user for each ``(user, store_id)``.

    Users are found by the DNS name in the certificate's SAN. ``allowed_connection_types`` matters:
    without it such a user, which has no password, could log in on the server's own port.
    Raises ValueError for names that cannot stand in a certificate or a topic.
    """
    rows = [
        _user(
            CLOUD_USER,
            publish=("km.1.*.*.down.>",),
            subscribe=("km.1.*.*.up", "km.1.*.*.up.>"),  # MQTT's up/# means both
        )
    ]
    for user, store_id in sorted(stores):
        if _USER.fullmatch(user) is None:
            raise ValueError(f"{user!r} is no name of a broker user")
        root = topics.root(store_id).replace("/", ".")
        rows.append(f"  # store {user} {store_id}")
        rows.append(
            _user(user, publish=(f"{root}.up.>",), subscribe=(f"{root}.down", f"{root}.down.>"))
        )
    return "authorization {\n users = [\n" + "\n".join(rows) + "\n ]\n}\n"


def _user(name: str, *, publish: tuple[str, ...], subscribe: tuple[str, ...]) -> str:
    # $MQTT.sub.> carries QoS 1 deliveries inside the server; MQTT clients cannot name it (tested).
    allowed = json.dumps([*subscribe, "$MQTT.sub.>"])
    return (
        f'  {{ user: "{name}", allowed_connection_types: ["MQTT"], permissions: {{ '
        f"publish: {{ allow: {json.dumps(list(publish))} }}, "
        f"subscribe: {{ allow: {allowed} }} }} }}"
    )


@dataclass(frozen=True, slots=True)
class NatsCluster:
    """A node's place in a cluster. ``routes`` are ``host:port`` of the cluster ports of all nodes.

    Nodes show each other the ``secret``, and certificates where ``tls`` is on (issue them with
    ``cluster=True``). The certificate alone is not enough: stores have one of the same authority,
    and a node hears everything. On one machine ``tls`` may be off.
    """

    routes: Sequence[str]
    port: int
    secret: str = field(repr=False)  # letters, digits, "-" and "_"; 32 or more
    host: str = "127.0.0.1"
    name: str = "kaimen"
    tls: bool = True

    def __post_init__(self) -> None:
        if _SECRET.fullmatch(self.secret) is None:
            raise ValueError("a cluster's secret is 32 to 128 letters, digits, '-' and '_'")


def nats_config(
    folder: Path,
    *,
    files: BrokerFiles,
    mqtt_port: int,
    mqtt_host: str = "127.0.0.1",
    client_port: int = -1,
    server_name: str = "kaimen-broker",
    cluster: NatsCluster | None = None,
    in_memory: Path | None = None,
) -> str:
    """A configuration for one NATS server that serves MQTT with client certificates, as text.

    Write it to ``folder/nats.conf`` and start ``nats-server -c`` with it; ``folder/users.conf`` must
    exist (``NatsBrokerAdmin.sync`` writes it) and ``folder/nats.pid`` is where its pid will stand.
    NATS's own port listens on 127.0.0.1 alone and admits nobody (-1: a random one). Nothing that a
    store or the cloud needs is lost with the broker's files, so they are synced every 30 s only.
    A client's subscriptions may have 65,535 messages on their way together, and each one reserves
    ``max_ack_pending`` of them: 512 lets a worker hold all 64 shards one by one.
    A cluster that lost a node elects a leader for each new subscription, which takes up to 9 s: its calls
    may take 12 s.
    Subscriptions end with their connection, so what the server notes of them stays in memory.
    ``in_memory`` is a folder of a file system in memory with 256 MB or more, empty at each start, for what the
    server keeps: a NATS server that once could not write to its disk confirms nothing until it is started
    again, also when there is room (2.15.1, measured), and others fill disks.
    In a ``cluster`` each node needs a ``server_name`` and a folder of its own; with three or more
    nodes everything is kept on three, so that any one of them may die.
    """
    tls = f"""\
    cert_file: {json.dumps(str(files.cert))}
    key_file: {json.dumps(str(files.key))}
    ca_file: {json.dumps(str(files.ca))}"""
    replicas = min(3, len(cluster.routes)) if cluster else 1
    return f"""\
server_name: {json.dumps(server_name)}
listen: "127.0.0.1:{client_port}"
pid_file: {json.dumps(str(folder / "nats.pid"))}
max_payload: {MAX_PAYLOAD}
jetstream {{
  store_dir: {json.dumps(str(in_memory or folder / "jetstream"))}
  max_memory_store: 64MB
  max_file_store: {IN_MEMORY if in_memory else "1GB"}
  sync_interval: "30s"
}}
mqtt {{
  host: {json.dumps(mqtt_host)}
  port: {mqtt_port}
  stream_replicas: {replicas}
  js_api_timeout: "{12 if cluster else 5}s"
  consumer_memory_storage: true
  max_ack_pending: 512
  tls {{
{tls}
    verify_and_map: true
    timeout: 5
  }}
}}
{_cluster(cluster, tls)}include "users.conf"
"""


def _cluster(cluster: NatsCluster | None, tls: str) -> str:
    if cluster is None:
        return ""
    routes = ", ".join(
        json.dumps(f"nats-route://node:{cluster.secret}@{one}") for one in cluster.routes
    )
    secured = f"  tls {{\n{tls}\n    verify: true\n    timeout: 5\n  }}\n" if cluster.tls else ""
    return (
        f"cluster {{\n  name: {json.dumps(cluster.name)}\n"
        f"  host: {json.dumps(cluster.host)}\n  port: {cluster.port}\n"
        f'  authorization {{ user: "node", password: {json.dumps(cluster.secret)} }}\n'
        f"  routes: [{routes}]\n{secured}}}\n"
    )


def _paths(given: Path | Sequence[Path] | None) -> tuple[Path, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, Path) else tuple(given)


def _runs(pid: int, program: bytes) -> bool:
    """Whether ``pid`` is that program; True where the system cannot tell (no /proc)."""
    try:
        return program in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return not Path("/proc/self").exists()
