"""JSON of messages: the same value comes back, and whatever is ambiguous is refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store_link import codec
from store_link.codec import CodecError, decode, encode
from store_link.messages import Desired, EventAck, EventBatch, Reason
from store_link.reports import Presence, Reported, Telemetry, Value
from tests.store_link.strategies import BATCHES, flipped

ACK = EventAck(store="S", journal="j", upto=7)


@given(BATCHES)
def test_round_trip(batch):
    raw = encode(batch)
    assert decode(raw, EventBatch) == batch
    assert encode(decode(raw, EventBatch)) == raw


@given(BATCHES, st.data())
def test_truncation_is_never_accepted(batch, data):
    raw = encode(batch)
    with pytest.raises(CodecError):
        decode(raw[: data.draw(st.integers(0, len(raw) - 1))], EventBatch)


@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore"))
)
def test_noise_raises_only_codec_error(raw):
    for model in (EventAck, EventBatch, Desired, Reported):
        with pytest.raises(CodecError) as caught:
            decode(raw, model)
        assert caught.value.reason is Reason.BAD_MESSAGE


@given(BATCHES, st.data())
def test_a_bit_flip_is_refused_or_is_a_message_that_could_have_been_sent(batch, data):
    raw = encode(batch)
    changed = flipped(raw, data.draw(st.integers(0, len(raw) * 8 - 1)))
    with contextlib.suppress(CodecError):  # any other error fails
        assert encode(decode(changed, EventBatch))


@pytest.mark.parametrize(
    "text",
    [
        '{"v":1,"store":"S","journal":"j","upto":7,"upto":8}',
        '{"v":1,"store":"S","journal":"j","upto":7,"x":{"a":1,"a":2}}',
        '{"v":1,"store":"S","journal":"j","upto":NaN}',
        '{"v":1,"store":"S","journal":"j","upto":7,"x":Infinity}',
        '{"v":1,"store":"S","journal":"j","upto":7,"x":1e999}',
        '{"v":1,"store":"S","journal":"j","upto":7,"x":9223372036854775808}',
        '{"v":1,"store":"S","journal":"j","upto":7,"x":' + "9" * 5000 + "}",
        '{"v":1,"store":"S","journal":"j","upto":7,"x":"\\ud800"}',
        '{"v":1,"store":"S","journal":"j","upto":7,"\\udfff":1}',
        '{"v":1,"store":"S","journal":"j","upto":7,"x":"\\u0000"}',
        '{"v":1,"store":"S","journal":"j","upto":"7"}',
        '{"v":1,"store":"S","journal":"j","upto":7.0}',
        '{"v":2,"store":"S","journal":"j","upto":7}',
        '{"v":1,"store":"S/T","journal":"j","upto":7}',
        '{"v":1,"store":"S","journal":"j"}',
        '\ufeff{"v":1,"store":"S","journal":"j","upto":7}',
        '{"v":1,"store":"S","journal":"j","upto":7} {}',
        "[]",
        "null",
        "",
    ],
)
def test_ambiguous_or_wrong_json_is_refused(text):
    with pytest.raises(CodecError):
        decode(text.encode(), EventAck)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_only_utf8_without_a_mark(encoding):
    with pytest.raises(CodecError):
        decode(encode(ACK).decode().encode(encoding), EventAck)


def test_unknown_fields_of_a_newer_side_are_ignored():
    newer = json.loads(encode(ACK)) | {"since": 3, "more": {"a": [1]}}
    assert decode(json.dumps(newer).encode(), EventAck) == ACK


@pytest.mark.parametrize("depth", [33, 200_000])
def test_deep_nesting_is_refused_and_not_a_crash(depth):
    deep = '{"v":1,"store":"S","journal":"j","upto":7,"x":' + "[" * depth + "]" * depth + "}"
    with pytest.raises(CodecError):
        decode(deep.encode(), EventAck)


def test_nesting_up_to_the_limit_is_taken():
    fine = '{"v":1,"store":"S","journal":"j","upto":7,"x":' + "[" * 31 + "]" * 31 + "}"
    assert decode(fine.encode(), EventAck) == ACK


def test_size_is_limited():
    raw = encode(ACK)
    assert decode(raw, EventAck, max_bytes=len(raw)) == ACK
    with pytest.raises(CodecError):
        decode(raw, EventAck, max_bytes=len(raw) - 1)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_has_not_is_not_sent_as_null(number):
    with pytest.raises(CodecError):
        encode(Telemetry(store="S", sent_at=1, values={"a": number}))
    with pytest.raises(CodecError):
        encode(Value(value=number, quality="ok", at=None))


@pytest.mark.parametrize("value", [2**63, "\x00", "\ud800", {"\ud800": 1}, b"\xff", object()])
def test_what_the_other_side_could_not_store_is_not_sent(value):
    event = {"seq": 1, "id": "e", "at": 0, "clock": "synced", "kind": "boot", "body": {"x": value}}
    batch = EventBatch.model_validate({"store": "S", "journal": "j", "events": [event]})
    with pytest.raises(CodecError):
        encode(batch)


def test_an_error_does_not_repeat_the_input():
    with pytest.raises(CodecError) as caught:
        decode(b'{"store":"secret-thing","state":"secret-thing"}', Presence)
    assert "secret" not in str(caught.value)


def test_text_travels_as_utf8():
    assert "静安店".encode() in encode(Telemetry(store="S", sent_at=1, values={"静安店": 1.0}))


ODD = st.sampled_from(
    [
        *("NaN", "Infinity", "1e999", "-0", "1.0", "1e16", "1E5", "0.1", "01", "1 "),
        *("9223372036854775807", "-9223372036854775809", "12345678901234567890.5"),
        *('"\\u0000"', '"\\ud800"', '"\\u5f00"', '"a/b"', '"\\/"', '"\x7f"', '"开门"'),
        *('",9999999999999999999"', "[" * 40 + "]" * 40, "[" * 28 + "]" * 28),
        *('{"a":1,"a":1}', '{"a":{"b":null}}', "true", "{}"),
    ]
)
EVENT = (
    '{{"v":1,"store":"S","journal":"j","events":[{{"seq":1,"id":"e","at":1,"clock":"synced",'
    '"kind":"power","body":{{"x":{0}}}{1}}}]{2}}}'
)


@given(
    ODD,
    st.sampled_from(["", ',"historical":true', ',"historical":1', ',"new":1', ',"seq":1']),
    st.sampled_from(["", ',"oldest":1', ',"oldest":null', ',"store":"S"', ',"more":[]']),
)
def test_the_short_way_of_reading_takes_nothing_that_the_long_one_refuses(value, event, batch):
    """Where both take it, they read the same; and what ``encode`` writes goes the short way."""
    raw = EVENT.format(value, event, batch).encode()
    short = codec._plain(raw, EventBatch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "_plain", lambda *_: None)
        try:
            long = decode(raw, EventBatch)
        except CodecError:
            long = None
    assert short is None or short == long
    if long is not None and not any(odd in value for odd in ("e16", "E5", "\\", "999", "9223")):
        assert codec._plain(encode(long), EventBatch) == long
