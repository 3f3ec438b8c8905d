"""The brokers of the contract: real servers with the configuration an installation has."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud_api.kit.ids import new_id
from cloud_api.settings import Settings
from cloud_api.store_channel.authority import Authority, ClientFiles, load_authority
from cloud_api.store_channel.broker_admin import (
    BrokerAdmin,
    NatsBrokerAdmin,
    NatsCluster,
    nats_config,
)
from cloud_api.store_channel.mosquitto import (
    MosquittoBrokerAdmin,
    Revoked,
    enters,
    mosquitto_config,
    read_revocations,
    write_mosquitto,
)
from store_link.clock import WireClock
from store_link.link import Endpoint, MqttLink, Tls, random_client_id
from tests.cloud_api.store_channel.store_side import new_csr
from tests.support.mosquitto import MosquittoBroker
from tests.support.nats import NatsBroker
from tests.support.ports import free_port

HOST = "127.0.0.1"
SECRETS = "5" * 64
_CLOCK = WireClock()
_LET_IN_S = 60.0


@dataclass(frozen=True, slots=True)
class Credential:
    """What a store was given at its enrolment: its name at brokers, its certificate."""

    store: str
    user: str
    serial: str
    tls: Tls


class Server(Protocol):
    """One process of a broker."""

    def start(self) -> object: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    @property
    def running(self) -> bool: ...


class Site:
    """A broker, its authority, and those whom it lets in. Subclasses say which broker."""

    kind = ""
    admin: BrokerAdmin
    takes_over = True  # whether a stolen client id throws its owner off for a moment

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority: Authority = load_authority(folder / "cloud", datetime.now(UTC))
        self.revoked: list[Revoked] = []
        folder.mkdir(exist_ok=True)

    # ------------------------------------------------------------------------- said by subclasses

    def start(self) -> None:
        """Start all servers."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop them."""
        raise NotImplementedError

    def address(self, *, cloud: bool) -> tuple[str, int]:
        """Host and port as an endpoint takes them."""
        raise NotImplementedError

    def serving(self, link: MqttLink) -> Server:
        """The process that ``link`` is connected to."""
        raise NotImplementedError

    def settings(self) -> Settings:
        """Those of a cloud whose worker writes this broker's files."""
        raise NotImplementedError

    def store_ports(self) -> list[int]:
        """Of the servers that run and have to be told of stores."""
        return []

    survives = False  # whether clients go on while one server is dead

    def open_to_all(self) -> None:
        """Take all rules away, for a negative control; before the start."""
        raise NotImplementedError

    # -------------------------------------------------------------------------------- for all alike

    def store_endpoint(self, who: Credential) -> Endpoint:
        host, port = self.address(cloud=False)
        return Endpoint(host, port, tls=who.tls)

    def cloud_endpoint(self) -> Endpoint:
        host, port = self.address(cloud=True)
        files = self.authority.cloud_client(_CLOCK.now())
        return Endpoint(host, port, tls=Tls(files.ca, files.cert, files.key))

    def issue(self, store: str) -> Credential:
        """A certificate from the authority, as enrolment issues it; the broker is not told."""
        key, csr = new_csr()
        user = f"{new_id().lower()}.store.kaimen.internal"
        made = self.authority.issue_store(csr, store_id=store, user=user, now=_CLOCK.now())
        place = self.folder / "stores" / user
        place.mkdir(parents=True)
        (place / "cert.pem").write_text(made.pem)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (place / "key.pem").write_bytes(private)
        tls = Tls(self.authority.folder / "ca.pem", place / "cert.pem", place / "key.pem")
        return Credential(store, user, made.serial, tls)

    async def enrol(self, store: str | None = None) -> Credential:
        """A new store, or another controller of one, that each server lets in."""
        made = self.issue(store or new_id())
        await self.admin.ensure_store(made.user, made.store)
        await asyncio.to_thread(self._until_let_in, made)
        return made

    def _until_let_in(self, who: Credential) -> None:
        """A server reads its users again when it comes to it; who is refused meanwhile tries under another name."""
        assert who.tls.cert is not None
        assert who.tls.key is not None
        files = ClientFiles(who.tls.ca, who.tls.cert, who.tls.key)
        deadline = time.monotonic() + _LET_IN_S
        for port in self.store_ports():
            while not _enters(port, files):
                assert time.monotonic() < deadline, f"not let in within {_LET_IN_S} s"
                time.sleep(0.01)

    async def revoke(self, who: Credential) -> None:
        self.revoked.append(Revoked(who.serial, who.store, _CLOCK.now()))
        await self.admin.revoke(who.user)


# ----------------------------------------------------------------------------------------------- NATS


def _enters(port: int, files: ClientFiles) -> bool:
    try:
        return enters((HOST, port), files, random_client_id())
    except OSError:  # busy: it is asked again
        return False


_LEADER = re.compile(r"new (JetStream cluster )?metadata leader")
_LEADER_S = 60.0
_RIGHTS = re.compile(r"permissions: \{.*\} \}")


class _NatsNode(NatsBroker):
    """One server; ``cluster`` is its place where it is not alone."""

    def __init__(
        self, folder: Path, authority: Authority, name: str, cluster: NatsCluster | None = None
    ) -> None:
        super().__init__(folder)
        self.in_memory: Path | None = None
        self.as_it_is = False  # started again with the files that are there
        folder.mkdir(parents=True, exist_ok=True)
        self._authority, self._name, self._cluster = authority, name, cluster

    def write_config(self) -> None:
        if self.as_it_is:
            return
        files = self._authority.issue_broker(
            self.directory,
            ["kaimen-broker", HOST],
            datetime.now(UTC),
            cluster=self._cluster is not None,
        )
        self.config_file.write_text(
            nats_config(
                self.directory,
                files=files,
                mqtt_port=self.mqtt_port or -1,
                client_port=self.client_port or -1,
                server_name=self._name,
                cluster=self._cluster,
                in_memory=self.in_memory,
            )
        )


class NatsSite(Site):
    """One NATS server, as the demonstration and small installations run it."""

    kind = "nats"
    nodes: list[_NatsNode]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.nodes = self._make()
        folders = [node.directory for node in self.nodes]
        self.users_files = [one / "users.conf" for one in folders]
        self.admin = NatsBrokerAdmin(self.users_files, [one / "nats.pid" for one in folders])
        self.admin._change()

    def _make(self) -> list[_NatsNode]:
        return [_NatsNode(self.folder / "broker", self.authority, "kaimen-broker")]

    def start(self) -> None:
        self._all(lambda node: node.start())

    def stop(self) -> None:
        self._all(lambda node: node.stop())

    def _all(self, act: Callable[[_NatsNode], object]) -> None:
        with ThreadPoolExecutor(len(self.nodes)) as pool:  # nodes wait for each other
            list(pool.map(act, self.nodes))

    def address(self, *, cloud: bool) -> tuple[str, int]:
        hosts = ",".join(f"{HOST}:{node.mqtt_port}" for node in self.nodes)
        return hosts, self.nodes[0].mqtt_port

    def store_ports(self) -> list[int]:
        return [node.mqtt_port for node in self.nodes if node.running]

    def serving(self, link: MqttLink) -> Server:
        assert link._connection is not None
        sock: Any = link._connection._client.socket()
        assert sock is not None
        port = sock.getpeername()[1]
        return next(node for node in self.nodes if node.mqtt_port == port)

    def settings(self) -> Settings:
        pids = ",".join(str(one.parent / "nats.pid") for one in self.users_files)
        files = ",".join(map(str, self.users_files))
        return Settings.model_validate(
            {
                "secrets": SECRETS,
                "broker_admin": "nats",
                "nats_users_file": files,
                "nats_pid_file": pids,
            }
        )

    def open_to_all(self) -> None:
        for path in self.users_files:
            text = _RIGHTS.sub('permissions: { publish: ">", subscribe: ">" } }', path.read_text())
            path.write_text(text)


class ClusterSite(NatsSite):
    """Three NATS servers that keep everything three times."""

    kind = "cluster"
    survives = True

    def start(self) -> None:
        """Until they have chosen who leads.

        A client that comes before is not refused: its node asks nobody for its session, for 12 s, and lets no
        other client in meanwhile.
        """
        super().start()
        deadline = time.monotonic() + _LEADER_S
        while not all(_LEADER.search(node.log_text()) for node in self.nodes):
            assert time.monotonic() < deadline, f"no leader within {_LEADER_S} s"
            time.sleep(0.02)

    def _make(self) -> list[_NatsNode]:
        ports = [free_port() for _ in range(3)]
        routes = [f"{HOST}:{port}" for port in ports]
        return [
            _NatsNode(
                self.folder / f"node{at}",
                self.authority,
                f"kaimen-broker-{at}",
                NatsCluster(routes=routes, port=port, secret="s" * 32),
            )
            for at, port in enumerate(ports)
        ]


# ------------------------------------------------------------------------------------------ Mosquitto


class MosquittoSite(Site):
    """One Mosquitto with a listener for stores and one for the cloud."""

    kind = "mosquitto"
    takes_over = False  # the certificate says the client id

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.broker = MosquittoBroker(folder / "broker", self._write)
        self.rules: dict[str, str] = {}
        self.as_it_is = False  # started again with the files that are there

    def _write(self, store_port: int, cloud_port: int) -> Path:
        folder = self.broker.directory
        if self.as_it_is:
            return folder / "mosquitto.conf"
        files = self.authority.issue_broker(folder, ["kaimen-broker", HOST], datetime.now(UTC))
        text = mosquitto_config(
            folder, files=files, store_port=store_port, cloud_port=cloud_port, user="root"
        )
        path = write_mosquitto(folder, text)
        for name, rules in self.rules.items():
            (folder / name).write_text(rules)
        self.admin = self._admin(store_port)
        self.admin._write(self.revoked, read_revocations(folder / "crl.pem")[1], folder)
        return path

    def _admin(self, store_port: int) -> MosquittoBrokerAdmin:
        async def revoked() -> list[Revoked]:
            return list(self.revoked)

        folder = self.broker.directory
        return MosquittoBrokerAdmin(
            folder / "crl.pem",
            folder / "mosquitto.pid",
            authority=self.authority,
            clock=_CLOCK,
            revoked=revoked,
            host=HOST,
            store_port=store_port,
        )

    def start(self) -> None:
        self.broker.start()

    def stop(self) -> None:
        self.broker.stop()

    def address(self, *, cloud: bool) -> tuple[str, int]:
        return HOST, self.broker.cloud_port if cloud else self.broker.store_port

    def serving(self, link: MqttLink) -> Server:
        return self.broker

    def settings(self) -> Settings:
        folder = self.broker.directory
        return Settings.model_validate(
            {
                "secrets": SECRETS,
                "broker_admin": "mosquitto",
                "mosquitto_crl_file": folder / "crl.pem",
                "mosquitto_pid_file": folder / "mosquitto.pid",
            }
        )

    def open_to_all(self) -> None:
        self.rules = {"stores.acl": "pattern readwrite #\n"}


SITES: dict[str, type[Site]] = {site.kind: site for site in (NatsSite, MosquittoSite, ClusterSite)}
