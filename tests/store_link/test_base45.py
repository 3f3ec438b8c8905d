"""Base45 against RFC 9285 and an independent implementation; one text per value."""

from __future__ import annotations

import base45 as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store_link import base45


@given(st.binary(max_size=200))
def test_round_trip_agrees_with_the_reference(data):
    text = base45.encode(data)
    assert text == reference.b45encode(data).decode()
    assert base45.decode(text) == data


@given(st.text(alphabet=base45.ALPHABET, max_size=60) | st.text(max_size=60))
def test_what_decodes_is_canonical(text):
    try:
        data = base45.decode(text)
    except base45.Base45Error:
        return
    assert base45.encode(data) == text


@pytest.mark.parametrize(
    "text",
    ["A", "AAAA", ":::", "GGX", "::", "V5", "bb8", "BB8\n", " B", "BB8BB8BB8:", "门门门"],
)
def test_texts_that_nobody_encoded(text):
    with pytest.raises(base45.Base45Error):
        base45.decode(text)
