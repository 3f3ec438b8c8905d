"""What the golden vectors contain. Deterministic: fixed keys and instants, and Ed25519 itself is."""

from __future__ import annotations

from typing import Any

from store_link import passes, topics
from store_link.topics import Plane
from store_link.vectors.envelopes import envelopes
from store_link.vectors.keys import (
    GRANT,
    INSTANCE,
    MAC_KEY,
    OTHER_STORE,
    STAY,
    STORE,
)
from store_link.vectors.pass_cases import pass_cases


def build() -> dict[str, dict[str, Any]]:
    """All documents by the name of their file."""
    return {
        "topics": _topics(),
        "envelopes": envelopes(),
        "passes": pass_cases(),
        "pins": _pins(),
    }


def _topics() -> dict[str, Any]:
    stores = (STORE, OTHER_STORE, "a", "Z" * 64, "store_0-9")
    good = []
    for store in stores:
        for plane in Plane:
            instance = INSTANCE if plane is Plane.ACK else None
            good.append(
                {
                    "topic": topics.topic(plane, store, instance),
                    "store": store,
                    "shard": topics.shard_of(store),
                    "plane": plane.value,
                    "instance": instance,
                    "qos": plane.qos,
                    "retain": plane.retain,
                }
            )
    base = topics.root(STORE)
    wrong = f"{(topics.shard_of(STORE) + 1) % topics.SHARDS:02d}"
    bad = {
        "empty": "",
        "another shard": f"km/1/{wrong}/{STORE}/down/command",
        "shard of three digits": f"km/1/0{wrong}/{STORE}/down/command",
        "another version": f"km/2/{topics.shard_of(STORE):02d}/{STORE}/down/command",
        "unknown plane": f"{base}/down/reset",
        "plane of the other way": f"{base}/up/command",
        "a level too many": f"{base}/down/command/x",
        "an ack without its instance": f"{base}/up/ack",
        "an empty level": f"{base}/up/ack/",
        "a wildcard": "km/1/+/+/up/event",
        "a leading slash": f"/{base}/up/event",
        "a line end": f"{base}/up/event\n",
        "a dot in the store": "km/1/00/a.b/up/event",
    }
    return {
        "about": "Topics of both ways; shard = CRC-32 (as in zlib) of the store's id, modulo 64.",
        "topics": good,
        "filters": {
            "store": {"store": STORE, "filter": topics.store_filter(STORE)},
            "ingest, shard 5": [topics.ingest_filter(5)],
            "ingest, all shards": [topics.ingest_filter()],
            "acks": {"instance": INSTANCE, "filter": topics.ack_filter(INSTANCE)},
        },
        "refused": [{"why": why, "topic": topic} for why, topic in bad.items()],
    }


def _pins() -> dict[str, Any]:
    return {
        "about": "HMAC-SHA256 under the secret of the store's MAC key over kaimen/1/pin/{grant}\\n{pin}.",
        "secret": MAC_KEY.secret.hex(),
        "pins": [
            {"grant": grant, "pin": pin, "hmac": passes.pin_hmac(MAC_KEY.secret, grant, pin)}
            for grant in (GRANT, STAY)
            for pin in ("000000", "048213", "999999")
        ],
    }
