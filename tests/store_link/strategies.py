"""What hypothesis makes up for the wire: ids, JSON trees, passes."""

from __future__ import annotations

from hypothesis import strategies as st

from store_link.messages import ClockQuality, Event, EventBatch, EventKind
from store_link.passes import Pass, ulid_text

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
IDS = st.from_regex(r"[A-Za-z0-9_.:-]{1,64}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
ULIDS = st.binary(min_size=16, max_size=16).map(ulid_text)

EVENTS = st.builds(
    Event,
    seq=st.integers(1, 2**53),
    id=IDS,
    at=st.integers(0, 4_102_444_800_000),
    clock=st.sampled_from(ClockQuality),
    kind=st.sampled_from(EventKind),
    body=st.dictionaries(TEXT, JSON, max_size=4),
    historical=st.booleans(),
)
BATCHES = st.builds(
    EventBatch,
    store=IDS,
    journal=IDS,
    events=st.lists(EVENTS, min_size=1, max_size=4).map(tuple),
)


@st.composite
def passes(draw: st.DrawFn) -> Pass:
    begin = draw(st.integers(0, 2**32 - 2))
    return Pass(
        kid=f"p{draw(st.integers(1, 65535))}",
        store=draw(ULIDS),
        grant=draw(ULIDS),
        rooms=draw(st.integers(0, 2**64 - 1)),
        not_before=begin,
        expires=draw(st.integers(begin + 1, 2**32 - 1)),
        rotating=draw(st.booleans()),
        uses=draw(st.integers(0, 255)),
    )


def flipped(data: bytes, bit: int) -> bytes:
    """``data`` with one bit changed."""
    out = bytearray(data)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)
