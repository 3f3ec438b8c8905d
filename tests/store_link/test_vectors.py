"""The golden vectors: committed as built, true for our code, and true for code that shares none.

The independent half reads the documented layout with ``struct``, ``zlib``, ``hmac`` and an Ed25519
of its own right, as a firmware author would.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
import zlib
from datetime import UTC, datetime
from typing import Any

import base45 as reference_base45
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from store_link import base45, passes, topics
from store_link.codec import decode, encode
from store_link.messages import (
    ClockQuality,
    Command,
    CommandAck,
    Desired,
    EventAck,
    EventBatch,
    PublicKey,
)
from store_link.passes import Pass, PassError
from store_link.reports import Presence, Reported, Telemetry
from store_link.shapes import Message
from store_link.signing import (
    EnvelopeError,
    MacKey,
    PublicKeyRing,
    Purpose,
    SigningKey,
    open_mac,
    open_signed,
    seal,
)
from store_link.topics import Plane, TopicError
from store_link.vectors import DIRECTORY, load, render
from store_link.vectors.__main__ import main
from store_link.vectors.build import build

TOPICS, ENVELOPES, PASSES, PINS = (load(one) for one in ("topics", "envelopes", "passes", "pins"))
MODELS: dict[Purpose, type[Message]] = {
    Purpose.DESIRED: Desired,
    Purpose.COMMAND: Command,
    Purpose.EVENT_ACK: EventAck,
    Purpose.EVENT: EventBatch,
    Purpose.ACK: CommandAck,
    Purpose.REPORTED: Reported,
    Purpose.PRESENCE: Presence,
    Purpose.TELEMETRY: Telemetry,
}


def named(cases: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda one: one.get("name") or one.get("why"))


def ring(document: dict[str, Any]) -> PublicKeyRing:
    return PublicKeyRing(PublicKey.model_validate(key) for key in document["keys"])


def mac_keys() -> list[MacKey]:
    return [MacKey(key["kid"], bytes.fromhex(key["secret"])) for key in ENVELOPES["mac_keys"]]


def test_the_committed_files_are_what_is_built():
    built = build()
    assert {f"{name}.json" for name in built} == {file.name for file in DIRECTORY.glob("*.json")}
    for name, document in built.items():
        assert (DIRECTORY / f"{name}.json").read_text("utf-8") == render(document)


def test_the_command_sees_a_difference(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("store_link.vectors.__main__.DIRECTORY", tmp_path)
    assert main(["--check"]) == 1
    assert not list(tmp_path.iterdir())
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert "differs: passes.json" in capsys.readouterr().out
    (tmp_path / "pins.json").write_text("{}")
    assert main(["--check"]) == 1


def test_every_purpose_and_plane_has_a_vector_and_some_are_long():
    assert {case["purpose"] for case in ENVELOPES["envelopes"]} == set(Purpose)
    assert {case["plane"] for case in TOPICS["topics"]} == set(Plane)
    assert {case["payload_bytes"] > 255 for case in ENVELOPES["envelopes"]} == {True, False}
    assert any(not case["payload"].isascii() for case in ENVELOPES["envelopes"])


# ------------------------------------------------------------------------------------------ our code


def test_topics_by_our_code():
    for case in TOPICS["topics"]:
        assert topics.topic(Plane(case["plane"]), case["store"], case["instance"]) == case["topic"]
        parsed = topics.parse(case["topic"])
        assert (parsed.store, parsed.plane, parsed.instance, parsed.shard) == (
            case["store"],
            case["plane"],
            case["instance"],
            case["shard"],
        )
    for case in TOPICS["refused"]:
        with pytest.raises(TopicError):
            topics.parse(case["topic"])


@named(ENVELOPES["envelopes"])
def test_envelopes_by_our_code(case):
    purpose, raw = Purpose(case["purpose"]), case["envelope"].encode()
    payload = case["payload"].encode()
    if purpose.key_purpose:
        assert open_signed(raw, purpose, case["store"], ring(ENVELOPES)) == payload
        found = next(key for key in ENVELOPES["keys"] if key["kid"] == case["kid"])
        key: SigningKey | MacKey = SigningKey.from_hex(
            found["seed"], found["kid"], found["purpose"]
        )
    else:
        assert open_mac(raw, purpose, case["store"], mac_keys()) == payload
        key = mac_keys()[0]
    assert seal(payload, purpose, case["store"], key) == raw
    message = decode(payload, MODELS[purpose])
    assert encode(message) == payload


@named(ENVELOPES["refused"])
def test_refused_envelopes_by_our_code(case):
    with pytest.raises(EnvelopeError) as caught:
        open_signed(
            case["envelope"].encode(), Purpose(case["purpose"]), case["store"], ring(ENVELOPES)
        )
    assert caught.value.reason.value == case["reason"]


@named(PASSES["passes"])
def test_passes_by_our_code(case):
    fields = dict(case["fields"])
    rooms = fields.pop("rooms")
    claim = Pass(rooms=passes.room_mask(rooms), **fields)
    assert passes.parse(case["text"]) == claim
    assert passes.pack(claim).hex() == case["body_hex"]
    found = next(key for key in PASSES["keys"] if key["kid"] == claim.kid)
    issued = passes.issue(
        SigningKey.from_hex(found["seed"], claim.kid, "pass"),
        store=claim.store,
        grant=claim.grant,
        rooms=rooms,
        not_before=datetime.fromtimestamp(claim.not_before, UTC),
        expires=datetime.fromtimestamp(claim.expires, UTC),
        rotating=claim.rotating,
        uses=claim.uses,
    )
    assert issued == case["text"]


@named(PASSES["checks"])
def test_checks_of_passes_by_our_code(case):
    given = case["given"]
    try:
        passes.verify(
            case["text"],
            store=given["store"],
            ring=ring(PASSES),
            now=datetime.fromtimestamp(given["now"], UTC),
            clock_quality=ClockQuality(given["clock"]),
            revoked=given["revoked"],
            door_rooms=given["door_rooms"],
            uses_of_grant=lambda grant: given["uses_of_grant"],
        )
        result = "ok"
    except PassError as error:
        result = error.reason.value
    assert result == case["result"]


def test_every_refusal_of_a_pass_has_a_vector():
    assert {case["result"] for case in PASSES["checks"]} == {"ok", *passes.PassReason}


def test_base45_and_pins_by_our_code():
    for case in PASSES["base45"]:
        assert base45.encode(bytes.fromhex(case["hex"])) == case["text"]
        assert base45.decode(case["text"]).hex() == case["hex"]
    for case in PINS["pins"]:
        secret = bytes.fromhex(PINS["secret"])
        assert passes.pin_hmac(secret, case["grant"], case["pin"]) == case["hmac"]
        assert passes.pin_matches(secret, case["grant"], case["pin"], case["hmac"])


# ------------------------------------------------------------------------------- none of our code


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_topics_by_the_document_alone():
    for case in TOPICS["topics"]:
        shard = zlib.crc32(case["store"].encode()) % 64
        tail = f"/{case['instance']}" if case["instance"] else ""
        assert case["topic"] == f"km/1/{shard:02d}/{case['store']}/{case['plane']}{tail}"


@named(ENVELOPES["envelopes"])
def test_envelopes_by_the_document_alone(case):
    line, _, payload = case["envelope"].encode().partition(b"\n")
    header = json.loads(line)
    signed = f"kaimen/1/{case['purpose']}/{case['store']}\n".encode() + payload
    assert signed.hex() == case["signed_hex"]
    assert payload.decode() == case["payload"]
    assert len(payload) == case["payload_bytes"]
    if header["alg"] == "hs256":
        secret = bytes.fromhex(ENVELOPES["mac_keys"][0]["secret"])
        assert unpadded(header["mac"]) == hmac.new(secret, signed, hashlib.sha256).digest()
        return
    assert header["alg"] == "ed25519"
    key = next(key for key in ENVELOPES["keys"] if key["kid"] == header["kid"])
    public = bytes.fromhex(key["key"])
    Ed25519PublicKey.from_public_bytes(public).verify(unpadded(header["sig"]), signed)
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key["seed"]))
    assert private.public_key().public_bytes_raw() == public


@named(PASSES["passes"])
def test_passes_by_the_document_alone(case):
    assert case["text"].startswith("K1:")
    data = reference_base45.b45decode(case["text"][3:])
    assert len(data) == 53 + 64
    body, signature = data[:53], data[53:]
    assert body.hex() == case["body_hex"]
    assert signature.hex() == case["signature_hex"]
    assert (b"kaimen/1/pass\n" + body).hex() == case["signed_hex"]
    fields, number = case["fields"], int(case["fields"]["kid"][1:])
    assert body[0] == 1
    assert struct.unpack_from(">H", body, 1) == (number,)
    assert struct.unpack_from(">Q", body, 35) == (sum(1 << room for room in fields["rooms"]),)
    assert struct.unpack_from(">II", body, 43) == (fields["not_before"], fields["expires"])
    assert body[51] == int(fields["rotating"])
    assert body[52] == fields["uses"]
    crockford = str.maketrans(
        "0123456789ABCDEFGHJKMNPQRSTVWXYZ", "0123456789ABCDEFGHIJKLMNOPQRSTUV"
    )
    for at, ulid in ((3, fields["store"]), (19, fields["grant"])):
        assert body[at : at + 16] == int(ulid.translate(crockford), 32).to_bytes(16, "big")
    key = next(key for key in PASSES["keys"] if key["kid"] == fields["kid"])
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["key"]))
    public.verify(signature, b"kaimen/1/pass\n" + body)


def test_pins_by_the_document_alone():
    for case in PINS["pins"]:
        message = f"kaimen/1/pin/{case['grant']}\n{case['pin']}".encode()
        mac = hmac.new(bytes.fromhex(PINS["secret"]), message, hashlib.sha256)
        assert mac.hexdigest() == case["hmac"]
