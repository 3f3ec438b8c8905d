"""Mosquitto: its configuration for all stores, and ending a credential there by a revocation list.

Mosquitto takes a store's name from its certificate's CN and serves all stores by one pattern, so a
new store needs nothing told. To end a credential takes two steps, since Mosquitto 2.0 reads the list
again on SIGHUP but looks at it for new connections only: the list keeps the controller out from then
on, and its standing connection is ended by taking it over. The stores' listener makes the client id
the name in the certificate, so whoever shows a certificate of that name replaces who is there.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509

from cloud_api.kit.files import locked, write_whole
from cloud_api.store_channel.authority import CLOUD_NAME, Authority, BrokerFiles, ClientFiles
from cloud_api.store_channel.broker_admin import MAX_PAYLOAD, TRIES, Users, hang_up
from store_link.clock import Clock

log = structlog.get_logger(__name__)

_LIST_DAYS = 3650  # written where it is read: an age would add nothing but an outage
_BACKDATED = timedelta(hours=1)  # room for lists that must each be newer than the one before
_RELOADED_S = 10.0
_ANSWER_S = 3.0
_PROBE = "kaimen-probe"  # a client of this name may do nothing
_SAFE = re.compile(r"[^\s\"\\]+")


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that was ended before its time: serial in hex, wire time."""

    serial: str
    store_id: str
    at: datetime


class MosquittoBrokerAdmin:
    """Keeps the revocation list that Mosquitto reads, and ends connections of revoked stores.

    ``revoked`` reads all revoked, not yet expired credentials from the database, which is the truth.
    ``host`` and ``store_port`` are the stores' listener as this process reaches it. Where the list
    is copied to another machine, or another container, ``pid_file`` is None and that side watches
    the file (docs/broker.md); this side then waits until it sees the list in force.
    """

    def __init__(
        self,
        crl_file: Path,
        pid_file: Path | None,
        *,
        authority: Authority,
        clock: Clock,
        revoked: Callable[[], Awaitable[list[Revoked]]],
        host: str,
        store_port: int,
    ) -> None:
        self._crl_file = crl_file
        self._due_file = crl_file.with_name(f"{crl_file.name}.due")
        self._pid_file = pid_file
        self._authority = authority
        self._clock = clock
        self._revoked = revoked
        self._address = (host, store_port)

    async def ensure_store(self, user: str, store_id: str) -> None:
        """Nothing to do: the certificate says it all."""

    async def revoke(self, user: str) -> None:
        """See BrokerAdmin; call it after the commit. Raises nothing for a broker that is away."""
        await self._renew()

    async def sync(self, users: Users) -> None:
        """Write the list anew where the database revoked more, and finish what was interrupted."""
        await self._renew()

    async def _renew(self) -> None:
        with tempfile.TemporaryDirectory(prefix="kaimen-") as place:
            folder = Path(place)
            for _ in range(TRIES):
                _, seen = await asyncio.to_thread(read_revocations, self._crl_file)
                wanted = await self._revoked()
                written = await asyncio.to_thread(self._write, wanted, seen, folder)
                if written is not None:
                    break
            else:
                log.warning("revocations_keep_changing", file=str(self._crl_file))
                return
            due, probe = written
            if due:
                await asyncio.to_thread(self._throw_out, due, probe, folder)

    def _write(
        self, wanted: list[Revoked], seen: datetime | None, folder: Path
    ) -> tuple[set[str], ClientFiles | None] | None:
        """The new list where one is needed; the stores whose connections have to be ended.

        None, and nothing done, where the list is another than was ``seen`` before ``wanted`` was asked
        for: what the other one put on it might be missing there.
        """
        with locked(self._crl_file.parent):
            known, updated = read_revocations(self._crl_file)
            if updated != seen:
                return None
            fresh = {one.store_id for one in wanted if int(one.serial, 16) not in known}
            due = fresh | set(_lines(self._due_file))
            if not due and updated is not None:
                return set(), None
            now = self._clock.now()
            probe, serial = self._authority.brief_client(folder, _PROBE, now)
            rows = [(one.serial, one.at) for one in wanted] + [(serial, now)]
            # OpenSSL keeps every list it ever read and believes the one with the latest date.
            at = now - _BACKDATED
            if updated is not None:
                at = max(at, updated + timedelta(seconds=1))
            text = self._authority.revocation_list(rows, at, days=_LIST_DAYS)
            if due:
                write_whole(self._due_file, "\n".join(sorted(due)).encode())
            write_whole(self._crl_file, text.encode(), 0o644)
            hang_up(self._pid_file, b"mosquitto")
        return due, probe

    def _throw_out(self, stores: set[str], probe: ClientFiles | None, folder: Path) -> None:
        """End the connections of ``stores``; what does not succeed stays due."""
        try:
            deadline = time.monotonic() + _RELOADED_S
            while probe is not None and enters(self._address, probe, _PROBE):
                if time.monotonic() > deadline:
                    log.error("broker_ignores_revocations", file=str(self._crl_file))
                    return
                time.sleep(0.05)
            for store_id in sorted(stores):
                files, _ = self._authority.brief_client(folder, store_id, self._clock.now())
                if not enters(self._address, files, store_id):
                    log.error("store_not_thrown_out", store=store_id)
                    return
        except OSError as error:
            log.warning("broker_not_reached", why=f"{type(error).__name__}: {error}")
            return
        with locked(self._crl_file.parent):
            left = sorted(set(_lines(self._due_file)) - stores)
            if left:
                write_whole(self._due_file, "\n".join(left).encode())
            else:
                self._due_file.unlink(missing_ok=True)


def mosquitto_config(
    folder: Path,
    *,
    files: BrokerFiles,
    store_port: int,
    cloud_port: int,
    store_host: str = "127.0.0.1",
    cloud_host: str = "127.0.0.1",
    user: str | None = None,
) -> str:
    """A configuration of Mosquitto 2.0 with one listener for stores and one for the cloud, as text.

    ``write_mosquitto`` puts it into ``folder`` with its rules. ``user`` is whom a Mosquitto started
    as root becomes (its default: mosquitto); that user must be able to read the files.
    Raises ValueError for paths with spaces or quotes.
    """
    for path in (folder, files.ca, files.cert, files.key):
        if _SAFE.fullmatch(str(path)) is None:
            raise ValueError(f"Mosquitto takes no path with spaces or quotes: {path}")
    return f"""\
# Each listener has rules of its own: a store's certificate is worth nothing at the cloud's.
per_listener_settings true
{f"user {user}" if user else "# user: as the system's package sets it"}
pid_file {folder / "mosquitto.pid"}
log_dest stderr
log_timestamp_format %Y-%m-%dT%H:%M:%S

# Without it every round trip stalls for 44 ms.
set_tcp_nodelay true

# Nothing is kept over a restart: what matters is said again (documents by the cloud, presence by stores).
persistence false
persistent_client_expiration 1h
max_packet_size {MAX_PAYLOAD + 512}
# Per client: a burst of a thousand stores waits here, not in the stores.
max_inflight_messages 100
max_queued_messages 20000
max_queued_bytes 67108864
queue_qos0_messages false
sys_interval 0

listener {store_port} {store_host}
{_tls(folder, files)}
acl_file {folder / "stores.acl"}
# The client id is the name in the certificate: nobody can take another store's connection over.
use_username_as_clientid true

listener {cloud_port} {cloud_host}
{_tls(folder, files)}
acl_file {folder / "cloud.acl"}
"""


STORES_ACL = """\
pattern write km/1/+/%u/up/#
pattern read km/1/+/%u/down/#
"""
CLOUD_ACL = f"""\
user {CLOUD_NAME}
topic write km/1/+/+/down/#
topic read km/1/+/+/up/#
"""


def write_mosquitto(folder: Path, text: str) -> Path:
    """Put the configuration and its rules into ``folder``; returns the file to start with.

    ``folder/crl.pem`` must exist before the start (``MosquittoBrokerAdmin.sync`` writes it).
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "stores.acl", STORES_ACL.encode(), 0o644)
    write_whole(folder / "cloud.acl", CLOUD_ACL.encode(), 0o644)
    write_whole(folder / "mosquitto.conf", text.encode(), 0o644)
    return folder / "mosquitto.conf"


def _tls(folder: Path, files: BrokerFiles) -> str:
    return f"""\
cafile {files.ca}
certfile {files.cert}
keyfile {files.key}
crlfile {folder / "crl.pem"}
require_certificate true
use_identity_as_username true
allow_anonymous false
allow_zero_length_clientid false"""


def read_revocations(crl_file: Path) -> tuple[set[int], datetime | None]:
    """The serials of a list and its date; nothing and None where there is no such file."""
    if not crl_file.exists():
        return set(), None
    crl = x509.load_pem_x509_crl(crl_file.read_bytes())
    return {one.serial_number for one in crl}, crl.last_update_utc


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def enters(address: tuple[str, int], files: ClientFiles, client_id: str) -> bool:
    """Whether the broker lets this certificate in; says goodbye at once.

    Raises OSError where there is no broker, or one that does not answer.
    """
    context = ssl.create_default_context(cafile=str(files.ca))
    context.load_cert_chain(files.cert, files.key)
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x0f" + len(name).to_bytes(2, "big") + name
    with socket.create_connection(address, timeout=_ANSWER_S) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=address[0]) as secure:
                secure.sendall(b"\x10" + bytes([len(body)]) + body)
                entered = secure.recv(4) == b"\x20\x02\x00\x00"
                secure.sendall(b"\xe0\x00")
                return entered
        except ssl.SSLCertVerificationError:
            raise  # the broker is not ours: that says nothing about the certificate
        except (ssl.SSLError, ConnectionError):
            return False
