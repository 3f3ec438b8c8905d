"""Passes: what opens a door, what does not, in which order the reasons come; and PINs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from store_link import base45, passes
from store_link.messages import ClockQuality, Reason
from store_link.passes import Pass, PassError, PassReason
from store_link.signing import PublicKeyRing, SigningKey
from tests.store_link.strategies import ULIDS, flipped
from tests.store_link.strategies import passes as any_pass

KEY = SigningKey.from_hex("77" * 32, "p7", "pass")
RING = PublicKeyRing([KEY.public()])
STORE, GRANT = "01KAY3V9W0JQ4M8T2Z6C5N7R1H", "01KAY4ZZ5T8MHWC1P6RV3NJ0D2"
NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)


def issue(**change) -> str:
    fields: dict[str, Any] = {
        "store": STORE,
        "grant": GRANT,
        "rooms": [3],
        "not_before": NOW,
        "expires": NOW + timedelta(hours=2),
    }
    return passes.issue(KEY, **(fields | change))


def show(text: str, **change) -> Pass:
    given_: dict[str, Any] = {
        "store": STORE,
        "ring": RING,
        "now": NOW,
        "clock_quality": ClockQuality.SYNCED,
        "revoked": (),
        "door_rooms": [3],
        "uses_of_grant": lambda grant: 0,
    }
    return passes.verify(text, **(given_ | change))


def reason(text: str, **change) -> PassReason:
    with pytest.raises(PassError) as caught:
        show(text, **change)
    return caught.value.reason


@given(any_pass())
def test_round_trip(claim):
    key = SigningKey.from_hex("77" * 32, claim.kid, "pass")
    text = passes.issue(
        key,
        store=claim.store,
        grant=claim.grant,
        rooms=claim.room_indexes,
        not_before=datetime.fromtimestamp(claim.not_before, UTC),
        expires=datetime.fromtimestamp(claim.expires, UTC),
        rotating=claim.rotating,
        uses=claim.uses,
    )
    assert len(text) == passes.TEXT_LENGTH
    assert set(text) <= set(base45.ALPHABET)  # all of QR's alphanumeric mode
    assert passes.parse(text) == claim
    if claim.rooms:
        seen = show(
            text,
            store=claim.store,
            ring=PublicKeyRing([key.public()]),
            now=datetime.fromtimestamp(claim.not_before, UTC),
            door_rooms=claim.room_indexes[:1],
        )
        assert seen == claim


def test_truncation_is_never_accepted():
    text = issue()
    for cut in range(len(text)):
        with pytest.raises(PassError):
            show(text[:cut])


def test_no_single_bit_flip_of_the_text_is_accepted():
    text = issue()
    for bit in range(len(text) * 8):
        with pytest.raises(PassError):
            show(flipped(text.encode(), bit).decode("latin-1"))


def test_no_single_bit_flip_of_the_bytes_is_accepted():
    data = base45.decode(issue()[3:])
    for bit in range(len(data) * 8):
        with pytest.raises(PassError):
            show("K1:" + base45.encode(flipped(data, bit)))


@given(
    st.text(max_size=600)
    | st.text(alphabet=base45.ALPHABET, min_size=176, max_size=176).map("K1:".__add__)
)
def test_noise_raises_only_pass_error(text):
    with pytest.raises(PassError):
        show(text)


@given(st.binary(min_size=117, max_size=117))
def test_bytes_of_the_right_length_raise_only_pass_error(data):
    with pytest.raises(PassError):
        show("K1:" + base45.encode(data))


@pytest.mark.parametrize("junk", [None, b"K1:", 3])
def test_what_is_no_text_is_refused(junk):
    assert reason(junk) is PassReason.LENGTH


def test_each_refusal_comes_before_the_next():
    """Everything is wrong at first; each step puts one thing right and meets the next reason."""
    foreign = SigningKey.from_hex("78" * 32, "p7", "pass")
    wrong = {
        "store": GRANT,
        "clock_quality": ClockQuality.UNTRUSTED,
        "now": NOW - timedelta(hours=1),
        "revoked": [GRANT],
        "door_rooms": [4],
        "uses_of_grant": lambda grant: 1,
        "ring": PublicKeyRing(),
    }
    text = issue(uses=1)
    steps: list[tuple[dict[str, Any], PassReason]] = [
        ({"text": text + "0" * 400}, PassReason.LENGTH),
        ({"text": "X1:" + text[3:]}, PassReason.PREFIX),
        ({"text": "K1:" + text[4:]}, PassReason.MALFORMED),
        ({"text": text}, PassReason.UNKNOWN_KEY),
        ({"ring": PublicKeyRing([foreign.public()])}, PassReason.BAD_SIGNATURE),
        ({"ring": RING}, PassReason.OTHER_STORE),
        ({"store": STORE}, PassReason.CLOCK_UNTRUSTED),
        ({"clock_quality": ClockQuality.HOLDOVER}, PassReason.TOO_EARLY),
        ({"now": NOW + timedelta(hours=3)}, PassReason.OVER),
        ({"now": NOW}, PassReason.REVOKED),
        ({"revoked": ()}, PassReason.OTHER_ROOM),
        ({"door_rooms": [3]}, PassReason.USED_UP),
    ]
    assert [step[1] for step in steps] == list(PassReason)
    shown: dict[str, Any] = {"text": "", **wrong}
    for change, expected in steps:
        shown |= change
        assert reason(**shown) is expected
    assert show(**(shown | {"uses_of_grant": lambda grant: 0})).grant == GRANT


@pytest.mark.parametrize(
    ("offset_s", "expected"),
    [
        (-121, PassReason.TOO_EARLY),
        (-120, None),
        (0, None),
        (7200 + 119.999, None),
        (7200 + 120, PassReason.OVER),
    ],
)
def test_the_window_has_a_tolerance_of_two_minutes(offset_s, expected):
    now = NOW + timedelta(seconds=offset_s)
    if expected is None:
        assert show(issue(), now=now).grant == GRANT
    else:
        assert reason(issue(), now=now) is expected


def test_a_tolerance_of_nought_is_exact():
    assert reason(issue(), tolerance_s=0, now=NOW - timedelta(seconds=1)) is PassReason.TOO_EARLY
    assert reason(issue(), tolerance_s=0, now=NOW + timedelta(hours=2)) is PassReason.OVER


def test_uses_are_counted_by_grant_so_that_renewal_resets_nothing():
    first, renewed = issue(uses=2), issue(uses=2, rotating=True, expires=NOW + timedelta(hours=3))
    used = {GRANT: 2}
    for text in (first, renewed):
        assert reason(text, uses_of_grant=used.__getitem__) is PassReason.USED_UP
    assert show(issue(uses=0), uses_of_grant=lambda grant: 10**6).uses == 0


def test_a_key_for_commands_signs_no_pass():
    command = SigningKey.from_hex("77" * 32, "p7", "command")
    with pytest.raises(ValueError, match="does not sign passes"):
        passes.issue(command, store=STORE, grant=GRANT, rooms=[1], not_before=NOW, expires=NOW)
    assert reason(issue(), ring=PublicKeyRing([command.public()])) is PassReason.UNKNOWN_KEY


@pytest.mark.parametrize(
    "change",
    [
        {"rooms": [64]},
        {"rooms": [-1]},
        {"uses": 256},
        {"uses": -1},
        {"expires": NOW},
        {"not_before": datetime(1960, 1, 1, tzinfo=UTC)},
        {"expires": datetime(2107, 1, 1, tzinfo=UTC)},
        {"not_before": NOW.replace(tzinfo=None)},
        {"store": STORE.lower()},
        {"store": "8" + STORE[1:]},
        {"grant": GRANT[:-1] + "U"},
        {"grant": ""},
    ],
)
def test_a_pass_that_cannot_be_right_is_not_issued(change):
    with pytest.raises(ValueError):
        issue(**change)


@pytest.mark.parametrize("kid", ["p0", "p07", "p65536", "d1", "p", "p-1", "p1 "])
def test_key_ids_of_passes_are_p_and_a_number(kid):
    with pytest.raises(ValueError):
        passes.kid_number(kid)


@given(ULIDS)
def test_ulids_agree_with_an_independent_library(text):
    assert passes.ulid_bytes(text) == ULID.from_str(text).bytes
    assert passes.ulid_text(ULID.from_str(text).bytes) == text


def test_every_refusal_has_a_code_for_the_access_event():
    assert all(isinstance(one.reason, Reason) for one in PassReason)


def test_a_refusal_does_not_repeat_the_pass():
    text = issue()
    with pytest.raises(PassError) as caught:
        show(text, store=GRANT)
    assert text[3:20] not in repr(caught.value)


# ---------------------------------------------------------------------------------------------- PINs


def test_a_pin_is_of_one_grant_and_one_store():
    key = b"k" * 32
    verifier = passes.pin_hmac(key, GRANT, "048213")
    assert passes.pin_matches(key, GRANT, "048213", verifier)
    assert not passes.pin_matches(key, GRANT, "048214", verifier)
    assert not passes.pin_matches(key, STORE, "048213", verifier)
    assert not passes.pin_matches(b"l" * 32, GRANT, "048213", verifier)


@pytest.mark.parametrize("pin", ["", "48213", "0482130", "04821a", "٠٤٨٢١٣", "04821\n", " 48213"])
def test_what_is_no_pin_never_matches(pin):
    assert not passes.pin_matches(b"k" * 32, GRANT, pin, "0" * 64)
    with pytest.raises(ValueError, match="six digits"):
        passes.pin_hmac(b"k" * 32, GRANT, pin)
