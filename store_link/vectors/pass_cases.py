"""Vectors of passes: their bytes, and each refusal with which of two comes first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from store_link import base45, passes
from store_link.passes import Pass, PassReason
from store_link.signing import SigningKey
from store_link.vectors.keys import (
    AT_S,
    GRANT,
    HIGH_PASS_KEY,
    OTHER_STORE,
    PASS_KEY,
    STORE,
)


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _issue(key: SigningKey, claim: Pass) -> str:
    return passes.issue(
        key,
        store=claim.store,
        grant=claim.grant,
        rooms=claim.room_indexes,
        not_before=_utc(claim.not_before),
        expires=_utc(claim.expires),
        rotating=claim.rotating,
        uses=claim.uses,
    )


def pass_cases() -> dict[str, Any]:
    plain = Pass("p7", STORE, GRANT, 1 << 1, AT_S - 600, AT_S + 7200)
    named = [
        ("one room, two hours", PASS_KEY, plain),
        (
            "rotating, one use, rooms 0 and 63, highest key number",
            HIGH_PASS_KEY,
            Pass("p65535", OTHER_STORE, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", 1 << 63 | 1, 0, 1, True, 1),
        ),
        (
            "largest numbers",
            PASS_KEY,
            Pass("p7", STORE, "0" * 26, (1 << 64) - 1, 2**32 - 2, 2**32 - 1, True, 255),
        ),
    ]
    good = []
    for name, key, claim in named:
        text = _issue(key, claim)
        body = passes.pack(claim)
        good.append(
            {
                "name": name,
                "fields": {
                    "kid": claim.kid,
                    "store": claim.store,
                    "grant": claim.grant,
                    "rooms": list(claim.room_indexes),
                    "not_before": claim.not_before,
                    "expires": claim.expires,
                    "rotating": claim.rotating,
                    "uses": claim.uses,
                },
                "body_hex": body.hex(),
                "signed_hex": (b"kaimen/1/pass\n" + body).hex(),
                "signature_hex": base45.decode(text[3:])[len(body) :].hex(),
                "text": text,
            }
        )
    return {
        "about": "K1: + Base45 of body and signature; checks are made at a door of the given rooms.",
        "keys": [
            key.public().model_dump() | {"seed": key.to_hex()} for key in (PASS_KEY, HIGH_PASS_KEY)
        ],
        "base45": [
            {"hex": b"AB".hex(), "text": "BB8"},  # the three examples of RFC 9285, 4.3
            {"hex": b"Hello!!".hex(), "text": "%69 VD92EX0"},
            {"hex": b"base-45".hex(), "text": "UJCLQE7W581"},
        ],
        "passes": good,
        "checks": _checks(plain),
    }


def _checks(plain: Pass) -> list[dict[str, Any]]:
    """Each refusal once, and which of two refusals comes first."""
    text = _issue(PASS_KEY, plain)

    def remade(change: Callable[[bytearray], None]) -> str:
        """Correctly signed, but with a changed body."""
        body = bytearray(passes.pack(plain))
        change(body)
        return "K1:" + base45.encode(bytes(body) + PASS_KEY.sign(b"kaimen/1/pass\n" + bytes(body)))

    def put(at: int, value: int) -> Callable[[bytearray], None]:
        def change(body: bytearray) -> None:
            body[at] = value

        return change

    def case(name: str, shown: str, reason: PassReason | None, **given: Any) -> dict[str, Any]:
        door = {
            "store": STORE,
            "now": AT_S,
            "clock": "synced",
            "revoked": [],
            "door_rooms": [1],
            "uses_of_grant": 0,
        }
        return {
            "name": name,
            "text": shown,
            "given": door | given,
            "result": "ok" if reason is None else reason.value,
        }

    opens, ends, why = plain.not_before, plain.expires, PassReason
    one_use = _issue(PASS_KEY, Pass("p7", STORE, GRANT, 1 << 1, opens, ends, uses=1))
    unknown = SigningKey.from_hex(PASS_KEY.to_hex(), "p8", "pass")
    changed = text[:-1] + ("0" if text[-1] != "0" else "1")
    return [
        case("good", text, None),
        case("good at an entrance of several rooms", text, None, door_rooms=[0, 1, 2]),
        case("good on a clock in holdover", text, None, clock="holdover"),
        case("empty", "", why.LENGTH),
        case("longer than 512", text + "0" * 400, why.LENGTH),
        case("another code", "https://example.com/d/0", why.PREFIX),
        case("lower case", text.lower(), why.PREFIX),
        case("one character short", text[:-1], why.MALFORMED),
        case("a line end", text + "\n", why.MALFORMED),
        case("a group beyond 65535", "K1:" + ":::" + text[6:], why.MALFORMED),
        case("another version", remade(put(0, 2)), why.MALFORMED),
        case("an unknown flag", remade(put(51, 2)), why.MALFORMED),
        case(
            "unknown key",
            _issue(unknown, Pass("p8", STORE, GRANT, 2, opens, ends)),
            why.UNKNOWN_KEY,
        ),
        case("changed signature", changed, why.BAD_SIGNATURE),
        case("changed signature, and of another store", changed, why.BAD_SIGNATURE, store=GRANT),
        case("another store", text, why.OTHER_STORE, store=OTHER_STORE),
        case("no trusted clock", text, why.CLOCK_UNTRUSTED, clock="untrusted"),
        case("no trusted clock, and over", text, why.CLOCK_UNTRUSTED, clock="untrusted", now=0),
        case("121 s before its time", text, why.TOO_EARLY, now=opens - 121),
        case("120 s before its time", text, None, now=opens - 120),
        case("119 s after its end", text, None, now=ends + 119),
        case("120 s after its end", text, why.OVER, now=ends + 120),
        case("revoked", text, why.REVOKED, revoked=[GRANT]),
        case("over before revoked", text, why.OVER, revoked=[GRANT], now=ends + 500),
        case("another room's door", text, why.OTHER_ROOM, door_rooms=[0, 2]),
        case("revoked before room", text, why.REVOKED, revoked=[GRANT], door_rooms=[0]),
        case("first of one use", one_use, None),
        case("second of one use", one_use, why.USED_UP, uses_of_grant=1),
        case("room before uses", one_use, why.OTHER_ROOM, uses_of_grant=1, door_rooms=[]),
    ]
