"""Vectors of envelopes: one of each purpose, and what must be refused."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from store_link import passes
from store_link.codec import encode
from store_link.messages import (
    AckState,
    Action,
    ClockQuality,
    Command,
    CommandAck,
    Desired,
    Door,
    Event,
    EventAck,
    EventBatch,
    EventKind,
    PinVerifier,
    Room,
    Stay,
    UsageBody,
)
from store_link.reports import OutboxReport, Presence, Reported, Telemetry
from store_link.signing import MacKey, Purpose, SigningKey, seal
from store_link.vectors.keys import (
    AT_MS,
    BOOT,
    COMMAND_KEY,
    DESIRED_KEY,
    GRANT,
    INSTANCE,
    JOURNAL,
    MAC_KEY,
    NONCE,
    OTHER_STORE,
    PASS_KEY,
    STAY,
    STORE,
)


def _messages() -> list[tuple[str, Purpose, BaseModel, SigningKey | MacKey]]:
    rooms = tuple(Room(id=f"r{index}", index=index, lead_s=600, grace_s=300) for index in range(3))
    doors = (
        Door(id="d-entrance", lock="b-entrance", rooms=("r0", "r1", "r2")),
        *(Door(id=f"d{index}", lock=f"b{index}", rooms=(f"r{index}",)) for index in range(3)),
    )
    stay = Stay(
        id=STAY,
        room="r1",
        starts=AT_MS,
        ends=AT_MS + 7_200_000,
        opens=AT_MS - 600_000,
        grace_s=300,
        grant=GRANT,
    )
    event = Event(
        seq=41,
        id="01KAY51B3G7H9J1K3M5N7P9Q1R",
        at=AT_MS + 5_000,
        clock=ClockQuality.SYNCED,
        kind=EventKind.ACCESS,
        body={"door": "d1", "by": "command", "grant": GRANT, "stay": STAY, "outcome": "done"},
    )
    later = event.model_copy(
        update={"seq": 42, "id": "01KAY51C0A2C4E6G8J0M2P4R6T", "kind": EventKind.DEVICE}
        | {"body": {"board": "relay-1", "state": "offline", "detail": "串口没有应答 ⚡"}}
    )
    used = UsageBody(
        stay=STAY,
        room="r1",
        entered_at=AT_MS + 5_000,
        ended_at=AT_MS + 9_000_000,
        used_s=7_195,
        power_on_s=7_495,
        overtime_s=1_120,
        grace_used_s=300,
        evidence={
            "presence": [[AT_MS + 9_000, True], [AT_MS + 8_620_000, False]],
            "signs": [[AT_MS + 7_200_000, "presence"], [AT_MS + 8_620_000, "nobody"]],
            "overtime": {"from": AT_MS + 7_500_000, "until": AT_MS + 8_620_000},
        },
        energy_wh=412,
    )
    last = event.model_copy(
        update={"seq": 43, "id": "01KAY51D4E6G8J0M2P4R6T8V0W", "kind": EventKind.USAGE}
        | {"body": used.model_dump(mode="json")}
    )
    return [
        (
            "desired, longer than 255 bytes",
            Purpose.DESIRED,
            Desired(
                store=STORE,
                epoch=1,
                rev=17,
                sent_at=AT_MS,
                tz="Asia/Shanghai",
                rooms=rooms,
                doors=doors,
                stays=(stay,),
                pins=(
                    PinVerifier(grant=GRANT, hmac=passes.pin_hmac(MAC_KEY.secret, GRANT, "048213")),
                ),
                revoked=("01KAY4ZZ5T0000000000000000",),
                keys=tuple(key.public() for key in (DESIRED_KEY, COMMAND_KEY, PASS_KEY)),
            ),
            DESIRED_KEY,
        ),
        (
            "command: unlock for a guest",
            Purpose.COMMAND,
            Command(
                store=STORE,
                id="01KAY50X8Q4R6S8T0V2W4X6Y8Z",
                target="d1",
                action=Action.UNLOCK,
                args={"grant": GRANT},
                iat=AT_MS,
                exp=AT_MS + 10_000,
                nonce=NONCE,
                by="customer:01KAY2J3K4M5N6P7Q8R9S0T1V2",
                reply_to=INSTANCE,
            ),
            COMMAND_KEY,
        ),
        (
            "command: staff switches, with a reason in Chinese",
            Purpose.COMMAND,
            Command(
                store=STORE,
                id="01KAY50Y1A3B5C7D9E1F3G5H7J",
                target="ac-1",
                action=Action.SET,
                args={"on": True, "for_s": 1800, "force": False},
                iat=AT_MS,
                exp=AT_MS + 30_000,
                nonce=NONCE,
                by="staff:01KAY2J3K4M5N6P7Q8R9S0T1V3",
                why="客人说“太热”，提前开空调",
                reply_to=INSTANCE,
            ),
            COMMAND_KEY,
        ),
        (
            "event-ack (by the key for commands)",
            Purpose.EVENT_ACK,
            EventAck(store=STORE, journal=JOURNAL, upto=later.seq, last=later.id),
            COMMAND_KEY,
        ),
        (
            "event: a batch of two",
            Purpose.EVENT,
            EventBatch(store=STORE, journal=JOURNAL, events=(event, later, last), oldest=1),
            MAC_KEY,
        ),
        (
            "ack of a command",
            Purpose.ACK,
            CommandAck(
                store=STORE,
                id="01KAY50X8Q4R6S8T0V2W4X6Y8Z",
                state=AckState.DONE,
                at=AT_MS + 180,
                took_ms=162,
                evidence={"tx": "0105020000078db0", "rx": "0105020000078db0"},
            ),
            MAC_KEY,
        ),
        (
            "reported",
            Purpose.REPORTED,
            Reported(
                store=STORE,
                boot=BOOT,
                nonce=NONCE,
                sent_at=AT_MS,
                epoch=1,
                rev=17,
                journal=JOURNAL,
                version="0.1.0",
                clock=ClockQuality.SYNCED,
                outbox=OutboxReport(depth=0, oldest_at=None),
            ),
            MAC_KEY,
        ),
        (
            "presence",
            Purpose.PRESENCE,
            Presence(store=STORE, state="online", boot=BOOT, nonce=NONCE, sent_at=AT_MS),
            MAC_KEY,
        ),
        (
            "telemetry",
            Purpose.TELEMETRY,
            Telemetry(store=STORE, sent_at=AT_MS, values={"meter-1": 183.25}),
            MAC_KEY,
        ),
    ]


def envelopes() -> dict[str, Any]:
    good = []
    for name, purpose, message, key in _messages():
        payload = encode(message)
        good.append(
            {
                "name": name,
                "purpose": purpose.value,
                "store": STORE,
                "kid": key.kid,
                "payload": payload.decode(),
                "payload_bytes": len(payload),
                "signed_hex": (f"kaimen/1/{purpose.value}/{STORE}\n".encode() + payload).hex(),
                "envelope": seal(payload, purpose, STORE, key).decode(),
            }
        )
    return {
        "about": "Header line, one newline, payload. Signed: signed_hex. All text is UTF-8.",
        "keys": [
            key.public().model_dump() | {"seed": key.to_hex()} for key in (DESIRED_KEY, COMMAND_KEY)
        ],
        "mac_keys": [{"kid": MAC_KEY.kid, "secret": MAC_KEY.secret.hex()}],
        "envelopes": good,
        "refused": _refused_envelopes(),
    }


def _refused_envelopes() -> list[dict[str, str]]:
    payload = encode(EventAck(store=STORE, journal=JOURNAL, upto=42))
    good = seal(payload, Purpose.EVENT_ACK, STORE, COMMAND_KEY).decode()
    header, _, rest = good.partition("\n")
    start = header.index('"sig":"') + 7
    signature = header[start : start + 86]
    stray = signature[:-1] + chr(ord(signature[-1]) + 1)  # A, Q, g, w: the next letter's low bits
    bad_form, bad_proof, bad_key = "bad_message", "bad_signature", "unknown_key"

    def case(name: str, text: str, reason: str, **other: str) -> dict[str, str]:
        return {
            "name": name,
            "purpose": other.get("purpose", "event-ack"),
            "store": other.get("store", STORE),
            "envelope": text,
            "reason": reason,
        }

    unknown = SigningKey.from_hex(COMMAND_KEY.to_hex(), "c9", "command")
    return [
        case("for another store", good, bad_proof, store=OTHER_STORE),
        case("for another purpose of the same key", good, bad_proof, purpose="command"),
        case("key for another purpose", good, bad_key, purpose="desired"),
        case("unknown key id", seal(payload, Purpose.EVENT_ACK, STORE, unknown).decode(), bad_key),
        case("changed payload", good.replace('"upto":42', '"upto":43'), bad_proof),
        case("a byte more", good + " ", bad_proof),
        case("a byte less", good[:-1], bad_proof),
        case("no payload", header + "\n", bad_proof),
        case("no newline", header, bad_form),
        case("space in the header", good.replace('":"', '": "', 1), bad_form),
        case("CR before the newline", f"{header}\r\n{rest}", bad_form),
        case("padded signature", good.replace(signature, signature + "=="), bad_form),
        case("stray bits in the last character", good.replace(signature, stray), bad_form),
        case("unknown algorithm", good.replace('"ed25519"', '"none"'), bad_form),
        case(
            "a MAC where a signature belongs",
            seal(b"{}", Purpose.EVENT, STORE, MAC_KEY).decode(),
            bad_form,
        ),
        case("empty", "", bad_form),
    ]
