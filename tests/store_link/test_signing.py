"""Envelopes: only the exact bytes, for the right store and purpose, by a key in force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store_link.messages import PublicKey, Reason
from store_link.signing import (
    EnvelopeError,
    EnvelopeTooLong,
    MacKey,
    PublicKeyRing,
    Purpose,
    SigningKey,
    open_mac,
    open_signed,
    seal,
)
from tests.store_link.strategies import flipped

DESIRED = SigningKey.from_hex("11" * 32, "d1", "desired")
COMMAND = SigningKey.from_hex("22" * 32, "c1", "command")
OTHER = SigningKey.from_hex("33" * 32, "c2", "command")
RING = PublicKeyRing([DESIRED.public(), COMMAND.public(), OTHER.public()])
MAC = MacKey("m1", b"\x44" * 32)
NEXT_MAC = MacKey("m2", b"\x55" * 32)
SIGNED = [purpose for purpose in Purpose if purpose.key_purpose]
MACED = [purpose for purpose in Purpose if not purpose.key_purpose]


def key_for(purpose: Purpose) -> SigningKey | MacKey:
    keys: dict[str | None, SigningKey | MacKey] = {"desired": DESIRED, "command": COMMAND}
    return keys.get(purpose.key_purpose, MAC)


def open_any(raw: bytes, purpose: Purpose, store: str = "S") -> bytes:
    if purpose.key_purpose:
        return open_signed(raw, purpose, store, RING)
    return open_mac(raw, purpose, store, [MAC, NEXT_MAC])


@given(st.binary(max_size=2000), st.sampled_from(Purpose))
def test_round_trip(payload, purpose):
    assert open_any(seal(payload, purpose, "S", key_for(purpose)), purpose) == payload


@given(st.binary(max_size=600), st.sampled_from(Purpose), st.data())
def test_truncation_is_never_accepted(payload, purpose, data):
    raw = seal(payload, purpose, "S", key_for(purpose))
    with pytest.raises(EnvelopeError):
        open_any(raw[: data.draw(st.integers(0, len(raw) - 1))], purpose)


@given(st.binary(max_size=100), st.binary(min_size=1, max_size=9), st.sampled_from(Purpose))
def test_nothing_may_be_added(payload, more, purpose):
    raw = seal(payload, purpose, "S", key_for(purpose))
    for longer in (raw + more, more + raw):
        with pytest.raises(EnvelopeError):
            open_any(longer, purpose)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_no_single_bit_flip_is_accepted(purpose):
    """Every bit: header, key id, the signature's spare bits, newline and payload."""
    raw = seal(b'{"upto":4242}' + b"x" * 300, purpose, "S", key_for(purpose))
    for bit in range(len(raw) * 8):
        with pytest.raises(EnvelopeError):
            open_any(flipped(raw, bit), purpose)


@given(
    st.binary(max_size=400)
    | st.from_regex(
        rb'\A\{"alg":"(ed25519|hs256)","kid":"[cdm]1","(sig|mac)":"[\w-]{43,86}"\}\n.*\Z'
    ),
    st.sampled_from(Purpose),
)
def test_noise_raises_only_envelope_error(raw, purpose):
    with pytest.raises(EnvelopeError) as caught:
        open_any(raw, purpose)
    assert caught.value.reason in (Reason.BAD_MESSAGE, Reason.UNKNOWN_KEY, Reason.BAD_SIGNATURE)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_an_envelope_fits_no_other_store_and_no_other_purpose(purpose):
    raw = seal(b"{}", purpose, "S", key_for(purpose))
    assert open_any(raw, purpose) == b"{}"
    with pytest.raises(EnvelopeError):
        open_any(raw, purpose, "T")
    for other in Purpose:
        if other is not purpose:
            with pytest.raises(EnvelopeError):
                open_any(raw, other)


def test_store_and_payload_cannot_be_shifted_into_each_other():
    """The domain ends in a newline that no store id can hold."""
    raw = seal(b"B\n{}", Purpose.EVENT_ACK, "A", COMMAND)
    header, _, payload = raw.partition(b"\n")
    with pytest.raises(EnvelopeError):
        open_signed(header + b"\n" + payload[2:], Purpose.EVENT_ACK, "AB", RING)
    with pytest.raises(ValueError, match="store id"):
        open_signed(raw, Purpose.EVENT_ACK, "A\nB", RING)


def test_a_key_serves_its_purpose_alone():
    stolen = SigningKey.from_hex(DESIRED.to_hex(), "d1", "command")  # the same key, misused
    raw = seal(b"{}", Purpose.COMMAND, "S", stolen)
    with pytest.raises(EnvelopeError) as caught:
        open_signed(raw, Purpose.COMMAND, "S", RING)
    assert caught.value.reason is Reason.UNKNOWN_KEY
    with pytest.raises(ValueError, match="does not sign"):
        seal(b"{}", Purpose.COMMAND, "S", DESIRED)


def test_a_key_id_with_another_key_is_a_bad_signature():
    impostor = SigningKey.from_hex("66" * 32, "c1", "command")
    with pytest.raises(EnvelopeError) as caught:
        open_signed(seal(b"{}", Purpose.COMMAND, "S", impostor), Purpose.COMMAND, "S", RING)
    assert caught.value.reason is Reason.BAD_SIGNATURE


def test_a_retired_key_is_unknown():
    ring = PublicKeyRing([COMMAND.public(), OTHER.public()], retired={"c1"})
    assert open_signed(seal(b"{}", Purpose.COMMAND, "S", OTHER), Purpose.COMMAND, "S", ring)
    with pytest.raises(EnvelopeError) as caught:
        open_signed(seal(b"{}", Purpose.COMMAND, "S", COMMAND), Purpose.COMMAND, "S", ring)
    assert caught.value.reason is Reason.UNKNOWN_KEY
    assert not ring.has("c1", "command")


def test_mac_keys_of_a_store_replace_each_other_by_overlap():
    raw = seal(b"{}", Purpose.EVENT, "S", NEXT_MAC)
    assert open_mac(raw, Purpose.EVENT, "S", [MAC, NEXT_MAC]) == b"{}"
    with pytest.raises(EnvelopeError) as caught:
        open_mac(raw, Purpose.EVENT, "S", [MAC])
    assert caught.value.reason is Reason.UNKNOWN_KEY


def test_a_store_cannot_sign_for_the_cloud():
    for purpose in SIGNED:
        with pytest.raises(ValueError, match="signed by the cloud"):
            seal(b"{}", purpose, "S", MAC)
        with pytest.raises(ValueError, match="no MAC"):
            open_mac(b"", purpose, "S", [MAC])
        raw = seal(b"{}", Purpose.EVENT, "S", MAC)
        with pytest.raises(EnvelopeError) as caught:
            open_signed(raw, purpose, "S", RING)
        assert caught.value.reason is Reason.BAD_MESSAGE
    for purpose in MACED:
        with pytest.raises(ValueError, match="no signature"):
            open_signed(b"", purpose, "S", RING)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_length_is_limited_on_both_sides(purpose):
    limit = (1 << 20) if purpose is Purpose.DESIRED else (1 << 16)
    frame = len(seal(b"", purpose, "S", key_for(purpose)))
    longest = seal(b"x" * (limit - frame), purpose, "S", key_for(purpose))
    assert len(longest) == limit
    assert len(open_any(longest, purpose)) == limit - frame
    with pytest.raises(EnvelopeTooLong):
        seal(b"x" * (limit - frame + 1), purpose, "S", key_for(purpose))
    with pytest.raises(EnvelopeError) as caught:
        open_any(longest + b"x", purpose)
    assert caught.value.reason is Reason.BAD_MESSAGE


def test_keys_survive_being_stored():
    key = SigningKey.generate("c7", "command")
    for copy in (
        SigningKey.from_hex(key.to_hex(), "c7", "command"),
        SigningKey.from_pem(key.to_pem(), "c7", "command"),
    ):
        assert copy.public() == key.public()


def test_secrets_are_not_shown():
    assert COMMAND.to_hex() not in repr(COMMAND)
    assert repr(MAC.secret) not in repr(MAC)
    assert "44" not in repr(MAC)


def test_bad_keys_are_refused_at_once():
    with pytest.raises(ValueError, match="32 bytes"):
        MacKey("m1", b"short")
    with pytest.raises(ValueError, match="key id"):
        MacKey('m"1', b"\x44" * 32)
    with pytest.raises(ValueError, match="key id"):
        SigningKey.from_hex("11" * 32, "d\n1", "desired")
    with pytest.raises(ValueError, match="two keys"):
        PublicKeyRing([COMMAND.public(), COMMAND.public()])
    other_use = PublicKey(kid="c1", purpose="pass", key=COMMAND.public().key)
    assert len(PublicKeyRing([COMMAND.public(), other_use])) == 2


def test_a_pem_of_another_kind_is_refused():
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(ValueError, match="not an Ed25519"):
        SigningKey.from_pem(pem, "c1", "command")
