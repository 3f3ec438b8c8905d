"""A store's controller as seen from the wire: enrols, connects, reports, keeps a journal, obeys.

Small on purpose, and written on store_link alone: the cloud is tested against the contract.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud_api.devices.codes import make_enrolment_code
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.ids import new_id
from cloud_api.store_channel.enrolment import Enrolled, enrol
from cloud_api.store_channel.office import office_of
from store_link import topics
from store_link.clock import ms
from store_link.codec import decode, encode
from store_link.link import Backoff, Endpoint, MqttLink, Tls, Will
from store_link.messages import (
    AckState,
    ClockQuality,
    Command,
    CommandAck,
    Desired,
    Event,
    EventAck,
    EventBatch,
    EventKind,
    Reason,
)
from store_link.reports import OutboxReport, Presence, Reported
from store_link.signing import PublicKeyRing, Purpose, open_signed, seal
from store_link.topics import Plane

DEADLINE_S = 40.0  # the machine may be busy; what is waited for comes or never does


def new_csr() -> tuple[ec.EllipticCurvePrivateKey, str]:
    """A key and a request signed by it, as a controller makes them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whatever")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return key, csr.public_bytes(Encoding.PEM).decode()


async def make_code(cloud: Cloud, store_id: str) -> str:
    async with cloud.db.write() as session:
        return await make_enrolment_code(session, System(), store_id=store_id, clocks=cloud.clocks)


async def until(what: Callable[[], Any], why: str = "", deadline_s: float = DEADLINE_S) -> Any:
    """Wait for real I/O: ``what()`` becomes true within the deadline."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not (found := what()):
        assert loop.time() < end, f"not within {deadline_s} s: {why or what}"
        await asyncio.sleep(0.005)
    return found


@dataclass
class StoreSide:
    """One controller. ``heard`` is all that came down, as (plane, payload, retained)."""

    enrolled: Enrolled
    folder: Path
    port: int
    boot: str = "boot1"
    journal: str = field(default_factory=lambda: f"j{new_id()}")
    applied: tuple[int, int] = (0, 0)
    applies: bool = True  # whether it takes new documents
    answers: AckState | None = AckState.DONE
    heard: list[tuple[Plane, bytes, bool]] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    documents: list[Desired] = field(default_factory=list)
    acked: int = 0
    acks: list[int] = field(default_factory=list)
    lasts: list[str | None] = field(default_factory=list)  # beside each: the event that is meant
    events: list[Event] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    @classmethod
    async def enrol(cls, cloud: Cloud, store_id: str, folder: Path, port: int) -> StoreSide:
        key, csr = new_csr()
        made = await enrol(cloud, office_of(cloud), await make_code(cloud, store_id), csr)
        place = folder / made.mqtt_user
        place.mkdir(parents=True)
        (place / "ca.pem").write_text(made.ca)
        (place / "cert.pem").write_text(made.certificate)
        (place / "key.pem").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return cls(made, place, port)

    @property
    def store(self) -> str:
        return self.enrolled.store_id

    @property
    def ring(self) -> PublicKeyRing:
        return PublicKeyRing(self.enrolled.keys)

    @property
    def tls(self) -> Tls:
        return Tls(self.folder / "ca.pem", self.folder / "cert.pem", self.folder / "key.pem")

    async def connect(self) -> None:
        self.link = MqttLink(
            Endpoint("127.0.0.1", self.port, tls=self.tls),
            on_message=self._hear,
            on_connected=self._connected,
            will=lambda nonce: Will(
                topics.presence(self.store), self.presence("lost", nonce), retain=True
            ),
            backoff=Backoff(base_s=0.05, cap_s=0.2),
        )
        await self.link.start()
        await self.link.wait_up(DEADLINE_S)

    async def close(self) -> None:
        await self.link.stop()

    async def _connected(self, nonce: str) -> None:
        await self.link.subscribe([topics.store_filter(self.store)])
        await self.say(Plane.PRESENCE, self.presence("online", nonce))
        await self.report()

    # ----------------------------------------------------------------------------------- saying

    def presence(self, state: Any, nonce: str) -> bytes:
        message = Presence(
            store=self.store, state=state, boot=self.boot, nonce=nonce, sent_at=_now()
        )
        return seal(encode(message), Purpose.PRESENCE, self.store, self.enrolled.mac)

    async def say(self, plane: Plane, raw: bytes) -> None:
        await self.link.publish(topics.topic(plane, self.store), raw, retain=plane.retain)

    async def report(self, **changes: Any) -> None:
        said = Reported(
            store=self.store,
            boot=self.boot,
            nonce=self.link.nonce or "none",
            sent_at=_now(),
            epoch=self.applied[0],
            rev=self.applied[1],
            journal=self.journal,
            version="test",
            clock=ClockQuality.SYNCED,
            outbox=OutboxReport(depth=0, oldest_at=None),
        ).model_copy(update=changes)
        await self.say(
            Plane.REPORTED, seal(encode(said), Purpose.REPORTED, self.store, self.enrolled.mac)
        )

    def write(self, kind: EventKind, body: dict[str, Any] | None = None) -> Event:
        """Journal an event."""
        event = Event(
            seq=len(self.events) + 1,
            id=new_id(),
            at=_now(),
            clock=ClockQuality.SYNCED,
            kind=kind,
            body=body or {},
        )
        self.events.append(event)
        return event

    def batch(self, first: int, last: int) -> bytes:
        """Events ``first`` to ``last`` (seq, inclusive), sealed."""
        message = EventBatch(
            store=self.store, journal=self.journal, events=tuple(self.events[first - 1 : last])
        )
        return seal(encode(message), Purpose.EVENT, self.store, self.enrolled.mac)

    async def send_events(self, first: int, last: int) -> None:
        await self.say(Plane.EVENT, self.batch(first, last))

    async def acknowledge(
        self, command: Command, state: AckState, reason: Reason | None = None, **evidence: Any
    ) -> None:
        ack = CommandAck(
            store=self.store,
            id=command.id,
            state=state,
            reason=reason,
            at=_now(),
            took_ms=5,
            evidence=evidence,
        )
        await self.link.publish(
            topics.ack(self.store, command.reply_to),
            seal(encode(ack), Purpose.ACK, self.store, self.enrolled.mac),
        )

    # ---------------------------------------------------------------------------------- hearing

    async def _hear(self, text: str, raw: bytes, retained: bool) -> None:
        topic = topics.parse(text)
        self.heard.append((topic.plane, raw, retained))
        assert topic.store == self.store
        if topic.plane is Plane.DESIRED:
            document = decode(open_signed(raw, Purpose.DESIRED, self.store, self.ring), Desired)
            self.documents.append(document)
            if self.applies and (document.epoch, document.rev) > self.applied:
                self.applied = (document.epoch, document.rev)
                await self.report()
        elif topic.plane is Plane.COMMAND:
            await self._obey(raw)
        elif topic.plane is Plane.EVENT_ACK:
            said = decode(open_signed(raw, Purpose.EVENT_ACK, self.store, self.ring), EventAck)
            if said.journal == self.journal:
                self.acks.append(said.upto)
                self.lasts.append(said.last)
                self.acked = max(self.acked, said.upto)

    async def _obey(self, raw: bytes) -> None:
        command = decode(open_signed(raw, Purpose.COMMAND, self.store, self.ring), Command)
        self.commands.append(command)
        await self.obey(command)

    async def obey(self, command: Command) -> None:
        """Act and answer, as ``answers`` says; with None the store says nothing."""
        if self.answers is None:
            return
        if command.id in self.seen:
            await self.acknowledge(command, AckState.DUPLICATE, first={"state": "done"})
        elif command.exp <= _now():
            await self.acknowledge(command, AckState.EXPIRED, Reason.EXPIRED)
        elif command.nonce != self.link.nonce:
            await self.acknowledge(command, AckState.REFUSED, Reason.OTHER_CONNECTION)
        else:
            self.seen.add(command.id)
            await self.acknowledge(command, AckState.ACCEPTED)
            await self.acknowledge(command, self.answers, coil=True)


def _now() -> int:
    return ms(datetime.now(UTC))
