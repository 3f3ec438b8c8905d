"""Where each plane of the wire lives: building, filtering and strictly parsing MQTT topics.

``km/1/{shard:02d}/{store}/{down|up}/{plane}``. The shard is ``crc32(store) mod 64``: ingest workers
lease shards for balance, and a topic whose shard is not its store's is none of ours.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from enum import StrEnum

SHARDS = 64
MAX_TOPIC = 192  # characters; the longest topic we build is shorter

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)  # "." and ":" would be rewritten by NATS
_TOPIC = re.compile(
    r"km/1/(?P<shard>[0-9]{2})/(?P<store>[A-Za-z0-9_-]{1,64})/"
    r"(?P<plane>down/desired|down/command|down/event-ack|up/event|up/ack|up/reported|up/presence"
    r"|up/telemetry)(?:/(?P<instance>[A-Za-z0-9_-]{1,64}))?",
    re.ASCII,
)


class TopicError(ValueError):
    """A topic, store id or instance id that this version of the wire does not know."""


class Plane(StrEnum):
    """The part of a topic below the store's root."""

    DESIRED = "down/desired"
    COMMAND = "down/command"
    EVENT_ACK = "down/event-ack"
    EVENT = "up/event"
    ACK = "up/ack"
    REPORTED = "up/reported"
    PRESENCE = "up/presence"
    TELEMETRY = "up/telemetry"

    @property
    def qos(self) -> int:
        """MQTT quality of service: 1, and 0 for lossy telemetry."""
        return 0 if self is Plane.TELEMETRY else 1

    @property
    def retain(self) -> bool:
        """Whether the broker keeps the last message. Never for a command, an event or an ack."""
        return self in (Plane.DESIRED, Plane.REPORTED, Plane.PRESENCE)

    @property
    def down(self) -> bool:
        """True for cloud to store."""
        return self.value.startswith("down/")


@dataclass(frozen=True, slots=True)
class ParsedTopic:
    """A topic taken apart. ``instance`` is set for ``Plane.ACK`` and for no other."""

    store: str
    plane: Plane
    instance: str | None = None

    @property
    def shard(self) -> int:
        """The store's shard, 0 to 63."""
        return shard_of(self.store)

    def __str__(self) -> str:
        return topic(self.plane, self.store, self.instance)


def shard_of(store: str) -> int:
    """The shard of a store: CRC-32 (ISO-HDLC, as zlib's) of its UTF-8 id, modulo 64."""
    return zlib.crc32(store.encode("utf-8", "surrogatepass")) % SHARDS


def root(store: str) -> str:
    """``km/1/{shard}/{store}``. Raises TopicError for an id that cannot stand in a topic."""
    return f"km/1/{shard_of(_name(store, 'store')):02d}/{store}"


def topic(plane: Plane, store: str, instance: str | None = None) -> str:
    """The topic of ``plane``; ``instance`` belongs to ``Plane.ACK`` alone. Raises TopicError."""
    base = f"{root(store)}/{plane.value}"
    if (instance is not None) != (plane is Plane.ACK):
        raise TopicError("an instance is needed for up/ack, and for no other plane")
    return base if instance is None else f"{base}/{_name(instance, 'instance')}"


def desired(store: str) -> str:
    """Cloud to store, retained: the whole desired document."""
    return topic(Plane.DESIRED, store)


def command(store: str) -> str:
    """Cloud to store, never retained: an order for now."""
    return topic(Plane.COMMAND, store)


def event_ack(store: str) -> str:
    """Cloud to store: events are committed up to a number."""
    return topic(Plane.EVENT_ACK, store)


def event(store: str) -> str:
    """Store to cloud: batches of journaled events."""
    return topic(Plane.EVENT, store)


def ack(store: str, instance: str) -> str:
    """Store to the cloud process ``instance`` that waits for a command's outcome."""
    return topic(Plane.ACK, store, instance)


def reported(store: str) -> str:
    """Store to cloud, retained: what is true now."""
    return topic(Plane.REPORTED, store)


def presence(store: str) -> str:
    """Store to cloud, retained, and the will: online or lost."""
    return topic(Plane.PRESENCE, store)


def telemetry(store: str) -> str:
    """Store to cloud, QoS 0: sampled values."""
    return topic(Plane.TELEMETRY, store)


def parse(text: str) -> ParsedTopic:
    """Take a topic apart.

    Raises TopicError, and nothing else, for whatever is not exactly a topic of this version:
    unknown planes, wildcards, wrong shards, empty or extra levels.
    """
    if not isinstance(text, str) or len(text) > MAX_TOPIC:
        raise TopicError("not a topic: not text, or too long")
    match = _TOPIC.fullmatch(text)
    if match is None:
        raise TopicError("not a topic of km/1")
    store, plane, instance = match["store"], Plane(match["plane"]), match["instance"]
    if (instance is not None) != (plane is Plane.ACK):
        raise TopicError("an instance is needed for up/ack, and for no other plane")
    if match["shard"] != f"{shard_of(store):02d}":
        raise TopicError("the shard is not that of the store")
    return ParsedTopic(store, plane, instance)


def store_filter(store: str) -> str:
    """What a store subscribes to: all that comes down to it.

    With ``#`` a cluster of NATS would make two subscriptions of it.
    """
    return f"{root(store)}/down/+"


def ingest_filter(shard: int | None = None) -> str:
    """What an ingest worker subscribes to for one shard, or for all of them (``None``).

    One filter for all planes but the acks, which go to who waits: brokers count subscriptions (NATS
    lets a client hold 63 of QoS 1 at its default settings), and a cluster of NATS elects a leader for
    each of them, which takes seconds while a node is dead.
    """
    if shard is None:
        return "km/1/+/+/up/+"
    if not 0 <= shard < SHARDS:
        raise TopicError(f"a shard is a number from 0 to {SHARDS - 1}")
    return f"km/1/{shard:02d}/+/up/+"


def ack_filter(instance: str) -> str:
    """What a cloud process subscribes to for the outcomes of its own commands."""
    return f"km/1/+/+/{Plane.ACK.value}/{_name(instance, 'instance')}"


def _name(value: str, what: str) -> str:
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise TopicError(f"a {what} id is 1 to 64 letters, digits, '_' or '-'")
    return value
