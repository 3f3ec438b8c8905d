"""A broker of 150 lines that misbehaves on demand, byte for byte: no real one drops on purpose.

It speaks enough MQTT 3.1.1 for one client at a time and keeps what it was sent, per connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 10, 12, 14


@dataclass
class Published:
    """A PUBLISH as it came."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int | None


@dataclass
class Life:
    """One connection: what the client said in it."""

    client_id: str
    clean: bool
    keepalive_s: int
    will_topic: str | None
    will_payload: bytes | None
    username: str | None
    published: list[Published] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    goodbye: bool = False
    closed: bool = False
    writer: asyncio.StreamWriter | None = None


class FakeBroker:
    """Behaviour is set before or while it runs:

    ``welcome`` code of CONNACK, None = say nothing; ``on_publish`` returns "ack", "drop" or
    "silent"; ``suback`` code for each subscription.
    """

    def __init__(self) -> None:
        self.lives: list[Life] = []
        self.welcome: int | None = 0
        self.on_publish: Callable[[Published], str] = lambda published: "ack"
        self.suback = 1
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> FakeBroker:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    @property
    def published(self) -> list[Published]:
        """All PUBLISH packets of all connections, in order."""
        return [one for life in self.lives for one in life.published]

    def cut(self) -> None:
        """End all connections without a word."""
        for life in self.lives:
            if life.writer is not None:
                life.writer.transport.abort()

    def say(self, raw: bytes) -> None:
        """Send any bytes on the latest connection."""
        writer = self.lives[-1].writer
        assert writer is not None
        writer.write(raw)

    def tell(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """A PUBLISH of QoS 0 to the client."""
        name = topic.encode()
        self.say(packet(0x30 | retain, struct.pack(">H", len(name)) + name + payload))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        life: Life | None = None
        try:
            while True:
                first, body = await read_packet(reader)
                kind = first >> 4
                if kind == CONNECT:
                    life = read_connect(body)
                    life.writer = writer
                    self.lives.append(life)
                    if self.welcome is not None:
                        writer.write(packet(0x20, bytes([0, self.welcome])))
                elif life is None:
                    return
                elif kind == PUBLISH:
                    published = read_publish(first, body)
                    life.published.append(published)
                    answer = self.on_publish(published)
                    if answer == "drop":
                        writer.transport.abort()
                        return
                    if answer == "ack" and published.mid is not None:
                        writer.write(packet(0x40, struct.pack(">H", published.mid)))
                elif kind == SUBSCRIBE:
                    filters = read_filters(body[2:])
                    life.filters += filters
                    writer.write(packet(0x90, body[:2] + bytes([self.suback]) * len(filters)))
                elif kind == UNSUBSCRIBE:
                    writer.write(packet(0xB0, body[:2]))
                elif kind == PINGREQ:
                    writer.write(packet(0xD0, b""))
                elif kind == DISCONNECT:
                    life.goodbye = True
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if life is not None:
                life.closed = True
            with contextlib.suppress(ConnectionError):
                writer.close()


def packet(first: int, body: bytes) -> bytes:
    """Fixed header with the variable-length size, and the body."""
    size, length = b"", len(body)
    while True:
        length, digit = divmod(length, 128)
        size += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([first]) + size + body


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return first, await reader.readexactly(length)


def read_connect(body: bytes) -> Life:
    assert body[:7] == b"\x00\x04MQTT\x04", "not MQTT 3.1.1"
    flags, keepalive = struct.unpack_from(">BH", body, 7)
    fields: list[bytes] = []
    at = 10
    while at < len(body):
        (length,) = struct.unpack_from(">H", body, at)
        fields.append(body[at + 2 : at + 2 + length])
        at += 2 + length
    client_id = fields.pop(0).decode()
    will_topic = fields.pop(0).decode() if flags & 0x04 else None
    will_payload = fields.pop(0) if flags & 0x04 else None
    username = fields.pop(0).decode() if flags & 0x80 else None
    return Life(client_id, bool(flags & 0x02), keepalive, will_topic, will_payload, username)


def read_publish(first: int, body: bytes) -> Published:
    (length,) = struct.unpack_from(">H", body)
    topic, rest, qos = body[2 : 2 + length].decode(), body[2 + length :], first >> 1 & 3
    mid = None
    if qos:
        (mid,) = struct.unpack_from(">H", rest)
        rest = rest[2:]
    return Published(topic, rest, qos, bool(first & 1), bool(first & 8), mid)


def read_filters(body: bytes) -> list[str]:
    filters, at = [], 0
    while at < len(body):
        (length,) = struct.unpack_from(">H", body, at)
        filters.append(body[at + 2 : at + 2 + length].decode())
        at += 3 + length
    return filters
